"""The guard vetoes bad plans without touching the motion, comes to rest when it must, never passes a limit."""

import re
from dataclasses import replace

import numpy as np
import pytest
from guard_stream import INF, LIMITS, NAMES, NAN, NO_CAMERA, PERIOD, ROS, SPEC, Stream, at, plan, running

from jepa_ros.errors import JepaError
from jepa_ros.safety.guard import ActionGuard, GuardConfig, Now
from jepa_ros.safety.limits import JointLimits
from jepa_ros.safety.states import Reason, SafetyState
from jepa_ros.safety.workspace import Workspace

PINNED = replace(NO_CAMERA, model_id="m1")


# Good plans.


def test_a_good_plan_is_followed_to_its_end_and_then_the_guard_is_quiet():
    stream = Stream().until(100.1)
    verdict = stream.submit(plan(100.0))
    assert verdict.accepted and verdict.reason == Reason.NONE and stream.guard.state == SafetyState.RUNNING
    stream.until(100.9)
    np.testing.assert_allclose(stream.last, [0.4, 0.5, -0.5])
    assert stream.sent[-1][0] <= 100.1 + 0.4 + 0.15 and stream.clean()


def test_a_plan_takes_effect_at_once_and_then_every_period():
    stream = Stream().until(100.1)
    first = stream.submit(plan(100.0)).setpoint
    assert first.positions[0] == pytest.approx(LIMITS.acceleration[0] * PERIOD**2)
    assert first.joint_names == NAMES
    stream.until(100.3)
    np.testing.assert_allclose(np.diff([time for time, _ in stream.sent]), PERIOD)


def test_only_what_is_to_be_executed_is_followed():
    stream = Stream().until(100.1)
    stream.submit(plan(100.0, execute=2))
    assert np.allclose(stream.until(100.9).last, [0.2, 0.5, -0.5])


def test_the_next_plan_goes_on_from_the_last_setpoint_not_from_the_lagging_arm():
    stream = running().until(100.7)
    stream.stuck, stream.measured = True, np.array([0.35, 0.48, -0.52])
    stream.submit(plan(100.65))
    stream.stuck = False
    assert np.allclose(stream.until(101.4).last, [0.8, 0.5, -0.5]) and stream.clean()


def test_a_plan_that_comes_early_joins_without_a_jump():
    stream = running()
    here = stream.last[0]
    assert stream.submit(plan(100.2, np.tile([-0.1, 0.1, 0.0], (4, 1)))).accepted
    stream.until(101.0)
    np.testing.assert_allclose(stream.last, [here - 0.4, 0.9, -0.5])
    assert stream.clean()


def test_joints_in_another_order_are_sorted_by_name():
    stream = Stream().until(100.1)
    actions = np.tile([0.03, 0.01, 0.02], (4, 1))
    stream.submit(plan(100.0, actions, joint_names=["c", "a", "b"]))
    np.testing.assert_allclose(stream.until(100.8).last, [0.04, 0.58, -0.38])


def test_actions_are_clipped_to_the_bounds_of_the_action_spec_and_counted():
    stream = Stream(measured=(0.0, 0.0, 0.0)).until(100.1)
    stream.submit(plan(100.0, np.tile([0.125, 0.12, -0.1], (4, 1))))
    np.testing.assert_allclose(stream.until(100.9).last, [0.48, 0.48, -0.4])
    assert stream.guard.clamped == 4


def test_position_limits_are_kept_and_counted():
    stream = Stream(measured=(1.8, 0.0, 0.0)).until(100.1)
    stream.submit(plan(100.0))
    assert np.allclose(stream.until(100.9).last, [1.95, 0.0, 0.0])
    assert stream.guard.clamped == 3 and stream.clean()


def test_an_arm_outside_its_limits_comes_back():
    stream = Stream(measured=(1.99, 0.0, -2.2)).until(100.1)
    stream.submit(plan(100.0, np.zeros((4, 3))))
    assert np.allclose(stream.until(101.0).last, [1.95, 0.0, -1.95]) and stream.clean()


def test_no_motion_begins_where_the_arm_cannot_be():
    stream = Stream(measured=(90.0, 0.0, 0.0)).until(100.1)  # degrees
    verdict = stream.submit(plan(100.0))
    assert verdict.reason == Reason.TRACKING_ERROR and verdict.setpoint is None and not stream.sent
    assert re.search(r"a is measured at 90\.000 rad, 88\.000 rad beyond its limits.*in rad", verdict.text)
    stream.measured = np.array([1.9, 0.0, 0.0])
    stream.audit.restart(stream.measured)
    assert stream.until(100.2).submit(plan(100.15, np.zeros((4, 3)))).accepted
    assert stream.until(100.9).clean()


# Bad plans.

BAD_PLANS = [
    (Reason.WRONG_SPACE, {"space": "ee_twist"}, "'ee_twist'"),
    (Reason.FOREIGN_MODEL, {"model_id": "m2"}, "'m2'"),
    (Reason.FOREIGN_MODEL, {"model_id": ""}, "pinned is 'm1'"),
    (Reason.WRONG_JOINTS, {"joint_names": ["a", "b", "x"]}, "'x'"),
    (Reason.WRONG_JOINTS, {"joint_names": ["a", "b", "b"]}, "'b', 'b'"),
    (Reason.WRONG_JOINTS, {"joint_names": ["a", "b"], "actions": np.zeros((4, 2))}, "this robot's are"),
    (Reason.WRONG_JOINTS, {"joint_names": [*NAMES, "d"], "actions": np.zeros((4, 4))}, "'d'"),
    (Reason.EMPTY, {"actions": np.zeros((0, 3))}, "no actions"),
    (Reason.EMPTY, {"execute": 0}, "no action to be executed"),
    (Reason.PLAN_INVALID, {"actions": np.zeros((4, 2))}, r"shape \(4, 2\)"),
    (Reason.PLAN_INVALID, {"actions": np.zeros(12)}, r"shape \(12,\)"),
    (Reason.PLAN_INVALID, {"actions": np.zeros((4, 3), dtype=complex)}, "shape"),
    (Reason.PLAN_INVALID, {"execute": 21}, "execute 21 of 20"),
    (Reason.PLAN_INVALID, {"execute": -1}, "execute -1"),
    (Reason.PLAN_INVALID, {"actions": np.zeros((1001, 3)), "execute": 1001}, "1001 actions, at most 1000"),
    (Reason.PLAN_INVALID, {"dt": 0.05}, "0.05 s apart"),
    (Reason.PLAN_INVALID, {"dt": NAN}, "nan s apart"),
    (Reason.NON_MONOTONIC, {"dt": 0.0}, "does not increase"),
    (Reason.NON_MONOTONIC, {"dt": -0.1}, "does not increase"),
    (Reason.PLAN_INVALID, {"stamp": NAN}, "stamp is nan"),
    (Reason.FUTURE_STAMP, {"stamp": 103.0}, "ahead"),
    (Reason.PLAN_INVALID, {"stamp": INF}, "stamp is inf"),
    (Reason.NOT_FINITE, {"actions": np.full((4, 3), NAN)}, "NaN or Inf"),
    (Reason.NOT_FINITE, {"actions": np.array([[0.0] * 3] * 19 + [[0.0, INF, 0.0]])}, "NaN or Inf"),
    (Reason.OUT_OF_ORDER, {"stamp": 100.0}, "not newer"),
    (Reason.OUT_OF_ORDER, {"stamp": 99.9}, "not newer"),
]


@pytest.mark.parametrize("reason, changes, text", BAD_PLANS)
def test_a_bad_plan_is_vetoed_whole_and_the_motion_goes_on(reason, changes, text):
    undisturbed = running(config=PINNED).until(100.8)
    stream = running(config=PINNED)
    verdict = stream.submit(plan(**{"stamp": 100.2, **changes}))
    assert not verdict.accepted and verdict.setpoint is None and verdict.reason == reason
    assert re.search(text, verdict.text)
    status = stream.status
    assert status.state == SafetyState.RUNNING and status.reason == reason
    assert status.vetoed == status.vetoed_in_a_row == status.vetoed_by_reason[reason] == 1
    stream.until(100.8)
    for (_, ours), (_, theirs) in zip(stream.sent, undisturbed.sent, strict=True):
        np.testing.assert_array_equal(ours.positions, theirs.positions)


def test_a_plan_from_an_old_image_is_stale():
    stream = Stream().until(101.0)
    assert stream.submit(plan(100.4)).reason == Reason.PLAN_STALE
    assert stream.submit(plan(100.6)).accepted


def test_too_many_vetoes_in_a_row_hold_until_armed():
    stream = running(config=replace(NO_CAMERA, max_vetoes=3))
    bad = np.full((4, 3), NAN)
    for _ in range(2):
        stream.submit(plan(100.2, bad))
    assert stream.submit(plan(100.25)).accepted and stream.guard.vetoed_in_a_row == 0, (
        "a good one starts anew"
    )
    for _ in range(3):
        assert stream.submit(plan(100.3, bad)).reason == Reason.NOT_FINITE
    assert stream.guard.state == SafetyState.HOLDING and stream.guard.reason == Reason.TOO_MANY_VETOES
    assert re.search("3 plans in a row.*arm to go on.*NaN", stream.guard.text)
    stream.until(100.6)
    assert stream.clean() and stream.last[0] < 0.4, "it braked"
    assert stream.submit(plan(100.5)).reason == Reason.NOT_ARMED
    assert stream.guard.reason == Reason.TOO_MANY_VETOES, "which is why it holds"
    stream.guard.arm(at(100.6))
    assert stream.submit(plan(100.55)).accepted and stream.guard.vetoed == 6


# Joint states.


def test_without_measured_joints_nothing_moves():
    stream = Stream(measured=None).until(100.1)
    assert stream.submit(plan(100.0)).reason == Reason.JOINT_STATE_STALE
    stream.measured = np.zeros(3)
    stream.until(100.2)
    stream.audit.restart(stream.measured)
    assert stream.submit(plan(100.1)).accepted
    stream.silent = True
    assert stream.until(100.9).submit(plan(100.85)).reason == Reason.JOINT_STATE_STALE


@pytest.mark.parametrize(
    "names, positions, reason",
    [
        (("a", "b"), (0.0, 0.0), Reason.WRONG_JOINTS),
        (("a", "b", "b"), (0.0, 0.0, 0.0), Reason.WRONG_JOINTS),
        (("a", "b", "c"), (0.0, 0.0), Reason.WRONG_JOINTS),
        (("a", "b", "c"), (0.0, NAN, 0.0), Reason.NOT_FINITE),
    ],
)
def test_bad_joint_states_are_ignored(names, positions, reason):
    guard = Stream().guard
    assert guard.observe(names, positions, at(100.4)) == reason
    assert guard.status(at(100.4)).joint_state_age_s == pytest.approx(0.4)


def test_joint_states_may_hold_further_joints_in_any_order():
    guard = Stream(measured=None).guard
    assert guard.observe(("x", "c", "b", "a"), (9.0, 3.0, 2.0, 1.0), at(100.0)) == Reason.NONE
    np.testing.assert_array_equal(guard.command, [1.0, 2.0, 3.0])


# Arming, holding, stopping.


def test_idle_vetoes_and_arming_allows():
    stream = Stream(armed=False).until(100.1)
    assert stream.guard.state == SafetyState.IDLE
    assert stream.submit(plan(100.0)).reason == Reason.NOT_ARMED and stream.guard.state == SafetyState.IDLE
    stream.guard.arm(at(100.1))
    assert stream.guard.state == SafetyState.ARMED and stream.guard.reason == Reason.NONE
    stream.audit.restart(stream.measured)
    assert stream.submit(plan(100.0)).accepted


STOPS = {
    "hold": (SafetyState.HOLDING, Reason.CANCELED),
    "estop": (SafetyState.ESTOPPED, Reason.ESTOP),
    "disarm": (SafetyState.IDLE, Reason.NONE),
}


@pytest.mark.parametrize("name", STOPS)
def test_a_stop_brakes_at_once_as_hard_as_allowed_then_rests(name):
    stream = running()
    speed, moved = stream.sent[-1][1].velocities[0], stream.last[0]
    stream.time += 0.012
    first = stream.stop(name)
    assert (stream.guard.state, stream.guard.reason) == STOPS[name]
    assert first.velocities[0] == pytest.approx(speed - LIMITS.acceleration[0] * 0.012), "no wait for a tick"
    began, count = stream.time, len(stream.sent)
    stream.until(101.0)
    assert stream.sent[-1][0] - began <= speed / LIMITS.acceleration[0] + 2 * PERIOD
    assert stream.last[0] - moved <= speed**2 / (2 * LIMITS.acceleration[0]) + 1e-9
    assert len(stream.sent) - count < 6 and stream.clean()


@pytest.mark.parametrize("name", STOPS)
def test_a_stop_at_rest_says_once_where_the_arm_rests(name):
    stream = running().until(100.7)
    before = stream.last
    stream.stop(name)
    stream.until(101.0)
    times = [time for time, _ in stream.sent if time > 100.7 - 1e-9]
    assert len(times) == 1 and stream.clean()
    np.testing.assert_array_equal(stream.last, before)


def test_a_hold_ends_the_motion_and_only_a_plan_from_after_it_resumes():
    stream = running()
    stream.stop("hold")
    assert stream.submit(plan(100.25)).reason == Reason.CANCELED
    assert stream.guard.state == SafetyState.HOLDING
    stream.until(100.4)
    assert stream.submit(plan(100.35)).accepted and stream.until(101.2).clean()


def test_a_hold_until_armed_waits_for_arming():
    stream = running()
    stream.stop("hold", until_armed=True)
    stream.until(100.5)
    assert stream.submit(plan(100.45)).reason == Reason.NOT_ARMED
    stream.guard.arm(at(100.5))
    assert stream.guard.state == SafetyState.ARMED
    assert stream.submit(plan(100.45)).accepted


@pytest.mark.parametrize(
    "stop",
    [
        lambda stream: stream.stop("disarm"),
        lambda stream: stream.stop("hold", until_armed=True),
        lambda stream: stream.stop("hold"),
        lambda stream: (stream.stop("estop"), stream.guard.reset_estop()),
    ],
)
def test_an_arm_moved_by_hand_before_arming_starts_where_it_is(stop):
    stream = running().until(100.7)
    stop(stream)
    stream.until(100.9)
    stream.measured = np.array([1.3, -0.4, 0.2])
    stream.until(101.0)
    stream.guard.arm(at(101.0))
    stream.audit.restart(stream.measured)
    assert stream.submit(plan(101.0, np.zeros((4, 3)))).accepted
    np.testing.assert_array_equal(stream.until(101.5).last, [1.3, -0.4, 0.2])
    assert stream.clean()


def test_arming_while_the_arm_still_brakes_keeps_the_motion_continuous():
    stream = running()
    stream.stop("hold", until_armed=True)
    stream.guard.arm(at(stream.time))
    stream.until(100.32)
    assert np.any(stream.sent[-1][1].velocities)
    assert stream.submit(plan(100.31, np.tile([-0.1, 0.0, 0.0], (4, 1)))).accepted
    assert stream.until(101.2).clean()


def test_a_hold_means_nothing_while_disarmed():
    stream = Stream(armed=False)
    assert stream.stop("hold") is None and stream.guard.state == SafetyState.IDLE


def test_the_emergency_stop_is_latched_until_reset_and_armed():
    stream = running()
    stream.stop("estop")
    stream.until(100.5)
    assert stream.submit(plan(100.45)).reason == Reason.ESTOP
    assert stream.guard.arm(at(100.5)) == Reason.ESTOP
    assert stream.stop("hold") is None and stream.stop("disarm") is None
    assert stream.guard.state == SafetyState.ESTOPPED and stream.guard.reason == Reason.ESTOP
    stream.guard.reset_estop()
    assert stream.guard.state == SafetyState.IDLE
    assert stream.submit(plan(100.45)).reason == Reason.NOT_ARMED
    stream.guard.arm(at(100.5))
    stream.audit.restart(stream.measured)
    stream.until(100.6)
    assert stream.submit(plan(100.55)).accepted


def test_the_emergency_stop_works_from_every_state():
    for stream in (Stream(armed=False), Stream(), Stream(measured=None)):
        assert stream.stop("estop") is None, "the arm was at rest"
        assert stream.guard.state == SafetyState.ESTOPPED


def test_plans_that_run_ahead_of_a_clock_that_stands_still_are_not_too_many():
    """They keep coming, stamped by a source that goes on; when the clock does too, so does the arm."""
    stream = running(config=replace(NO_CAMERA, max_vetoes=3))
    stands, ros = stream.time, ROS + stream.time
    while stream.time < stands + 0.8:
        stream.time += PERIOD
        stream.take(stream.guard.tick(Now(stream.time, ros)))
        stream.guard.observe(NAMES, stream.measured, Now(stream.time, ros), ROS + stream.time)
        stream.take(stream.guard.submit(plan(stream.time), Now(stream.time, ros)).setpoint)
    assert stream.guard.state == SafetyState.HOLDING and stream.guard.vetoed > 10
    assert stream.guard.reason != Reason.TOO_MANY_VETOES
    stream.until(stream.time + 0.1)
    assert stream.submit(plan(stream.time - 0.05)).accepted
    assert stream.until(stream.time + 1.5).clean()


def test_reset_of_no_emergency_stop_changes_nothing():
    stream = running()
    stream.guard.reset_estop()
    assert stream.guard.state == SafetyState.RUNNING


def test_shutdown_holds_and_disarms():
    stream = running()
    stream.stop("disarm", reason=Reason.SHUTDOWN)
    assert stream.guard.state == SafetyState.IDLE and stream.guard.reason == Reason.SHUTDOWN
    assert stream.submit(plan(100.3)).reason == Reason.NOT_ARMED
    assert stream.until(100.6).clean()


def test_arming_while_running_disturbs_nothing():
    stream = running()
    stream.guard.arm(at(100.3))
    assert stream.guard.state == SafetyState.RUNNING
    assert stream.submit(plan(100.0)).reason == Reason.OUT_OF_ORDER


# Tracking.


def test_an_arm_that_does_not_follow_is_held_where_it_is():
    stream = running()
    stream.stuck, stream.measured = True, np.array([-0.2, 0.5, -0.5])
    stream.until(100.32)
    assert stream.guard.state == SafetyState.HOLDING and stream.guard.reason == Reason.TRACKING_ERROR
    assert re.search(r"a is 0\.\d+ rad from its command, at most 0.3", stream.guard.text)
    stream.until(101.2)
    np.testing.assert_allclose(stream.last, stream.measured, atol=1e-6)
    assert stream.clean()
    stream.stuck = False
    assert stream.submit(plan(101.1)).accepted and stream.until(102.0).clean()


def test_an_arm_pushed_away_while_held_is_followed_before_the_next_plan():
    stream = running().until(101.3)  # no plan: held
    stream.measured, stream.stuck = stream.last - [0.5, 0.0, 0.0], True
    stream.until(101.5)
    assert stream.submit(plan(101.45)).reason == Reason.TRACKING_ERROR
    stream.until(102.4)
    assert stream.submit(plan(102.35, np.zeros((4, 3)))).accepted
    np.testing.assert_allclose(stream.until(103.0).last, stream.measured, atol=1e-6)
    assert stream.clean()


@pytest.mark.parametrize("still_wrong", [False, True], ids=["one sample", "all from then on"])
@pytest.mark.parametrize("off", [-1.5, 0.9, 2 * np.pi])
def test_an_arm_is_never_sent_to_where_it_can_hardly_be(off, still_wrong):
    """A glitch of an encoder, a turn too many, another robot's joint states."""
    stream = running()
    before, true = stream.last.copy(), stream.measured.copy()
    stream.measured, stream.stuck = true + [off, 0.0, 0.0], True
    stream.until(100.32)
    stream.measured, stream.stuck = (stream.measured if still_wrong else true), still_wrong
    stream.until(100.5)
    assert stream.guard.state == SafetyState.HOLDING and stream.guard.reason == Reason.TRACKING_ERROR
    assert "are its joint_states right?" in stream.guard.text
    rest = stream.last.copy()
    assert np.abs(rest - before).max() < 0.1 and stream.clean(), "it brakes where it was sent"
    if still_wrong:
        for second in range(1, 4):
            assert stream.submit(plan(100.4 + second / 10)).reason == Reason.TRACKING_ERROR
            stream.until(100.5 + second / 10)
    stream.stop("estop")
    np.testing.assert_array_equal(stream.until(101.5).last, rest)
    assert stream.clean()


@pytest.mark.parametrize("off", [-0.59, -0.4, 0.4])
def test_a_single_wrong_joint_state_near_the_tolerance_does_not_take_the_arm_there(off):
    stream = running()
    before, true = stream.last.copy(), stream.measured.copy()
    stream.measured, stream.stuck = true + [off, 0.0, 0.0], True
    while stream.guard.state == SafetyState.RUNNING:
        stream.until(stream.time + 0.02)
    stream.measured = before
    stream.until(102.0)
    assert stream.guard.reason == Reason.TRACKING_ERROR
    assert np.abs(stream.last - before).max() < 0.1 and stream.clean()


def test_a_vetoed_plan_does_not_make_a_retreat_blind():
    """The plan would leave the workspace; what goes on is the retreat, and the wrong reading that it is for is over."""
    stream = running(workspace=Workspace([-2.0] * 3, [2.0, 0.511, 2.0], lambda joints: joints))
    before, stream.stuck = stream.last.copy(), True
    stream.measured = stream.measured - [0.4, 0.0, 0.0]
    while stream.guard.state == SafetyState.RUNNING:
        stream.until(stream.time + 0.02)
    stream.time, stream.measured = stream.time + 0.01, stream.last.copy()
    stream.observe()
    up = np.tile([0.0, 0.1, 0.0], (4, 1))
    assert stream.submit(plan(stream.time, up)).reason == Reason.WORKSPACE
    stream.until(102.0)
    assert np.abs(stream.last - before).max() < 0.1 and stream.clean()


def test_an_arm_that_gives_way_is_not_followed_without_end():
    """It hangs below where it is sent by more than the tolerance, wherever that is."""
    stream = running()
    stream.stuck = True
    for _ in range(100):
        stream.measured = stream.last - [0.0, 0.35, 0.0]
        stream.until(stream.time + 0.02)
    rest = stream.last.copy()
    assert stream.guard.reason == Reason.TRACKING_ERROR and rest[1] > 0.5 - 0.25
    np.testing.assert_array_equal(stream.until(stream.time + 1.0).last, rest)
    assert stream.clean()


def test_a_wrong_joint_state_during_an_emergency_stop_moves_nothing():
    stream = running()
    stream.stop("estop")
    stream.measured, stream.stuck = stream.measured + [-1.5, 0.0, 0.0], True
    stream.observe()
    before = stream.last.copy()
    stream.stop("estop")
    assert np.abs(stream.until(101.5).last - before).max() < 0.05 and stream.clean()


def test_an_arm_is_sent_to_where_it_is_measured_no_faster_than_plans_may_go():
    stream = running()
    stream.stuck, stream.measured = True, stream.last - [0.5, 0.0, 0.0]
    stream.until(102.0)
    np.testing.assert_allclose(stream.last, stream.measured, atol=1e-6)
    assert max(np.abs(sent.velocities).max() for _, sent in stream.sent) <= 1.2 + 1e-6 and stream.clean()


@pytest.mark.parametrize("beyond", [-0.04, 0.0, 0.25])
def test_an_arm_at_a_limit_comes_back_no_faster_than_plans_may_go(beyond):
    """Within the margin, which is no place for setpoints, or beyond the limit itself, with a plan not to move."""
    stream = Stream(measured=[2.0 + beyond, 0.5, -0.5]).until(100.1)
    stream.audit.restart(stream.measured)
    assert stream.submit(plan(100.0, np.zeros((4, 3)))).accepted
    stream.until(100.9)
    np.testing.assert_allclose(stream.last, [1.95, 0.5, -0.5], atol=1e-6)
    assert max(np.abs(sent.velocities).max() for _, sent in stream.sent) <= 1.2 + 1e-6 and stream.clean()


def test_an_emergency_stop_of_a_blocked_arm_holds_it_where_it_is_measured():
    stream = running()
    stream.stuck, stream.measured = True, np.array([-0.3, 0.5, -0.5])
    stream.observe()
    stream.stop("estop")
    np.testing.assert_allclose(stream.until(101.5).last, stream.measured, atol=1e-6)
    assert stream.clean()


def test_where_nothing_is_sent_to_the_arm_every_motion_starts_where_it_is():
    stream = running(config=replace(NO_CAMERA, follows=False))
    stream.stuck, stream.measured = True, np.array([-1.0, 0.5, -0.5])
    stream.until(100.8)
    assert stream.guard.state == SafetyState.RUNNING, "tracking is not watched"
    stream.audit.restart(stream.measured)
    assert stream.submit(plan(100.7)).accepted
    np.testing.assert_allclose(stream.until(101.5).last, [-0.6, 0.5, -0.5])
    assert stream.clean()


def test_an_arm_that_drifts_from_where_twists_should_take_it_is_braked_and_goes_on_from_where_it_is():
    stream = running(config=replace(NO_CAMERA, follows=False, drifts=True))
    stream.stuck, stream.measured = True, np.array([-0.3, 0.5, -0.5])
    before = stream.last[0]
    stream.until(100.32)
    assert stream.guard.state == SafetyState.HOLDING and stream.guard.reason == Reason.TRACKING_ERROR
    stream.until(100.8)
    assert stream.last[0] > before and stream.clean(), "no motion back: a twist would move the arm"
    stream.audit.restart(stream.measured)
    assert stream.submit(plan(100.75)).accepted
    stream.stuck = False
    np.testing.assert_allclose(stream.until(101.5).last, [0.1, 0.5, -0.5])
    assert stream.clean()


# Clocks.


def set_back(stream):
    """The same moment after the ROS clock was set to 2 s."""
    return Now(steady=stream.time, ros=2.0)


def test_a_clock_set_back_starts_the_order_of_plans_anew_and_jumps_nowhere():
    stream = running()
    stream.time += 0.02
    now = set_back(stream)
    stream.observe()
    verdict = stream.guard.submit(plan(stamp=1.9 - ROS), now)
    assert verdict.accepted
    stream.audit.check(verdict.setpoint.positions, verdict.setpoint.velocities, *now)
    assert not stream.audit.violations


def test_a_clock_set_back_after_a_hold_does_not_block_plans():
    stream = running().until(100.7)
    stream.stop("hold", until_armed=True)
    now = set_back(stream)
    stream.guard.arm(now)
    assert stream.guard.submit(plan(stamp=1.9 - ROS), now).accepted


def test_a_clock_that_jumps_ahead_moves_nothing_faster():
    stream = running()
    for jump in (0.015, 0.5, 3600.0):
        stream.time += PERIOD
        stream.observe()
        now = Now(stream.time, ROS + stream.time + jump)
        setpoint = stream.guard.tick(now)
        stream.audit.check(setpoint.positions, setpoint.velocities, *now)
    assert not stream.audit.violations, stream.audit.violations


def test_a_clock_that_is_no_number_moves_nothing():
    stream = running()
    assert stream.guard.tick(Now(NAN, ROS + 100.32)) is None
    assert stream.guard.state == SafetyState.HOLDING
    assert not stream.guard.submit(plan(100.15), Now(100.32, NAN)).accepted


def test_ticks_that_stall_and_hurry_jump_nowhere():
    stream = running()
    for wait in (0.3, 0.0004, 0.001, 0.07, 0.02, 0.0001, 0.033):
        stream.until(stream.time + wait, period=wait)
    assert stream.until(101.6).clean()


# Words.


def test_status_has_ages_counts_and_command():
    empty = Stream(armed=False, measured=None).status
    assert np.isnan(
        [empty.plan_age_s, empty.joint_state_age_s, empty.image_age_s, empty.embedding_age_s]
    ).all()
    assert np.isnan(empty.tracking_error) and empty.command is None
    stream = running()
    stream.guard.see_image(at(100.2), ROS + 100.15)
    stream.guard.see_embedding(at(100.25))
    status = stream.status
    assert status.plan_age_s == pytest.approx(0.3) and status.joint_state_age_s == pytest.approx(0.0)
    assert status.image_age_s == pytest.approx(0.1) and status.embedding_age_s == pytest.approx(0.05)
    assert (status.state, status.reason) == (SafetyState.RUNNING, Reason.NONE)
    assert (status.vetoed, status.clamped, sum(status.vetoed_by_reason)) == (0, 0, 0)
    np.testing.assert_array_equal(status.command, stream.last)
    assert status.tracking_error < 0.05
    stream.stop("disarm")
    stream.until(100.7).measured = np.array([1.0, 0.0, 0.0])
    stream.until(100.8).guard.arm(at(100.8))
    np.testing.assert_array_equal(stream.status.command, [1.0, 0.0, 0.0])  # where the next motion begins


def test_bad_settings_and_foreign_limits_are_named():
    for name, value in [
        ("plan_s", -1.0),
        ("image_s", NAN),
        ("clock_s", INF),
        ("period", 0),
        ("max_vetoes", 0),
    ]:
        with pytest.raises(JepaError, match=f"{name} is"):
            GuardConfig(**{name: value})
    with pytest.raises(JepaError, match=r"limits are for joints \['x'\]"):
        ActionGuard(SPEC, JointLimits(("x",), [-1.0], [1.0], [1.0], [1.0]))


# How long the arm is given.


def test_an_arm_that_lags_is_given_as_long_as_its_velocity_limit_takes():
    stream = running()
    stream.stuck = True
    stream.until(100.36)
    lag = stream.last[0] - stream.measured[0]
    assert lag > LIMITS.velocity[0] * PERIOD
    setpoint = stream.sent[-1][1]
    assert setpoint.duration == pytest.approx(lag / LIMITS.velocity[0])


def test_no_motion_begins_at_an_old_pose_even_where_joint_states_are_not_watched():
    stream = Stream(config=replace(NO_CAMERA, joint_state_s=0))
    stream.silent = True
    stream.time = 100.6
    verdict = stream.submit(plan(100.5))
    assert verdict.reason == Reason.JOINT_STATE_STALE and not stream.sent
