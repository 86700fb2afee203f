"""Some of the faults of benchmarks/fault_injection.py, once each, in one running simulator graph."""

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from faults import trial  # noqa: E402
from faults.bench import bench, episodes  # noqa: E402
from faults.catalogue import FAULTS  # noqa: E402

from jepa_ros.nodes.bringup.files import find_checkpoint  # noqa: E402

TRIALS = (
    ("nan_plan", ""),
    ("swapped_joints_plan", "twice"),
    ("joint_states_stop", ""),
    ("kill_9_node", "encoder"),
    ("kill_9_guard", "action_publisher"),
    ("nonsense_parameter", "action_publisher limits.velocity -1"),
)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    folder = tmp_path_factory.mktemp(f"faults{os.getpid()}")
    checkpoint = shutil.copytree(find_checkpoint("reach"), folder / "checkpoint")
    with bench(folder, checkpoint, simulated_time=False, seed=0) as graph:
        yield graph


@pytest.mark.parametrize("name, variant", TRIALS)
def test_the_arm_rests_in_time_with_a_reason_and_goes_on_afterwards(graph, name, variant, monkeypatch):
    # A busy test machine may be slow; `make nightly` keeps the bars.
    monkeypatch.setattr(trial, "REASON_S", 20.0)
    monkeypatch.setattr(trial, "GRACE_S", 2.0)
    fault = next(fault for fault in FAULTS if fault.name == name)
    outcome = trial.attempt(graph, fault, variant, episodes(2, 0)[1], samples=5)
    assert outcome.kept, outcome.to_dict()


def test_there_are_twelve_faults():
    assert len({fault.name for fault in FAULTS}) == 12
