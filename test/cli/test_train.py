"""`jepa train`: under torchrun, as docs/train_on_your_bags.md says it, and with a part of the recipe left out."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from jepa_ros.cli.main import main
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.episode_bag import EpisodeBag
from jepa_ros.world_model.checkpoint import load_checkpoint
from jepa_ros.world_model.trust import EXPORT

SPEC = ActionSpec(("x", "y"), (-0.1,) * 2, (0.1,) * 2, (-1.0,) * 2, (1.0,) * 2, block=2)
CAMERA = {"width": 16, "height": 16, "k": np.eye(3)}
SMALL = (
    "--steps 4 --batch 8 --clip 4 --image-size 16 --latent-dim 8 --threads 1 --no-cache "
    "--baseline-steps 0 --head-steps 0"
).split()


@pytest.fixture
def bags(tmp_path):
    """Six episodes of 20 frames; of the first the target is not known yet, so that 19 are read."""
    for index in range(6):
        rng = np.random.default_rng(index)
        joints = np.cumsum(rng.uniform(-0.05, 0.05, (21, 2)), 0)
        metadata = {"behaviour": ("scripted", "scripted", "smooth")[index % 3]}
        with EpisodeBag(tmp_path / "bags" / f"episode_{index}", SPEC, CAMERA, metadata=metadata) as bag:
            for frame in range(20):
                bag.command(frame / 10, joints[frame + 1])
                image = np.full((16, 16, 3), 128 + 100 * joints[frame, 0], np.uint8)
                bag.observe(frame / 10, image, joints[frame], np.zeros(2))
    return tmp_path / "bags"


@pytest.mark.timeout(600)
def test_two_processes_of_torchrun_leave_one_checkpoint_and_report_once(bags, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "jepa_ros.cli.main", "train", "--bags", str(bags), "--out", str(tmp_path / "out")]
    ended = subprocess.run(
        [*command, *SMALL],
        capture_output=True,
        text=True,
        timeout=500,
        env={k: v for k, v in os.environ.items() if k != "XDG_CACHE_HOME"},  # keeps matplotlib's fonts
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    told = ended.stdout
    assert told.count("episodes") == 1 and told.count("images_per_second") == told.count("data_share") == 1
    checkpoint = load_checkpoint(tmp_path / "out")
    assert checkpoint.config["metrics"]["images_per_second"] > 0 and checkpoint.calibration is not None


def trained(bags, out, *options: str) -> dict:
    """config.json of a short training."""
    assert main(["train", "--bags", str(bags), "--out", str(out), *SMALL, *options]) == 0
    return json.loads((out / "config.json").read_text())


@pytest.mark.timeout(600)
def test_parts_can_be_left_out_and_the_checkpoint_says_so(bags, tmp_path):
    without = "--unroll 1 --loss-weight joint_head=0 --no-proprioception --behaviours scripted --head-steps 2".split()
    config = trained(bags, tmp_path / "without", *without)
    assert config["training"]["loss"]["unroll"] == 1 and config["training"]["loss"]["joint_head"] == 0
    assert config["data"]["behaviours"] == ["scripted"] and config["data"]["frames"] == 4 * 19
    assert "validation_multi_step" not in config["metrics"]
    checkpoint = load_checkpoint(tmp_path / "without")
    assert not checkpoint.model.config.proprioception and not checkpoint.heads.config.proprioception
    assert (tmp_path / "without" / EXPORT).is_file()
    assert checkpoint.spec.block == SPEC.block  # as the bags say, where --block does not


@pytest.mark.parametrize(
    "option, words",
    [
        ("--loss-weight=hope=1", "unknown term 'hope'; known: regulariser, one_step"),
        ("--loss-weight=joint_head=much", "'much' is not a number"),
        ("--unroll=-1", "unroll is -1"),
        ("--objects=-1", "objects is -1"),
        ("--behaviours=scripted,noisy", "behaviour noisy; behaviours in these bags: scripted, smooth"),
    ],
)
def test_parts_that_there_are_not_are_refused(bags, tmp_path, capsys, option, words):
    assert main(["train", "--bags", str(bags), "--out", str(tmp_path / "out"), *SMALL, option]) == 2
    assert words in capsys.readouterr().err
