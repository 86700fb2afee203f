"""A whole run leaves heads beside its weights; they can be trained again without it."""

import json

import numpy as np
import pytest
import torch
from dot_world import DATA, EPISODES, SPEC, config

from jepa_ros.errors import JepaError
from jepa_ros.training import trainer
from jepa_ros.training.head_ranks import fewest_blocks
from jepa_ros.training.heads import HeadTraining, train_heads
from jepa_ros.world_model.checkpoint import load_checkpoint


def test_a_run_leaves_heads_of_its_model_and_they_come_out_again(tmp_path):
    settings = config(head_steps=3)
    metrics = trainer.train(EPISODES, SPEC, tmp_path, settings, DATA)
    assert {"heads_distance_loss", "heads_value_loss", "heads_policy_loss"} <= set(metrics)
    assert -1 <= metrics["heads_rank_distance_recorded_near"] <= 1
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.heads.spec == checkpoint.spec
    torch.testing.assert_close(checkpoint.heads.proprio_mean, checkpoint.model.proprio_mean)
    split = trainer.split_episodes(EPISODES, SPEC, settings)
    again, _ = train_heads(checkpoint.model, split.train, split.validation, HeadTraining(steps=3))
    latents, goal = torch.randn(5, 8), torch.randn(8)
    torch.testing.assert_close(again.distance(latents, goal), checkpoint.heads.distance(latents, goal))
    macros = torch.randn(5, 8)
    torch.testing.assert_close(
        again.slow.predict(latents, macros), checkpoint.heads.slow.predict(latents, macros)
    )
    assert metrics["heads_slow_error_known"] > 0 and metrics["heads_slow_error_unknown"] > 0

    # Without a slow level, as where no episode lasts for a step of it, the other heads are the same to the bit.
    other, found = train_heads(
        checkpoint.model, split.train, split.validation, HeadTraining(steps=3, stride=16)
    )
    assert other.slow is None and not [name for name in found if "slow" in name]
    assert torch.equal(other.distance(latents, goal), again.distance(latents, goal))
    assert torch.equal(other.value(latents, goal), again.value(latents, goal))


def test_where_heads_cannot_be_trained_the_model_is_kept_and_the_run_ends_without_them(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise JepaError("no heads today")

    monkeypatch.setattr(trainer, "train_heads", fail)
    with pytest.raises(JepaError, match="no heads today"):
        trainer.train(EPISODES, SPEC, tmp_path, config(head_steps=3, baseline_steps=2), DATA)
    first = load_checkpoint(tmp_path)
    assert first.heads is None and first.calibration.data_digest == "abc"
    assert (tmp_path / trainer.STATE).exists() and (tmp_path / "baselines.safetensors").exists()
    monkeypatch.setattr(trainer, "jepa_loss", fail)  # nothing of the world model is left to be trained
    metrics = trainer.train(EPISODES, SPEC, tmp_path, config(head_steps=0, baseline_steps=2), DATA)
    assert load_checkpoint(tmp_path).model_id == first.model_id
    assert json.loads((tmp_path / "config.json").read_text())["metrics"] == metrics
    assert "total_seconds" in metrics and "baseline_cloning_loss" in metrics
    assert not (tmp_path / trainer.STATE).exists()


def test_a_run_whose_heads_are_to_know_no_objects_does_not_look_for_any(tmp_path):
    for objects in (2, 0):
        settings = config(head_steps=3, objects=objects)
        metrics = trainer.train(EPISODES, SPEC, tmp_path / str(objects), settings, DATA)
        assert ("heads_objects_told_by_joints" in metrics) == bool(objects)
    with_some, without = (load_checkpoint(tmp_path / folder) for folder in ("2", "0"))
    assert without.heads.config.objects == 0 and without.model_id == with_some.model_id


def test_without_steps_there_are_no_heads(tmp_path):
    metrics = trainer.train(EPISODES, SPEC, tmp_path, config(head_steps=0), DATA)
    assert not [name for name in metrics if name.startswith("heads")]
    assert load_checkpoint(tmp_path).heads is None


def test_the_slowest_joint_sets_the_fewest_blocks():
    proprio = np.array([[0.0, 0.0], [0.2, -0.5]])
    assert fewest_blocks(proprio, np.array([0, 1]), np.array([1, 1]), SPEC).tolist() == [2.5, 0.0]
