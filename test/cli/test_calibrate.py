"""`jepa calibrate`: bags and a checkpoint in, calibration.json and its figures out; what it refuses."""

import json
from dataclasses import replace

import torch

from jepa_ros.cli.main import main
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.bag_reader import read_episodes
from jepa_ros.world_model.checkpoint import load_checkpoint, save_checkpoint
from jepa_ros.world_model.model import ModelConfig, WorldModel

SPEC = ActionSpec(("x", "y"), (-0.1,) * 2, (0.1,) * 2, (-1.0,) * 2, (1.0,) * 2, block=2)


def save(path, spec=SPEC, **config):
    torch.manual_seed(0)
    model = WorldModel(ModelConfig(latent_dim=6, image_size=(16, 16), predictor_width=16), spec).eval()
    save_checkpoint(path, model, {"goal_tolerance": 0.2, **config})
    return ["calibrate", "--checkpoint", str(path), "--threads", "1", "--bags"]


def test_bags_of_the_training_are_recognised_and_its_held_out_episodes_used(bags, tmp_path, capsys):
    _, report = read_episodes(bags, SPEC, (16, 16))
    data = {"digest": report.digest, "episodes": report.episodes, "frames": report.frames}
    command = save(tmp_path, training={"clip": 4, "validation": 0.2, "batch": 96}, data=data)
    assert main([*command, str(bags)]) == 0
    told = capsys.readouterr().out
    assert "these are the bags the checkpoint was trained on" in told
    found = load_checkpoint(tmp_path).calibration
    held_out = 2
    assert found.data_digest == report.digest
    assert found.frames == report.frames - held_out * report.frames // 10
    assert f"on {held_out * report.frames // 10} held-out frames" in told
    assert f"{found.surprise_quantiles['0.99']:9.4g}" in told
    save(tmp_path, data=data | {"episodes": 3})
    assert main([*command, str(bags)]) == 0
    assert "but training read 3 episodes" in capsys.readouterr().out
    assert json.loads((tmp_path / "config.json").read_text())["goal_tolerance"] == 0.2


def test_other_bags_are_told_and_a_broken_calibration_is_replaced(bags, tmp_path, capsys):
    command = save(tmp_path, data={"digest": "sha256:another"})
    (tmp_path / "calibration.json").write_text("{")
    assert main([*command, str(bags), "--image-topic", "/jepa/image"]) == 0
    assert "not the bags the checkpoint was trained on (sha256:another)" in capsys.readouterr().out
    assert load_checkpoint(tmp_path).calibration.latent_dim == 6


def test_bags_of_another_robot_are_refused(bags, tmp_path, capsys):
    command = save(tmp_path, replace(SPEC, joint_names=("x", "z")))
    assert main([*command, str(bags)]) == 2
    assert "joint_names" in capsys.readouterr().err
    assert not (tmp_path / "calibration.json").exists()


def test_topics_can_come_from_a_file(bags, tmp_path, capsys):
    command = save(tmp_path / "checkpoint")
    names = tmp_path / "topics.yaml"
    names.write_text("image: /jepa/image\njoint_states: /jepa/joint_states\n")
    assert main([*command, str(bags), "--topics", str(names)]) == 0
    names.write_text("image: /nowhere/image\n")
    assert main([*command, str(bags), "--topics", str(names)]) == 2
    assert "/nowhere/image" in capsys.readouterr().err
