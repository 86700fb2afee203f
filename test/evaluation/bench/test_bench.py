"""What is timed is the checkpoint's model, by every runtime, and models of the widths that are asked for."""

from dataclasses import replace

import numpy as np
import pytest

from jepa_ros.errors import JepaError
from jepa_ros.evaluation.bench.bench import open_bench
from jepa_ros.evaluation.bench.effort import QUICK
from jepa_ros.evaluation.bench.plan import image_to_command
from jepa_ros.nodes.bringup.files import find_checkpoint
from jepa_ros.safety.guard import GuardConfig


@pytest.fixture(scope="module")
def bench():
    with open_bench(find_checkpoint("reach"), (), "cpu", 1, QUICK) as (found, left_out):
        assert not left_out
        yield found


def test_both_runtimes_compute_the_same(bench):
    torch, onnx = bench.subjects["torch"], bench.subjects["onnx"]
    pictures, actions = torch.pictures(3), torch.candidates(7, 4)
    assert np.allclose(torch.encode(pictures), onnx.encode(pictures), atol=1e-4)
    assert torch.rollout(actions).shape == (7, 4, bench.width)
    assert np.allclose(torch.rollout(actions), onnx.rollout(actions), atol=1e-4)
    assert np.allclose(torch.plan(bench.planner)(), onnx.plan(bench.planner)(), atol=1e-2)


def test_a_look_becomes_a_setpoint_every_time(bench):
    for subject in bench.subjects.values():
        call = image_to_command(subject, bench.planner)
        for _ in range(3):
            setpoint = call()
            assert setpoint.joint_names == subject.spec.joint_names and np.all(
                np.isfinite(setpoint.positions)
            )


def test_a_long_run_goes_far_and_is_not_refused_because_the_arm_follows(bench):
    subject = bench.subjects["onnx"]
    call = image_to_command(subject, replace(bench.planner, samples=8, elites=2, iterations=1))
    sent = np.stack([call().positions for _ in range(100)])
    assert np.abs(sent).max() > 1.5 * GuardConfig().tracking_tolerance


def test_models_of_other_widths_are_as_wide_as_asked(bench):
    found = bench.of_width(2 * bench.width)
    assert set(found) == {"torch"}  # a quick run exports nothing
    subject = found["torch"]
    assert subject.encode(subject.pictures(1)).shape == (1, 2 * bench.width)
    assert bench.of_width(bench.width) is bench.subjects


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(JepaError, match="there is no config.json"):
        with open_bench(tmp_path, (), "cpu", 1, QUICK):
            pass
    with pytest.raises(JepaError, match="device is 'tpu9'"):
        with open_bench(find_checkpoint("reach"), (), "tpu9", 1, QUICK):
            pass
