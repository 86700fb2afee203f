"""A preset sets what nobody set; what is given wins, and the checkpoint says which it was."""

import argparse
from dataclasses import asdict

import pytest

from jepa_ros.cli import train
from jepa_ros.errors import JepaError
from jepa_ros.training.config import TrainingConfig
from jepa_ros.training.presets import PRESETS, Preset, chosen
from jepa_ros.training.selection import Selection
from jepa_ros.world_model.losses import LossConfig
from jepa_ros.world_model.model import ModelConfig


def options(*words: str) -> Preset:
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    return train.chosen_preset(parser.parse_args(["--bags", "b", "--out", "o", *words]))


def test_without_a_preset_settings_are_those_that_they_were():
    plain = options()
    assert plain == Preset() == chosen("", {})
    assert (plain.steps, plain.batch, plain.clip, plain.latent_dim, plain.head_steps) == (
        3000,
        96,
        6,
        64,
        3000,
    )
    assert (plain.augmentation, plain.precision, plain.mixture, plain.select_tasks) == (
        "none",
        "float32",
        {},
        (),
    )


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_given_wins_over_the_preset_even_where_it_is_the_plain_value(name):
    assert options("--preset", name) == PRESETS[name] != Preset()
    given = options("--preset", name, "--steps", "3000", "--augmentation", "none", "--mixture", "a=2")
    assert (given.steps, given.augmentation, given.mixture) == (3000, "none", {"a": 2.0})
    assert given.latent_dim == PRESETS[name].latent_dim
    assert options("--mixture", "--preset", name).mixture == {}


def test_a_preset_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(JepaError, match="unknown preset 'grasp'; known: reach, push, all"):
        options("--preset", "grasp")


def test_every_preset_is_a_training_that_can_be_begun_and_chooses_by_the_tasks_it_is_for():
    for name, preset in PRESETS.items():
        settings = asdict(preset)
        model = ModelConfig(latent_dim=settings.pop("latent_dim"))
        loss = LossConfig(slow_dims=settings.pop("slow_dims"), **settings.pop("loss_weights"))
        selection = Selection(
            **{key: settings.pop(f"select_{key}") for key in ("tasks", "every", "episodes")}
        )
        config = TrainingConfig(model=model, loss=loss, selection=selection, preset=name, **settings)
        assert config.to_dict()["preset"] == name and config.to_dict()["mixture"] == preset.mixture
        assert set(selection.tasks) == {"reach", "push"} & ({name} if name != "all" else {"reach", "push"})
        assert selection.every < config.steps and selection.episodes == 50
        assert config.head_select_every < config.head_steps


def test_tasks_to_choose_by_are_given_or_left_out():
    assert options("--select-tasks", "reach", "push").select_tasks == ("reach", "push")
    assert options("--preset", "all", "--select-tasks").select_tasks == ()
    given = options("--preset", "reach", "--select-every", "7", "--select-episodes", "9")
    assert (given.select_tasks, given.select_every, given.select_episodes) == (("reach",), 7, 9)
    assert given.head_select_every == 1000 and options("--head-select-every", "8").head_select_every == 8


def test_weights_of_the_loss_that_are_given_win_over_the_presets_term_by_term():
    given = options("--preset", "all", "--loss-weight", "slow=2", "--loss-weight", "views=0.5")
    assert given.loss_weights == PRESETS["all"].loss_weights | {"slow": 2.0, "views": 0.5}
    assert options("--loss-weight", "regulariser=7", "--preset", "all").loss_weights["regulariser"] == 7.0
    assert options("--preset", "all", "--slow-dims", "0").slow_dims == 0
