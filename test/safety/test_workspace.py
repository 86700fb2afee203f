"""The end effector brakes before it leaves its box, and comes back where it starts outside."""

import numpy as np
import pytest
from guard_stream import LIMITS, Stream, plan

from jepa_ros.errors import JepaError
from jepa_ros.safety.states import Reason, SafetyState
from jepa_ros.safety.workspace import Workspace


def end_effector(joints):
    """(3,) -> (3,) m: a planar arm of two links, 0.3 and 0.25 m, on a lift."""
    a, b, lift = joints
    return np.array([0.3 * np.cos(a) + 0.25 * np.cos(a + b), 0.3 * np.sin(a) + 0.25 * np.sin(a + b), lift])


def box(**changes):
    corners = {"lower": [-1.0, -0.4, -1.0], "upper": [1.0, 0.4, 1.0]}
    return Workspace(**{**corners, **changes}, position_of=end_effector)


def stream_in(workspace, measured):
    stream = Stream(measured=measured, workspace=workspace).until(100.1)
    stream.poses = []
    take = stream.take

    def watch(setpoint):
        if setpoint is not None:
            stream.poses.append(end_effector(setpoint.positions))
        return take(setpoint)

    stream.take = watch
    return stream


def test_it_brakes_before_it_leaves_the_box():
    stream = stream_in(box(), (0.5, 0.1, 0.0))
    assert stream.submit(plan(100.0, np.tile([0.12, 0.12, 0.0], (6, 1)), execute=6)).accepted
    stream.until(101.0)
    assert stream.guard.state == SafetyState.HOLDING and stream.guard.reason == Reason.WORKSPACE
    reached = np.array(stream.poses)[:, 1].max()
    assert 0.37 < reached <= 0.4 and stream.clean()


def test_at_the_edge_a_plan_outwards_is_vetoed_and_one_inwards_accepted():
    stream = stream_in(box(), (0.5, 0.1, 0.0))
    stream.submit(plan(100.0, np.tile([0.12, 0.12, 0.0], (6, 1)), execute=6))
    stream.until(101.0)
    out = np.tile([0.1, 0.1, 0.0], (4, 1))
    verdicts = []
    for _ in range(6):
        verdicts.append(stream.submit(plan(stream.time - 0.01, out)))
        stream.until(stream.time + 0.5)
    assert verdicts[-1].reason == Reason.WORKSPACE and verdicts[-1].setpoint is None
    assert stream.submit(plan(stream.time - 0.01, -out)).accepted
    assert stream.until(stream.time + 1.0).clean() and stream.poses[-1][1] < 0.3


def test_a_veto_at_the_edge_leaves_the_motion_before_it_alone():
    stream = stream_in(box(upper=[1.0, 0.4, 0.2]), (0.0, 0.1, 0.19))
    assert stream.submit(plan(100.0, np.tile([0.05, 0.0, 0.0], (4, 1)))).accepted
    stream.until(100.3)
    stream.time += 0.01
    assert stream.submit(plan(100.25, np.tile([0.0, 0.0, 0.1], (4, 1)))).reason == Reason.WORKSPACE
    assert stream.guard.state == SafetyState.RUNNING
    np.testing.assert_allclose(stream.until(100.9).last, [0.2, 0.1, 0.19])


def test_an_arm_that_starts_outside_may_only_come_back():
    stream = stream_in(box(), (1.2, 0.1, 0.0))
    assert end_effector(stream.measured)[1] > 0.5
    assert stream.submit(plan(100.0, np.tile([0.1, 0.0, 0.0], (4, 1)))).reason == Reason.WORKSPACE
    assert stream.submit(plan(100.0, np.tile([-0.12, 0.0, 0.0], (4, 1)))).accepted
    stream.until(100.9)
    assert np.all(np.diff([pose[1] for pose in stream.poses]) <= 1e-9) and stream.clean()


@pytest.mark.parametrize("seed", range(3))
def test_random_plans_never_leave_the_box(seed):
    rng = np.random.default_rng(seed)
    stream = stream_in(box(lower=[0.0, -0.3, -0.4], upper=[0.5, 0.3, 0.4]), (0.1, 0.6, 0.0))
    for _ in range(40):
        actions = rng.uniform(-0.15, 0.15, (4, 3)) + rng.uniform(-0.1, 0.1, 3)
        stream.submit(plan(stream.time, actions))
        stream.until(stream.time + rng.uniform(0.05, 0.6))
        if stream.guard.state == SafetyState.HOLDING:
            stream.arm()
    poses = np.array(stream.poses)
    assert len(poses) > 100 and not stream.audit.violations
    assert np.all(poses >= [0.0, -0.3, -0.4]) and np.all(poses <= [0.5, 0.3, 0.4])


def test_bad_boxes_are_named():
    with pytest.raises(JepaError, match="leaves no room for the margin 0.01"):
        box(lower=[-1.0, 0.39, -1.0])
    with pytest.raises(JepaError, match="lower and upper must be x, y and z"):
        box(lower=[0.0])
    with pytest.raises(JepaError, match="margin is -1"):
        box(margin=-1)


def test_a_braking_path_is_looked_at_along_its_way():
    over_the_wall = box(upper=[1.0, 0.4, 1.0])
    velocity = np.array([0.0, 0.0, 20.0])
    assert not over_the_wall.allows(np.zeros(3), velocity, LIMITS.acceleration, np.zeros(3))
    assert over_the_wall.allows(np.zeros(3), velocity / 10, LIMITS.acceleration, np.zeros(3))
