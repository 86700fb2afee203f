"""`jepa heads`: bags and a checkpoint in, heads.safetensors and how well they rank out; what it refuses."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from jepa_ros.cli.main import build_parser, main
from jepa_ros.data.episode_bag import EpisodeBag
from jepa_ros.training.config import TrainingConfig
from jepa_ros.training.heads import HeadTraining
from jepa_ros.world_model.checkpoint import load_checkpoint, save_checkpoint
from jepa_ros.world_model.model import ModelConfig, WorldModel


@pytest.fixture
def checkpoint(spec, tmp_path):
    torch.manual_seed(0)
    model = WorldModel(ModelConfig(latent_dim=6, image_size=(16, 16), predictor_width=16), spec).eval()
    training = {"clip": 4, "validation": 0.2}
    save_checkpoint(tmp_path / "model", model, {"goal_tolerance": 0.2, "training": training})
    return tmp_path / "model"


def heads(checkpoint, bags, *options):
    return main(
        ["heads", "--checkpoint", str(checkpoint), "--bags", str(bags), "--threads", "1", "--batch", "16"]
        + [str(option) for option in options]
    )


def test_bags_give_heads_that_belong_to_the_model(checkpoint, bags, capsys):
    assert heads(checkpoint, bags, "--steps", 20, "--seed", 3) == 0
    told = capsys.readouterr().out
    assert "not the bags the checkpoint was trained on" in told
    assert f"heads: {checkpoint / 'heads.safetensors'}" in told
    with safe_open(checkpoint / "heads.safetensors", framework="pt") as content:
        training = json.loads(content.metadata()["training"])
    assert (training["steps"], training["batch"], training["seed"]) == (20, 16, 3)
    assert training["data"].startswith("sha256:")
    for name, value in training["metrics"].items():
        assert f"{name:36s} {value:.4g}" in told
    assert "heads_policy_loss" in training["metrics"]
    assert load_checkpoint(checkpoint).heads.spec == load_checkpoint(checkpoint).spec


@pytest.mark.parametrize(
    "options, words",
    [
        (("--learning-rate", "nan"), "learning_rate is nan"),
        (("--seed", -1), "seed is -1"),
        (("--batch", 2), "batch is 2"),
        (("--threads", 0), "threads is 0"),
        (("--select-tasks", "fly"), "unknown task 'fly'"),
        (("--select-every", 0), "every is 0"),
        (("--select-tasks", "push"), "does not match the simulated SO-101"),
    ],
)
def test_bad_settings_are_named_before_anything_is_read(checkpoint, tmp_path, capsys, options, words):
    assert heads(checkpoint, tmp_path / "no_bags", *options) == 2
    assert words in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_refused_before_the_bags_are_read(checkpoint, tmp_path, capsys):
    (checkpoint / ".writable").mkdir()  # what a test that may write anywhere has for a read-only folder
    assert heads(checkpoint, tmp_path / "no_bags") == 2
    assert f"{checkpoint}: cannot write there" in capsys.readouterr().err


def test_heads_that_cannot_be_written_are_named(checkpoint, bags, capsys):
    (checkpoint / "heads.partial").mkdir()
    assert heads(checkpoint, bags, "--steps", 1) == 2
    assert "heads.safetensors: cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "config"), [("heads", HeadTraining()), ("train", TrainingConfig())])
def test_an_option_that_is_not_given_is_the_configuration_s_own(command, config):
    required = {"heads": ["--checkpoint", "a"], "train": ["--out", "a"]}[command]
    args = build_parser(command).parse_args([command, "--bags", "b", *required])
    same_name = {name for name in vars(args) if hasattr(config, name)} - {"selection"}
    assert {"seed", "objects", "learning_rate"} < same_name
    assert {name: getattr(args, name) for name in same_name} == {
        name: getattr(config, name) for name in same_name
    }


@pytest.mark.usefixtures("without_export")
def test_behaviours_that_the_training_left_out_are_left_out_again(tmp_path, spec, capsys):
    """Or other episodes would be held out than then."""
    for index in range(16):
        behaviour = {"behaviour": ("scripted", "noisy")[index % 2]}
        camera = {"width": 16, "height": 16, "k": np.eye(3)}
        with EpisodeBag(tmp_path / "bags" / f"episode_{index:02d}", spec, camera, metadata=behaviour) as bag:
            for frame in range(24):
                bag.command(frame / 10, np.full(2, 0.001 * frame * index))
                image = np.full((16, 16, 3), 8 * index + frame, np.uint8)
                bag.observe(frame / 10, image, np.full(2, 0.001 * frame * index), np.zeros(2))
    settings = "--behaviours scripted --steps 1 --batch 4 --block 2 --baseline-steps 0 --head-steps 0 --image-size 16"
    folders = ["--bags", str(tmp_path / "bags"), "--out", str(tmp_path / "model")]
    assert main(["train", *folders, *settings.split()]) == 0
    capsys.readouterr()
    assert heads(tmp_path / "model", tmp_path / "bags", "--steps", 1) == 0
    told = capsys.readouterr().out
    assert "behaviours scripted alone" in told and "the same episodes are held out as there" in told
