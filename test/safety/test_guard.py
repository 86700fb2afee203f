"""The guard vetoes bad plans without touching the motion, holds when it must, never leaves the limits."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.safety.guard import ActionGuard, GuardConfig, Now, Plan
from jepa_ros.safety.limits import JointLimits
from jepa_ros.safety.states import Reason, SafetyState

NAMES = ("a", "b", "c")
SPEC = ActionSpec(joint_names=NAMES, lower=(-0.12,) * 3, upper=(0.12,) * 3, block=4, rate_hz=10.0,
                  position_lower=(-2.0,) * 3, position_upper=(2.0,) * 3)
LIMITS = JointLimits.from_spec(SPEC, velocity=1.5, margin=0.05)
ROS = 5000.0  # the ROS clock is this far ahead of the steady one
NAN, INF = math.nan, math.inf


def at(steady):
    """A moment at which both clocks agree but for their origin."""
    return Now(steady, ROS + steady)


def plan(stamp=100.0, actions=None, **changes):
    """A good plan from an image taken at ``stamp`` on the steady clock: a moves by 0.1 per action."""
    actions = np.tile([0.1, 0.0, 0.0], (20, 1)) if actions is None else actions
    good = Plan(stamp=ROS + stamp, joint_names=NAMES, actions=actions, dt=0.1, execute=4, model_id="m1")
    return replace(good, **changes)


def guard(armed=True, measured=(0.0, 0.5, -0.5), config=None):
    made = ActionGuard(SPEC, LIMITS, config or GuardConfig())
    if measured is not None:
        assert made.observe(NAMES, measured, at(100.0)) == Reason.NONE
    if armed:
        assert made.arm(at(100.0)) == Reason.NONE
    return made


def running():
    """A guard that accepted the good plan at 100.1."""
    made = guard()
    assert made.submit(plan(), at(100.1)).accepted
    return made


def test_a_good_plan_becomes_absolute_targets_from_where_the_arm_is():
    made = guard()
    verdict = made.submit(plan(plan_id="p7"), at(100.1))
    assert verdict.accepted and verdict.reason == Reason.NONE and made.state == SafetyState.RUNNING
    command = verdict.command
    np.testing.assert_allclose(command.positions, [[0.1, 0.5, -0.5], [0.2, 0.5, -0.5], [0.3, 0.5, -0.5],
                                                   [0.4, 0.5, -0.5]])
    np.testing.assert_allclose(command.times_from_start, [0.1, 0.2, 0.3, 0.4])
    assert (command.joint_names, command.clamped, command.plan_id) == (NAMES, 0, "p7")


def test_the_next_plan_goes_on_from_the_last_sent_command_not_from_the_lagging_arm():
    made = running()
    made.observe(NAMES, [0.35, 0.48, -0.52], at(100.5))
    command = made.submit(plan(100.5), at(100.6)).command
    np.testing.assert_allclose(command.positions[0], [0.5, 0.5, -0.5])
    assert made.resyncs == 0


def test_a_plan_that_comes_early_goes_on_from_the_present_command():
    made = running()
    command = made.submit(plan(100.2), at(100.1 + 0.25)).command
    np.testing.assert_allclose(command.positions[0], [0.25 + 0.1, 0.5, -0.5])


def test_the_command_in_between_is_linear_and_rests_at_the_end():
    made = running()
    for elapsed, expected in ((0.0, 0.0), (0.05, 0.05), (0.25, 0.25), (0.4, 0.4), (9.0, 0.4)):
        assert made.command_at(at(100.1 + elapsed))[0] == pytest.approx(expected, abs=1e-9)


def test_joints_in_another_order_are_sorted_by_name():
    shuffled = plan(joint_names=["c", "a", "b"], actions=np.tile([0.03, 0.01, 0.02], (4, 1)))
    command = guard().submit(shuffled, at(100.1)).command
    np.testing.assert_allclose(command.positions[0], [0.01, 0.52, -0.47])


def test_an_arm_far_from_the_command_is_the_new_start():
    made = running()
    made.observe(NAMES, [-0.5, 0.5, -0.5], at(100.5))
    command = made.submit(plan(100.5), at(100.6)).command
    np.testing.assert_allclose(command.positions[0], [-0.4, 0.5, -0.5])
    assert made.resyncs == 1


def test_actions_are_clipped_to_the_bounds_of_the_action_spec_and_counted():
    made = guard(measured=(0.0, 0.0, 0.0))
    actions = np.tile([-0.1, 0.125, 0.12], (4, 1))
    command = made.submit(plan(joint_names=["c", "a", "b"], actions=actions), at(100.1)).command
    np.testing.assert_allclose(command.positions, np.arange(1, 5)[:, None] * [0.12, 0.12, -0.1])
    assert command.clamped == made.clamped == 4


def test_velocity_and_position_are_clamped_and_counted():
    wide = replace(SPEC, lower=(-9.0,) * 3, upper=(9.0,) * 3)
    made = ActionGuard(wide, LIMITS)
    made.observe(NAMES, (1.8, 0.0, 0.0), at(100.0))
    made.arm(at(100.0))
    command = made.submit(plan(actions=np.tile([0.1, 0.5, 0.0], (4, 1))), at(100.1)).command
    np.testing.assert_allclose(command.positions[:, 0], [1.9, 1.95, 1.95, 1.95])
    np.testing.assert_allclose(command.positions[:, 1], [0.15, 0.3, 0.45, 0.6])
    assert command.clamped == made.clamped == 3 + 4


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
    (Reason.PLAN_INVALID, {"dt": 0.05}, "0.05 s apart"),
    (Reason.PLAN_INVALID, {"dt": NAN}, "nan s apart"),
    (Reason.PLAN_INVALID, {"stamp": NAN}, "stamp is nan"),
    (Reason.PLAN_INVALID, {"stamp": 103.0}, "ahead"),
    (Reason.NOT_FINITE, {"actions": np.full((4, 3), NAN)}, "NaN or Inf"),
    (Reason.NOT_FINITE, {"actions": np.array([[0.0] * 3] * 19 + [[0.0, INF, 0.0]])}, "NaN or Inf"),
    (Reason.OUT_OF_ORDER, {"stamp": 100.0}, "not newer"),
    (Reason.OUT_OF_ORDER, {"stamp": 99.9}, "not newer"),
]


@pytest.mark.parametrize("reason, changes, text", BAD_PLANS)
def test_a_bad_plan_is_vetoed_whole_and_the_motion_goes_on(reason, changes, text):
    made = guard(config=GuardConfig(model_id="m1"))
    assert made.submit(plan(), at(100.1)).accepted
    times = [at(t) for t in np.linspace(100.1, 100.6, 11)]
    before = [made.command_at(t) for t in times]

    verdict = made.submit(plan(**{"stamp": 100.2, **changes}), at(100.3))

    assert not verdict.accepted and verdict.command is None and verdict.reason == reason
    assert re.search(text, verdict.text)
    assert made.state == SafetyState.RUNNING and made.vetoed == 1 and made.reason == reason
    np.testing.assert_array_equal([made.command_at(t) for t in times], before)
    assert made.tick(at(100.35)) is None


def test_a_plan_from_an_old_image_is_stale():
    made = guard()
    made.observe(NAMES, [0.0, 0.5, -0.5], at(101.0))
    assert made.submit(plan(100.4), at(101.0)).reason == Reason.PLAN_STALE
    assert made.submit(plan(100.6), at(101.0)).accepted


def test_without_measured_joints_nothing_moves():
    made = guard(measured=None)
    assert made.submit(plan(), at(100.1)).reason == Reason.JOINT_STATE_STALE
    assert made.observe(NAMES, [0, 0, 0], at(100.2)) == Reason.NONE
    assert made.submit(plan(), at(100.2)).accepted
    assert made.submit(plan(100.6), at(100.9)).reason == Reason.JOINT_STATE_STALE


@pytest.mark.parametrize("names, positions, reason", [
    (("a", "b"), (0.0, 0.0), Reason.WRONG_JOINTS),
    (("a", "b", "b"), (0.0, 0.0, 0.0), Reason.WRONG_JOINTS),
    (("a", "b", "c"), (0.0, 0.0), Reason.WRONG_JOINTS),
    (("a", "b", "c"), (0.0, NAN, 0.0), Reason.NOT_FINITE),
])
def test_bad_joint_states_are_ignored(names, positions, reason):
    made = guard()
    assert made.observe(names, positions, at(100.4)) == reason
    assert made.status(at(100.4)).joint_state_age_s == pytest.approx(0.4)


def test_joint_states_may_hold_further_joints_in_any_order():
    made = guard(measured=None)
    assert made.observe(("x", "c", "b", "a"), (9.0, 3.0, 2.0, 1.0), at(100.0)) == Reason.NONE
    np.testing.assert_array_equal(made.hold_position(at(100.0)), [1.0, 2.0, 3.0])


def test_idle_vetoes_and_arming_allows():
    made = guard(armed=False)
    assert made.state == SafetyState.IDLE
    assert made.submit(plan(), at(100.1)).reason == Reason.NOT_ARMED and made.state == SafetyState.IDLE
    made.arm(at(100.1))
    assert made.state == SafetyState.ARMED and made.reason == Reason.NONE
    assert made.submit(plan(), at(100.1)).accepted


def test_when_plans_stop_the_arm_is_held_once_where_it_was_commanded():
    made = running()
    made.observe(NAMES, [0.4, 0.45, -0.5], at(101.0))
    assert made.tick(at(101.09)) is None and made.state == SafetyState.RUNNING
    hold = made.tick(at(101.11))
    assert made.state == SafetyState.HOLDING and made.reason == Reason.NO_PLAN and "1 s" in made.text
    np.testing.assert_allclose(hold.positions, [[0.4, 0.5, -0.5]])
    np.testing.assert_allclose(hold.times_from_start, [0.1])
    assert made.tick(at(101.2)) is None, "sent once"


def test_a_timeout_in_the_middle_of_a_block_holds_where_the_command_is():
    made = guard(config=GuardConfig(plan_timeout=0.2))
    made.submit(plan(), at(100.1))
    hold = made.tick(at(100.35))
    np.testing.assert_allclose(hold.positions[0], [0.25, 0.5, -0.5])
    np.testing.assert_allclose(made.command_at(at(100.5)), [0.25, 0.5, -0.5])


def test_vetoed_plans_do_not_feed_the_watchdog_and_are_named_by_the_hold():
    made = running()
    for t in (100.5, 100.9, 101.0):
        made.observe(NAMES, [0.4, 0.5, -0.5], at(t))
        made.submit(plan(t, actions=np.full((4, 3), NAN)), at(t))
    assert made.tick(at(101.2)) is not None
    assert made.state == SafetyState.HOLDING and made.reason == Reason.NOT_FINITE and "NaN" in made.text


def test_a_good_plan_resumes_after_plans_stopped():
    made = running()
    made.observe(NAMES, [0.4, 0.5, -0.5], at(101.1))
    made.tick(at(101.2))
    command = made.submit(plan(101.0), at(101.3)).command
    assert made.state == SafetyState.RUNNING and made.reason == Reason.NONE and made.text == ""
    np.testing.assert_allclose(command.positions[0], [0.5, 0.5, -0.5])


def test_stale_joint_states_hold_the_arm_where_it_was_commanded():
    made = guard(config=GuardConfig(plan_timeout=9.0))
    made.submit(plan(), at(100.1))
    hold = made.tick(at(100.51))
    assert made.state == SafetyState.HOLDING and made.reason == Reason.JOINT_STATE_STALE
    np.testing.assert_allclose(hold.positions[0], [0.4, 0.5, -0.5], atol=1e-9)


def test_a_hold_ends_the_motion_and_only_a_plan_from_after_it_resumes():
    made = running()
    made.observe(NAMES, [0.05, 0.5, -0.5], at(100.2))
    hold = made.hold(at(100.2))
    assert made.state == SafetyState.HOLDING and made.reason == Reason.CANCELED
    np.testing.assert_allclose(hold.positions[0], [0.1, 0.5, -0.5])
    assert made.submit(plan(100.15), at(100.25)).reason == Reason.CANCELED
    assert made.state == SafetyState.HOLDING
    assert made.submit(plan(100.3), at(100.35)).accepted


def test_a_hold_until_armed_waits_for_arming():
    made = running()
    assert made.hold(at(100.2), until_armed=True) is not None
    assert made.submit(plan(100.3), at(100.35)).reason == Reason.NOT_ARMED
    made.arm(at(100.4))
    made.observe(NAMES, [0.1, 0.5, -0.5], at(100.4))
    assert made.state == SafetyState.ARMED
    assert made.submit(plan(100.4), at(100.45)).accepted


@pytest.mark.parametrize("stop", [
    lambda made: made.disarm(at(100.5)),
    lambda made: made.hold(at(100.5), until_armed=True),
    lambda made: (made.estop(at(100.5)), made.reset_estop()),
])
def test_an_arm_moved_by_hand_while_disarmed_starts_where_it_is(stop):
    made = running()
    stop(made)
    by_hand = [0.4 - 0.29, 0.5 + 0.29, -0.5]  # within resync_tolerance of the old command
    made.observe(NAMES, by_hand, at(101.0))
    made.arm(at(101.0))
    command = made.submit(plan(101.0, actions=np.zeros((4, 3))), at(101.1)).command
    np.testing.assert_array_equal(command.positions, [by_hand] * 4)


def test_a_hold_means_nothing_while_disarmed():
    made = guard(armed=False)
    assert made.hold(at(100.1)) is None and made.state == SafetyState.IDLE


def test_an_arm_that_is_blocked_is_held_where_it_is_measured():
    made = running()
    made.observe(NAMES, [-0.3, 0.5, -0.5], at(100.5))
    hold = made.estop(at(100.5))
    np.testing.assert_allclose(hold.positions[0], [-0.3, 0.5, -0.5])


def test_the_emergency_stop_is_latched_until_reset_and_armed():
    made = running()
    hold = made.estop(at(100.3))
    assert made.state == SafetyState.ESTOPPED and made.reason == Reason.ESTOP
    np.testing.assert_allclose(hold.positions[0], [0.2, 0.5, -0.5])
    assert made.submit(plan(100.35), at(100.4)).reason == Reason.ESTOP
    assert made.arm(at(100.4)) == Reason.ESTOP
    assert made.hold(at(100.4)) is None and made.disarm(at(100.4)) is None and made.tick(at(109.0)) is None
    assert made.state == SafetyState.ESTOPPED and made.reason == Reason.ESTOP
    made.reset_estop()
    assert made.state == SafetyState.IDLE
    assert made.submit(plan(100.4), at(100.45)).reason == Reason.NOT_ARMED
    made.arm(at(100.45))
    assert made.submit(plan(100.4), at(100.45)).accepted


def test_the_emergency_stop_works_from_every_state():
    for made in (guard(armed=False), guard(), guard(measured=None)):
        assert made.estop(at(100.1)) is None, "the arm was at rest"
        assert made.state == SafetyState.ESTOPPED


def test_reset_of_no_emergency_stop_changes_nothing():
    made = running()
    made.reset_estop()
    assert made.state == SafetyState.RUNNING


def test_shutdown_holds_and_disarms():
    made = running()
    hold = made.disarm(at(100.3), Reason.SHUTDOWN)
    np.testing.assert_allclose(hold.positions[0], [0.2, 0.5, -0.5])
    assert made.state == SafetyState.IDLE and made.reason == Reason.SHUTDOWN
    assert made.submit(plan(100.3), at(100.35)).reason == Reason.NOT_ARMED


def test_arming_while_running_disturbs_nothing():
    made = running()
    made.arm(at(100.2))
    assert made.state == SafetyState.RUNNING
    assert made.submit(plan(100.0), at(100.2)).reason == Reason.OUT_OF_ORDER


def test_a_clock_set_back_starts_the_order_of_plans_anew():
    made = running()
    now = Now(steady=100.4, ros=2.0)
    made.observe(NAMES, [0.4, 0.5, -0.5], now)
    verdict = made.submit(plan(stamp=1.9 - ROS), now)
    assert verdict.accepted
    np.testing.assert_allclose(verdict.command.positions[0], [0.5, 0.5, -0.5])


def test_a_clock_set_back_after_a_hold_does_not_block_plans():
    made = running()
    made.hold(at(100.3), until_armed=True)
    now = Now(steady=100.4, ros=2.0)
    made.arm(now)
    assert made.submit(plan(stamp=1.9 - ROS), now).accepted


def test_the_steady_watchdog_runs_while_the_ros_clock_stands_still():
    made = running()
    now = Now(steady=101.2, ros=ROS + 100.1)
    made.observe(NAMES, [0.0, 0.5, -0.5], now)
    hold = made.tick(now)
    np.testing.assert_allclose(hold.positions[0], [0.0, 0.5, -0.5])
    assert made.state == SafetyState.HOLDING


def test_time_that_is_not_a_number_fails_safe():
    made = running()
    assert made.tick(Now(NAN, ROS + 100.2)) is not None and made.state == SafetyState.HOLDING
    assert not made.submit(plan(100.15), Now(100.2, NAN)).accepted


def test_status_has_ages_counts_and_command():
    made = guard(armed=False, measured=None)
    empty = made.status(at(100.0))
    assert math.isnan(empty.plan_age_s) and math.isnan(empty.joint_state_age_s) and empty.command is None
    status = running().status(at(100.3))
    assert status.plan_age_s == pytest.approx(0.3) and status.joint_state_age_s == pytest.approx(0.3)
    assert (status.state, status.reason) == (SafetyState.RUNNING, Reason.NONE)
    assert (status.vetoed, status.clamped, status.resyncs) == (0, 0, 0)
    np.testing.assert_allclose(status.command, [0.2, 0.5, -0.5])


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_no_command_leaves_the_limits(seed):
    """Random plans, good and bad, early and late, with pushes, holds and timeouts."""
    rng = np.random.default_rng(seed)
    low, high = LIMITS.lower + LIMITS.margin, LIMITS.upper - LIMITS.margin
    measured = rng.uniform(low, high)
    made = guard(measured=measured, config=GuardConfig(plan_timeout=0.3))
    steady, accepted, resyncs = 100.0, 0, 0
    for _ in range(150):
        steady += rng.uniform(0.01, 0.3)
        now = at(steady)
        previous = made.command_at(now)
        if rng.random() < 0.2:
            measured = np.clip(measured + 0.3 * rng.standard_normal(3), low, high)
        made.observe(NAMES, measured, now)
        event = rng.random()
        if event < 0.7:
            actions = 10.0 ** rng.uniform(-2, 200 if event < 0.1 else 0.5) * rng.standard_normal((20, 3))
            if rng.random() < 0.1:
                actions[rng.integers(20), rng.integers(3)] = rng.choice([NAN, INF, -INF])
            names = list(rng.permutation(NAMES)) if rng.random() < 0.9 else ["a", "b", "z"]
            verdict = made.submit(plan(steady - rng.uniform(0, 0.6), actions, joint_names=names,
                                       execute=int(rng.integers(0, 22))), now)
            command, accepted = verdict.command, accepted + verdict.accepted
        elif event < 0.75:
            command = made.hold(now)
        else:
            command = made.tick(now)
        if command is None:
            continue
        start = measured if previous is None or made.resyncs > resyncs else previous
        is_hold = made.state == SafetyState.HOLDING
        if is_hold and np.any(np.abs(previous - measured) > made.config.resync_tolerance):
            start = measured
        resyncs = made.resyncs
        assert np.all(command.positions >= low) and np.all(command.positions <= high)
        path = np.concatenate([start[None], command.positions])
        assert np.all(np.abs(np.diff(path, axis=0)) <= LIMITS.velocity * SPEC.dt + 1e-9)
        assert np.all(np.diff(command.times_from_start) > 0) and command.times_from_start[0] > 0
    assert accepted > 10


def test_bad_settings_and_foreign_limits_are_named():
    for value in (0.0, -1.0, NAN, INF):
        with pytest.raises(JepaError, match="plan_timeout is"):
            GuardConfig(plan_timeout=value)
    with pytest.raises(JepaError, match=r"limits are for joints \['x'\]"):
        ActionGuard(SPEC, JointLimits(("x",), [-1.0], [1.0], [1.0]))
