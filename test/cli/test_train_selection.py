"""`jepa train` with a preset on simulated bags: what it prints, records and chooses; the same in two processes."""

import json
import os
import subprocess
import sys

import pytest

from jepa_ros.cli.main import main
from jepa_ros.data.collect import CollectSettings, collect
from jepa_ros.world_model.checkpoint import load_checkpoint

pytestmark = pytest.mark.timeout(900)
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
    assert "candidate after 1 steps: reach " in told
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
    assert main([*words]) == 0
    assert "weights are not chosen by push" in capsys.readouterr().out
    assert "candidates" not in load_checkpoint(tmp_path).config


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
