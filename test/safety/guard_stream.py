"""A guard driven tick by tick, with everything that it sends judged."""

import math
from dataclasses import replace

import numpy as np
from command_audit import CommandAudit

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.safety.guard import ActionGuard, GuardConfig, Now, Plan
from jepa_ros.safety.limits import JointLimits
from jepa_ros.safety.states import Reason, SafetyState

NAMES = ("a", "b", "c")
SPEC = ActionSpec(
    joint_names=NAMES,
    lower=(-0.12,) * 3,
    upper=(0.12,) * 3,
    block=4,
    rate_hz=10.0,
    position_lower=(-2.0,) * 3,
    position_upper=(2.0,) * 3,
)
LIMITS = JointLimits.from_spec(SPEC, velocity=1.5, acceleration=20.0, margin=0.05)
NO_CAMERA = GuardConfig(image_s=0, embedding_s=0)
ROS = 5000.0  # the ROS clock is this far ahead of the steady one
PERIOD = 0.02


def at(steady):
    """A moment at which both clocks agree but for their origin."""
    return Now(steady, ROS + steady)


def plan(stamp=100.0, actions=None, **changes):
    """A good plan from an image taken at ``stamp`` on the steady clock: a moves by 0.1 per action."""
    actions = np.tile([0.1, 0.0, 0.0], (20, 1)) if actions is None else actions
    good = Plan(stamp=ROS + stamp, joint_names=NAMES, actions=actions, dt=0.1, execute=4, model_id="m1")
    return replace(good, **changes)


class Stream:
    """A guard whose arm goes where it is sent (unless ``stuck``), from one moment on the steady clock to the next.

    sent: (time, Setpoint) of everything it gave out.  measured: (A,) rad.
    """

    def __init__(self, armed=True, measured=(0.0, 0.5, -0.5), config=NO_CAMERA, limits=LIMITS, **kwargs):
        self.guard = ActionGuard(SPEC, limits, config, **kwargs)
        self.audit = CommandAudit(
            limits.low, limits.high, limits.velocity, limits.acceleration, config.period, limits.max_step
        )
        self.time, self.sent, self.stuck, self.silent = 100.0, [], False, False
        self.measured = None if measured is None else np.array(measured, float)
        self.observe()
        if armed:
            assert self.guard.arm(at(100.0)) == Reason.NONE
            self.audit.restart(self.measured if measured is not None else np.zeros(3))

    def arm(self):
        """Arm; from rest, the next motion begins where the arm is measured."""
        anew = self.guard.state != SafetyState.RUNNING and not self.guard.moving
        assert self.guard.arm(at(self.time)) == Reason.NONE
        if anew:
            self.audit.restart(self.measured)

    def observe(self):
        if self.measured is not None:
            assert self.guard.observe(NAMES, self.measured, at(self.time)) == Reason.NONE

    def take(self, setpoint):
        if setpoint is not None:
            assert setpoint.duration >= self.guard.config.period
            self.audit.check(setpoint.positions, setpoint.velocities, *at(self.time))
            self.sent.append((self.time, setpoint))
            if not self.stuck:
                self.measured = setpoint.positions
        return setpoint

    def submit(self, plan):
        verdict = self.guard.submit(plan, at(self.time))
        self.take(verdict.setpoint)
        return verdict

    def stop(self, name="estop", **kwargs):
        """hold, estop or disarm, now."""
        return self.take(getattr(self.guard, name)(at(self.time), **kwargs))

    def until(self, time, period=PERIOD):
        """Tick on, joint states coming with each tick unless ``silent``."""
        while self.time < time - 1e-9:
            self.time = min(self.time + period, time)
            if not self.silent:
                self.observe()
            self.take(self.guard.tick(at(self.time)))
        return self

    @property
    def last(self):
        """(A,) the last position sent."""
        return self.sent[-1][1].positions

    @property
    def status(self):
        return self.guard.status(at(self.time))

    def clean(self):
        """No command broke a limit, and the last says that the arm rests."""
        assert not self.audit.violations, self.audit.violations
        assert not self.sent or (not self.guard.moving and not np.any(self.sent[-1][1].velocities))
        return True


def running(**kwargs):
    """A stream whose guard accepted the good plan at 100.1 and has it half done at 100.3."""
    stream = Stream(**kwargs).until(100.1)
    assert stream.submit(plan(100.0)).accepted
    return stream.until(100.3)


NAN, INF = math.nan, math.inf
