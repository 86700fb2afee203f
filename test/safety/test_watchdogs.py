"""Every input that stops, by receipt or by stamp, brings the arm to rest with its reason."""

from dataclasses import replace

import numpy as np
import pytest
from guard_stream import NO_CAMERA, PERIOD, ROS, Stream, at, plan, running

from jepa_ros.safety.clock import Now
from jepa_ros.safety.guard import GuardConfig
from jepa_ros.safety.states import Reason, SafetyState
from jepa_ros.safety.watchdogs import Watchdog

LONG = replace(NO_CAMERA, plan_s=60.0)


def test_a_watchdog_knows_receipt_and_stamp():
    dog = Watchdog("camera image", Reason.IMAGE_STALE, limit=0.2)
    assert dog.complaint(at(1.0)) == "no camera image yet" and np.isnan(dog.age(at(1.0)))
    dog.feed(at(1.0), ROS + 0.95)
    assert dog.complaint(at(1.14)) == "" and dog.age(at(1.14)) == pytest.approx(0.14)
    assert "stamped 0.210 s ago" in dog.complaint(at(1.16))
    dog.feed(at(2.0))
    assert dog.complaint(at(2.19)) == "" and "no camera image for 0.2 s" in dog.complaint(at(2.21))
    dog.feed(at(3.0), ROS + 3.1)
    assert "ahead" in dog.complaint(at(3.0))
    dog.clear()
    assert dog.complaint(at(3.0))
    assert Watchdog("camera image", Reason.IMAGE_STALE, limit=0).complaint(at(1.0)) == ""


def test_when_plans_stop_the_arm_is_held_and_a_good_plan_resumes():
    stream = running().until(101.08)
    assert stream.guard.state == SafetyState.RUNNING
    stream.until(101.12)
    assert stream.guard.state == SafetyState.HOLDING and stream.guard.reason == Reason.NO_PLAN
    assert "1 s" in stream.guard.text and stream.until(101.2).clean()
    assert stream.submit(plan(101.1)).accepted and stream.guard.text == ""
    assert np.allclose(stream.until(102.0).last, [0.8, 0.5, -0.5]) and stream.clean()


def test_a_timeout_in_the_middle_of_a_block_brakes():
    stream = running(config=replace(NO_CAMERA, plan_s=0.2)).until(100.32)
    assert stream.guard.state == SafetyState.HOLDING
    assert np.any(stream.sent[-1][1].velocities), "it is on its way to rest"
    assert stream.until(100.8).clean() and 0.2 < stream.last[0] < 0.3


def test_vetoed_plans_do_not_feed_the_watchdog_and_are_named_by_the_hold():
    stream = running()
    for time in (100.5, 100.9, 101.0):
        stream.until(time).submit(plan(time, actions=np.full((4, 3), np.nan)))
    stream.until(101.2)
    assert stream.guard.state == SafetyState.HOLDING and stream.guard.reason == Reason.NOT_FINITE
    assert "NaN" in stream.guard.text


def watched(**limits):
    """A running guard that gets every input every period, but what is in ``stopped``."""
    stream = Stream(config=replace(GuardConfig(plan_s=60.0, deadman_s=0.2), **limits))
    stream.stopped, stream.old = set(), {}

    def inputs():
        for name, see in (("image", stream.guard.see_image), ("embedding", stream.guard.see_embedding)):
            if name not in stream.stopped:
                see(at(stream.time), ROS + stream.old.get(name, stream.time))
        if "deadman" not in stream.stopped:
            stream.guard.see_deadman(True, at(stream.time))

    stream.inputs = inputs
    inputs()
    assert stream.submit(plan(99.9)).accepted
    return stream


def on(stream, seconds):
    end = stream.time + seconds
    while stream.time < end - 1e-9:
        stream.inputs()
        stream.until(min(stream.time + PERIOD, end))
    return stream


CAUSES = {"image": Reason.IMAGE_STALE, "embedding": Reason.EMBEDDING_STALE, "deadman": Reason.DEADMAN}


@pytest.mark.parametrize("name", CAUSES)
def test_an_input_that_stops_holds_the_arm_and_its_return_lets_a_plan_resume(name):
    limit = 0.2
    stream = watched(image_s=limit, embedding_s=limit)
    on(stream, 0.1)
    stream.stopped.add(name)
    on(stream, limit - 0.02)
    assert stream.guard.state == SafetyState.RUNNING
    on(stream, 0.06)
    assert stream.guard.state == SafetyState.HOLDING and stream.guard.reason == CAUSES[name]
    on(stream, 0.3)
    assert stream.clean() and stream.last[0] < 0.4
    assert stream.submit(plan(stream.time)).reason == CAUSES[name], "not while it is missing"
    stream.stopped.clear()
    on(stream, 0.1)
    assert stream.submit(plan(stream.time)).accepted and on(stream, 0.6).clean()


@pytest.mark.parametrize("name", ["image", "embedding"])
def test_an_input_that_comes_with_an_old_stamp_is_stale(name):
    stream = on(watched(image_s=0.2, embedding_s=0.2), 0.1)
    stream.old[name] = stream.time
    on(stream, 0.26)
    assert stream.guard.reason == CAUSES[name] and "stamped" in stream.guard.text


def test_a_released_dead_man_switch_stops_at_once():
    stream = on(watched(), 0.1)
    stream.guard.see_deadman(False, at(stream.time))
    stream.until(stream.time + PERIOD)
    assert stream.guard.state == SafetyState.HOLDING and stream.guard.reason == Reason.DEADMAN
    assert stream.until(100.5).clean()


def test_joint_states_that_stop_hold_the_arm():
    stream = running(config=replace(LONG, joint_state_s=0.2))
    stream.silent = True
    stream.until(100.52)
    assert stream.guard.state == SafetyState.HOLDING and stream.guard.reason == Reason.JOINT_STATE_STALE
    assert stream.until(101.0).clean()


def test_joint_states_with_an_old_stamp_hold_the_arm():
    stream = running(config=replace(LONG, joint_state_s=0.2))
    stream.silent = True
    for _ in range(15):
        stream.until(stream.time + PERIOD)
        stream.guard.observe(("a", "b", "c"), stream.measured, at(stream.time), ROS + 100.3)
    assert stream.guard.reason == Reason.JOINT_STATE_STALE and "stamped" in stream.guard.text


def test_a_ros_clock_that_stands_still_holds_the_arm_and_it_still_comes_to_rest():
    stream = running(config=replace(LONG, clock_s=0.2))
    ros = ROS + stream.time
    for _ in range(30):
        stream.time += PERIOD
        stream.observe()
        now = Now(stream.time, ros)
        setpoint = stream.guard.tick(now)
        if setpoint is not None:
            stream.audit.check(setpoint.positions, setpoint.velocities, *now)
    assert stream.guard.state == SafetyState.HOLDING and stream.guard.reason == Reason.CLOCK_STOPPED
    assert not stream.guard.moving and not stream.audit.violations
    assert stream.guard.submit(plan(ros - ROS + 0.01), Now(stream.time, ros)).reason == Reason.CLOCK_STOPPED


def test_while_not_running_silence_changes_nothing():
    stream = Stream(config=GuardConfig())
    stream.silent = True
    stream.until(103.0, period=0.5)
    assert stream.guard.state == SafetyState.ARMED and not stream.sent
