"""`jepa train` with a preset on simulated bags, and `jepa heads`: what they print, record and choose; the same in two
processes."""

import json
import os
import subprocess
import sys

import pytest
from safetensors.numpy import load_file

from jepa_ros.cli.main import main
from jepa_ros.cli.train import chosen_by
from jepa_ros.data.collect import CollectSettings, collect
from jepa_ros.training.config import TrainingConfig
from jepa_ros.training.selection import Selection
from jepa_ros.world_model.checkpoint import load_checkpoint
from jepa_ros.world_model.heads_file import heads_metadata

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("without_export")]
SMALL = (
    "--preset reach --steps 2 --batch 4 --clip 3 --latent-dim 8 --image-size 16 --augmentation none --precision float32 "
    "--head-steps 0 --baseline-steps 0 --threads 1 --no-cache --select-every 1 --select-episodes 1"
).split()


@pytest.fixture(scope="module")
def bags(tmp_path_factory):
    """Four simulated episodes of 12 frames."""
    folder = tmp_path_factory.mktemp("bags") / "reach"
    collect(folder, 4, CollectSettings(frames=12, image_size=(16, 16)), workers=1)
    return folder


def candidates(folder) -> list[dict]:
    found = load_checkpoint(folder).config["candidates"]
    assert [c["step"] for c in found] == [1, 2] and all(c["tasks"]["reach"]["episodes"] == 1 for c in found)
    return found


def test_a_preset_is_printed_recorded_and_its_weights_chosen_by_driving_the_simulator(bags, tmp_path, capsys):
    words = ["train", "--bags", str(bags), "--out", str(tmp_path / "one"), *SMALL]
    assert main([*words, "--mixture", "reach=2"]) == 0
    told = capsys.readouterr().out
    assert "preset reach: steps 2, batch 4" in told and "chosen_step" in told
    assert "candidate after 1 steps: reach " in told and "world model: chosen by reach\n" in told
    assert [line.split() for line in told.splitlines() if line.startswith("reach ")] == [
        ["reach", "4", "48", "100%"]
    ]
    training = load_checkpoint(tmp_path / "one").config["training"]
    assert (training["preset"], training["steps"], training["mixture"]) == ("reach", 2, {"reach": 2.0})
    assert training["selection"] == {"tasks": ["reach"], "every": 1, "episodes": 1, "seed": 3000}
    found = candidates(tmp_path / "one")
    rows = [json.loads(line) for line in (tmp_path / "one" / "metrics.jsonl").read_text().splitlines()]
    assert [row for row in rows if "tasks" in row] == found
    assert (tmp_path / "one" / "training.png").read_bytes().startswith(b"\x89PNG")


def test_bags_of_no_simulated_task_are_trained_on_without_choosing(bags, tmp_path, capsys):
    words = ["train", "--bags", str(bags), "--out", str(tmp_path), *SMALL, "--preset", "push"]
    assert main([*words, "--slow-dims", "0"]) == 0
    assert "weights are not chosen by push" in capsys.readouterr().out
    assert "candidates" not in load_checkpoint(tmp_path).config


def heads_of(folder) -> dict:
    """How the heads were trained, by their metadata."""
    return json.loads(heads_metadata(folder)["training"])


def test_by_a_task_that_needs_heads_the_heads_are_chosen_in_training_and_afterwards(bags, tmp_path, capsys):
    """Afterwards with the same settings, so that the very same come out."""
    words = ["train", "--bags", str(bags), "--out", str(tmp_path), *SMALL, "--select-tasks", "push"]
    assert main([*words, "--head-steps", "3", "--head-select-every", "2"]) == 0
    told = capsys.readouterr().out
    assert "world model: its last weights are taken; push cannot be driven without heads" in told
    assert "heads: chosen by push" in told and "\nheads, candidate after 2 steps: push " in told
    config, training = load_checkpoint(tmp_path).config, heads_of(tmp_path)
    assert "candidates" not in config and "chosen_step" not in config["metrics"]
    assert [tried["step"] for tried in training["candidates"]] == [2, 3]

    first = load_file(tmp_path / "heads.safetensors")
    words = ["heads", "--bags", str(bags), "--checkpoint", str(tmp_path), "--threads", "1", "--no-cache"]
    words += ["--steps", "3", "--select-tasks", "push", "--select-episodes", "1"]
    assert main([*words, "--select-every", "2"]) == 0
    told, again = capsys.readouterr().out, heads_of(tmp_path)
    assert again["candidates"] == training["candidates"] and again["selection"] == training["selection"]
    chosen = config["metrics"]["heads_chosen_step"]
    assert again["metrics"]["heads_chosen_step"] == chosen and f"{'heads_chosen_step':36s} {chosen}" in told
    assert all(
        (first[name] == tensor).all() for name, tensor in load_file(tmp_path / "heads.safetensors").items()
    )
    assert main([*words, "--select-seed", "2999"]) == 2
    assert "seed is 2999; it must be at least 3000" in capsys.readouterr().err


def test_what_weights_are_chosen_by_is_said():
    def told(*tasks: str, head_steps: int = 3) -> list[str]:
        return chosen_by(TrainingConfig(selection=Selection(tasks), head_steps=head_steps)).splitlines()

    assert told("reach") == ["world model: chosen by reach", "heads: chosen by reach"]
    assert told("reach", "push", "far") == [
        "world model: chosen by reach, far; push cannot be driven without heads",
        "heads: chosen by reach, push, far",
    ]
    assert told("reach", head_steps=0) == ["world model: chosen by reach"]
    assert told("push", head_steps=0) == [
        "world model: its last weights are taken; push cannot be driven without heads",
        "heads: none are trained (--head-steps 0), so that nothing is chosen by push",
    ]


def test_seeds_of_reports_are_refused(tmp_path, capsys):
    assert main(["train", "--bags", "b", "--out", str(tmp_path), *SMALL, "--select-seed", "1000"]) == 2
    assert "seed is 1000; it must be at least 3000" in capsys.readouterr().err


def test_of_two_processes_one_tries_candidates_and_the_other_waits(bags, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "jepa_ros.cli.main", "train", "--bags", str(bags), "--out", str(tmp_path / "two")]
    ended = subprocess.run(
        [*command, *SMALL],
        capture_output=True,
        text=True,
        timeout=800,
        env={k: v for k, v in os.environ.items() if k != "XDG_CACHE_HOME"},  # keeps matplotlib's fonts
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert ended.stdout.count("candidate after") == 2 and ended.stdout.count("preset reach") == 1
    candidates(tmp_path / "two")
