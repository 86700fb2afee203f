"""Training in two processes over Gloo is training in one with the joint batch; one that dies ends all."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from dot_world import DATA, EPISODES, SPEC, config, logged
from one_of_several import CASES, STEPS, loss_and_gradients

from jepa_ros.errors import JepaError
from jepa_ros.training import trainer
from jepa_ros.training.distributed import ALONE, Ranks
from jepa_ros.world_model.checkpoint import load_checkpoint

PROGRAM = Path(__file__).parent / "one_of_several.py"
LIMIT_S = 600
pytestmark = pytest.mark.timeout(2 * LIMIT_S)


def two_processes(task: str, folder: Path) -> list[subprocess.CompletedProcess]:
    """Runs the program twice as torchrun on two machines does: nobody ends one because of the other."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    started = []
    for rank in range(2):
        environment = {
            k: v for k, v in os.environ.items() if k != "XDG_CACHE_HOME"
        } | {  # keeps matplotlib's fonts
            "TORCHELASTIC_RUN_ID": "test",
            "RANK": str(rank),
            "LOCAL_RANK": "0",
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        started.append(
            subprocess.Popen(
                [sys.executable, str(PROGRAM), task, str(folder)],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        ended = [process.communicate(timeout=LIMIT_S) for process in started]
    finally:
        for process in started:
            process.kill()
    return [
        subprocess.CompletedProcess(p.args, p.returncode, *texts)
        for p, texts in zip(started, ended, strict=True)
    ]


@pytest.fixture(scope="module")
def gradients(tmp_path_factory) -> list[dict]:
    """What each of two processes found in every case."""
    folder = tmp_path_factory.mktemp("gradients")
    for process in two_processes("gradients", folder):
        assert process.returncode == 0, process.stderr[-3000:]
    return [torch.load(folder / f"rank_{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_two_processes_give_loss_and_gradients_of_one_with_the_joint_batch(gradients, case):
    values, expected = loss_and_gradients(*case)
    # views: each process holds its first views and then its second ones
    order = torch.arange(8) if case[1] == "none" else torch.tensor([0, 1, 4, 5, 2, 3, 6, 7])
    values["latents"] = values["latents"].unflatten(0, (8, 4))[order].flatten(0, 1)
    for rank in gradients:
        found_values, found = rank[case]
        assert found_values.keys() == values.keys() and found.keys() == expected.keys()
        for name, value in values.items():
            torch.testing.assert_close(
                found_values[name], value, rtol=1e-5, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}"
            )
        for name, gradient in expected.items():
            scale = gradient.abs().max().item()
            torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5 * scale)


def test_the_regularisers_see_what_no_process_sees_alone():
    """The comparison above can fail: statistics of half the batch have another gradient."""
    whole, apart = (loss_and_gradients("sigreg", "none", 3, ranks) for ranks in (ALONE, HalfAlone(0, 2)))
    assert abs(whole[0]["regulariser"] - apart[0]["regulariser"]) > 1e-3
    # of three dimensions; the comparison allows a twentieth of it
    assert abs(whole[0]["slow_regulariser"] - apart[0]["slow_regulariser"]) > 1e-4


class HalfAlone(Ranks):
    """Takes its part of the batch and asks nobody."""

    def mean(self, x):
        return x

    def gather(self, x):
        return x

    def average_gradients(self, module):
        pass


def test_a_run_in_two_processes_is_the_run_in_one_and_goes_on_alone_when_one_dies(tmp_path):
    trainer.train(EPISODES, SPEC, tmp_path / "one", config(**STEPS), DATA)
    first, second = two_processes("lose_one", tmp_path / "two")
    assert (first.returncode, second.returncode) == (1, -signal.SIGKILL), first.stderr[-3000:]
    assert "error: another process of this training has ended" in first.stderr
    begun = logged(tmp_path / "two")
    assert [row["step"] for row in begun] == [1, 2, 3]
    trainer.train(EPISODES, SPEC, tmp_path / "two", config(**STEPS), DATA)

    expected = logged(tmp_path / "one")
    for row, one in zip(begun + logged(tmp_path / "two"), expected[:3] + expected, strict=True):
        assert row == pytest.approx(one, rel=1e-3, abs=1e-5)
    one, two = (load_checkpoint(tmp_path / name).model.state_dict() for name in ("one", "two"))
    for name, weights in one.items():
        torch.testing.assert_close(two[name], weights, rtol=1e-3, atol=1e-4)


def test_clips_are_shared_out_equally_or_not_at_all():
    shares = [Ranks(rank, 3).part(12) for rank in range(3)]
    assert [list(range(12))[share] for share in shares] == [
        list(range(4)),
        list(range(4, 8)),
        list(range(8, 12)),
    ]
    for clips in (13, 0):
        with pytest.raises(JepaError, match="choose another --batch"):
            Ranks(0, 3).part(clips)
