"""The guard between plans and the robot: checks every plan, makes absolute joint targets of it, or holds.

Plans come from a network, over a network; nothing of them is trusted. Invariants:
- A plan is accepted whole or vetoed whole. A veto changes a counter and a text, never the arm's motion.
- Every action is clipped to the ActionSpec's bounds, and every target comes out of
  ``JointLimits.clamp_step``, chained from the command before it: no jump.
- After arming, motion starts where the arm is measured: someone may have moved it.
- A comparison with NaN refuses: every check is written as "not (value is good)".
- No clock is read here. Every call gets ``Now``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.safety.limits import COUNTED, JointLimits
from jepa_ros.safety.states import Reason, SafetyState

_FUTURE_S = 0.05  # a stamp may be this far ahead: two clocks never agree
_DT_TOLERANCE = 1e-4  # s; float32 in the message


class Now(NamedTuple):
    """One moment on two clocks.

    steady: monotonic seconds, for receipt times and watchdogs; runs on when simulated time stands still.
    ros: seconds of the ROS clock, for stamps, and for how far the arm's controller has come along a
        trajectory.
    """

    steady: float
    ros: float


@dataclass(frozen=True)
class Plan:
    """What the guard reads of an ActionPlan.

    stamp: s on the ROS clock, of the image it was made from.  actions: (N, A) raw actions, joint deltas in
        rad.
    dt: s between two of them.  execute: how many to execute before the next plan, 1..N.
    """

    stamp: float
    joint_names: Sequence[str]
    actions: np.ndarray
    dt: float
    execute: int
    space: str = "joint_delta"
    model_id: str = ""
    plan_id: str = ""


@dataclass(frozen=True)
class Command:
    """What to send to the arm's controller; replaces what was sent before.

    positions: (N, A) absolute joint targets, rad, in the order of ``joint_names``.
    times_from_start: (N,) s from the moment of sending.  clamped: how many of the N * A targets a bound
        or limit changed.
    """

    joint_names: tuple[str, ...]
    positions: np.ndarray
    times_from_start: np.ndarray
    clamped: int = 0
    plan_id: str = ""


@dataclass(frozen=True)
class Verdict:
    """The answer to a plan: a command to send, or the reason for the veto."""

    command: Command | None
    reason: Reason
    text: str = ""

    @property
    def accepted(self) -> bool:
        """Whether there is a command to send."""
        return self.command is not None


@dataclass(frozen=True)
class GuardStatus:
    """The fields of SafetyStatus, and ``resyncs``: how often the measured position became the command.

    plan_age_s: of the last accepted plan since arming, by its stamp; joint_state_age_s: by receipt; NaN where
    there was none.  command: (A,) rad, None before the first.
    """

    state: SafetyState
    reason: Reason
    text: str
    clamped: int
    vetoed: int
    resyncs: int
    plan_age_s: float
    joint_state_age_s: float
    command: np.ndarray | None


@dataclass(frozen=True)
class GuardConfig:
    """Settings of the guard; all in seconds but the last two.

    plan_timeout: hold when no plan was accepted for this long.
    max_plan_age: oldest stamp of a plan, by the ROS clock.
    joint_state_timeout: oldest measured joint positions to move by.
    resync_tolerance: rad; where the arm is further than this from the command (at the start, after a push),
        the measured position counts as the command.
    model_id: accept plans of this model only; "" accepts any.
    """

    plan_timeout: float = 1.0
    max_plan_age: float = 0.5
    joint_state_timeout: float = 0.5
    resync_tolerance: float = 0.3
    model_id: str = ""

    def __post_init__(self):
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if name != "model_id" and not (math.isfinite(value) and value > 0):
                raise JepaError(f"GuardConfig: {name} is {value}; it must be positive and finite")


class ActionGuard:
    """IDLE -arm-> ARMED -plan-> RUNNING -no plan, stale joint states, hold-> HOLDING -plan-> RUNNING; estop
    from anywhere, latched until reset_estop, which leads to IDLE.

    ``submit``, ``tick``, ``hold``, ``disarm`` and ``estop`` return the command to send, where there is one.
    Not thread-safe: one thread calls it.
    """

    def __init__(self, spec: ActionSpec, limits: JointLimits, config: GuardConfig | None = None):
        if limits.names != spec.joint_names:
            raise JepaError(
                f"guard: the limits are for joints {list(limits.names)}, the ActionSpec has "
                f"{list(spec.joint_names)}; give limits for these joints, in this order"
            )
        self.spec, self.limits, self.config = spec, limits, config or GuardConfig()
        self.state, self.reason, self.text = SafetyState.IDLE, Reason.NONE, ""
        self.clamped = self.vetoed = self.resyncs = 0
        self._needs_arming = True  # vetoes plans until arm()
        self._measured: np.ndarray | None = None
        self._measured_at = -math.inf  # steady
        # ROS time of sending, times (N + 1) from there, targets (N + 1, A)
        self._sent: tuple[float, np.ndarray, np.ndarray] | None = None
        self._accepted_at = -math.inf  # steady
        self._accepted_stamp = -math.inf
        self._not_before = -math.inf  # stamp; plans from before a hold do not resume the motion
        self._last_veto: Verdict | None = None  # since the last accepted plan

    # What the arm reports, and where it was told to be.

    def observe(self, names: Sequence[str], positions: Sequence[float], now: Now) -> Reason:
        """Take measured positions (rad, any order, further joints allowed); NONE, or why they are ignored."""
        if len(names) != len(positions):
            return Reason.WRONG_JOINTS
        by_name = dict(zip(names, positions))
        if len(by_name) != len(names) or any(name not in by_name for name in self.limits.names):
            return Reason.WRONG_JOINTS
        measured = np.array([by_name[name] for name in self.limits.names], dtype=np.float64)
        if not np.all(np.isfinite(measured)):
            return Reason.NOT_FINITE
        self._measured, self._measured_at = measured, now.steady
        return Reason.NONE

    def command_at(self, now: Now) -> np.ndarray | None:
        """The commanded target (A,) at this moment, linear between targets sent; None before the first."""
        if self._sent is None:
            return None
        began, times, positions = self._sent
        elapsed = now.ros - began
        if not 0 <= elapsed < times[-1]:  # finished; or the clock was set back, and the trajectory is history
            return positions[-1].copy()
        return np.array([np.interp(elapsed, times, column) for column in positions.T])

    # What the operator wants.

    def arm(self, now: Now) -> Reason:
        """Allow plans; NONE, or ESTOP where that must be reset first. The order of plans starts anew, and where
        arming was needed, the measured position counts as the command."""
        if self.state == SafetyState.ESTOPPED:
            return Reason.ESTOP
        if self._needs_arming:
            self._sent = None
        if self.state != SafetyState.RUNNING:
            self._set(SafetyState.ARMED, Reason.NONE, "")
            self._accepted_stamp, self._last_veto = -math.inf, None
        self._needs_arming = False
        return Reason.NONE

    def disarm(self, now: Now, reason: Reason = Reason.NONE) -> Command | None:
        """Back to IDLE (reason SHUTDOWN when the process ends); a moving arm is held."""
        if self.state == SafetyState.ESTOPPED:
            return None
        self._not_before = now.ros
        return self._stop(SafetyState.IDLE, reason, "disarmed", now, until_armed=True)

    def hold(self, now: Now, reason: Reason = Reason.CANCELED, until_armed: bool = False) -> Command | None:
        """Hold the arm now. A plan from a later image resumes; with ``until_armed`` only after ``arm``."""
        if self.state not in (SafetyState.ARMED, SafetyState.RUNNING, SafetyState.HOLDING):
            return None
        self._not_before = now.ros
        return self._stop(SafetyState.HOLDING, reason, "hold was asked for", now, until_armed)

    def estop(self, now: Now) -> Command | None:
        """Hold the arm and refuse everything until ``reset_estop``."""
        self._not_before = now.ros
        return self._stop(
            SafetyState.ESTOPPED, Reason.ESTOP, "emergency stop; reset_estop, then arm", now, until_armed=True
        )

    def reset_estop(self) -> None:
        """Leave the emergency stop, to IDLE: moving again takes an ``arm``."""
        if self.state == SafetyState.ESTOPPED:
            self._set(SafetyState.IDLE, Reason.NONE, "emergency stop was reset; arm to move")

    # Plans, and their absence.

    def submit(self, plan: Plan, now: Now) -> Verdict:
        """Check a plan, turn its first ``execute`` actions into targets."""
        if max(self._accepted_stamp, self._not_before) > now.ros + _FUTURE_S:  # the ROS clock was set back
            self._accepted_stamp = self._not_before = -math.inf
        reason, text = self._check(plan, now)
        if reason:
            return self._veto(reason, text)
        base = self._resynced(now)
        command = self._track(base, plan)
        self._remember(base, command, now)
        self.clamped += command.clamped
        self._accepted_at, self._accepted_stamp, self._last_veto = now.steady, plan.stamp, None
        self._set(SafetyState.RUNNING, Reason.NONE, "")
        return Verdict(command, Reason.NONE)

    def tick(self, now: Now) -> Command | None:
        """The watchdogs; call it often. A command to hold where the motion must end, once."""
        if self.state != SafetyState.RUNNING:
            return None
        if not self._fresh(now):
            return self._stop(
                SafetyState.HOLDING,
                Reason.JOINT_STATE_STALE,
                f"no joint states for {self.config.joint_state_timeout:g} s",
                now,
            )
        if not now.steady - self._accepted_at <= self.config.plan_timeout:
            text = f"no plan was accepted for {self.config.plan_timeout:g} s"
            if self._last_veto is None:
                return self._stop(SafetyState.HOLDING, Reason.NO_PLAN, text, now)
            return self._stop(
                SafetyState.HOLDING,
                self._last_veto.reason,
                f"{text}; the last was vetoed: {self._last_veto.text}",
                now,
            )
        return None

    def hold_position(self, now: Now) -> np.ndarray | None:
        """Where to hold (A,): the present command where the arm follows it, else the measured position."""
        command = self.command_at(now)
        if not self._fresh(now):
            return command
        if command is None or np.any(np.abs(command - self._measured) > self.config.resync_tolerance):
            return self._measured.copy()
        return command

    def status(self, now: Now) -> GuardStatus:
        """The present state, for SafetyStatus."""
        ages = np.array([now.ros - self._accepted_stamp, now.steady - self._measured_at])
        plan_age, joint_state_age = np.where(np.isfinite(ages), ages, math.nan).tolist()
        return GuardStatus(
            self.state,
            self.reason,
            self.text,
            self.clamped,
            self.vetoed,
            self.resyncs,
            plan_age,
            joint_state_age,
            self.command_at(now),
        )

    # Inside.

    def _fresh(self, now: Now) -> bool:
        """Whether the measured joint positions are recent enough to move by."""
        return bool(now.steady - self._measured_at <= self.config.joint_state_timeout)

    def _check(self, plan: Plan, now: Now) -> tuple[Reason, str]:
        """NONE, or the first thing wrong with a plan."""
        if self.state == SafetyState.ESTOPPED:
            return Reason.ESTOP, "the emergency stop is on"
        if self._needs_arming:
            return Reason.NOT_ARMED, "the guard is not armed; call arm"
        if plan.space != self.spec.space:
            return Reason.WRONG_SPACE, f"its actions are {plan.space!r}, this robot's are {self.spec.space!r}"
        if self.config.model_id and plan.model_id != self.config.model_id:
            return Reason.FOREIGN_MODEL, f"its model is {plan.model_id!r}, pinned is {self.config.model_id!r}"
        names = list(plan.joint_names)
        if sorted(names) != sorted(self.limits.names):
            return Reason.WRONG_JOINTS, f"its joints are {names}, this robot's are {list(self.limits.names)}"
        actions = np.asarray(plan.actions)
        if actions.size == 0:
            return Reason.EMPTY, "it has no actions"
        if actions.ndim != 2 or actions.shape[1] != len(names) or actions.dtype.kind not in "fiu":
            return Reason.PLAN_INVALID, f"its actions are of shape {actions.shape}, not (N, {len(names)})"
        if not np.all(np.isfinite(actions)):
            return Reason.NOT_FINITE, "its actions hold NaN or Inf"
        if plan.execute == 0:
            return Reason.EMPTY, "it asks for no action to be executed"
        if not 1 <= plan.execute <= len(actions):
            return Reason.PLAN_INVALID, f"it asks to execute {plan.execute} of {len(actions)} actions"
        if not abs(plan.dt - self.spec.dt) <= _DT_TOLERANCE:
            return Reason.PLAN_INVALID, f"its actions are {plan.dt} s apart, this robot's {self.spec.dt:g} s"
        if not math.isfinite(plan.stamp):
            return Reason.PLAN_INVALID, f"its stamp is {plan.stamp}"
        age = now.ros - plan.stamp
        if not age >= -_FUTURE_S:
            return Reason.PLAN_INVALID, f"its stamp is {-age:.3f} s ahead; do all nodes use one clock?"
        if not plan.stamp > self._accepted_stamp:
            return Reason.OUT_OF_ORDER, "its image is not newer than that of the plan accepted before"
        if not plan.stamp > self._not_before:
            return Reason.CANCELED, "its image is from before the hold"
        if not age <= self.config.max_plan_age:
            return Reason.PLAN_STALE, f"its image is {age:.3f} s old, at most {self.config.max_plan_age:g} s"
        if not self._fresh(now):
            return Reason.JOINT_STATE_STALE, f"no joint states for {self.config.joint_state_timeout:g} s"
        return Reason.NONE, ""

    def _veto(self, reason: Reason, text: str) -> Verdict:
        verdict = Verdict(None, reason, f"plan vetoed: {text}")
        self.vetoed += 1
        self._last_veto = verdict
        if self.state != SafetyState.ESTOPPED:
            self.reason, self.text = reason, verdict.text
        return verdict

    def _resynced(self, now: Now) -> np.ndarray:
        """Where the next motion starts; joint states are fresh."""
        command, position = self.command_at(now), self.hold_position(now)
        if command is not None and not np.array_equal(command, position):
            self.resyncs += 1
        return position

    def _track(self, base: np.ndarray, plan: Plan) -> Command:
        """Targets from ``base`` (A,), each clamped from the one before."""
        names = list(plan.joint_names)
        order = [names.index(name) for name in self.limits.names]
        actions = np.asarray(plan.actions, dtype=np.float64)[: plan.execute, order]
        bounded = np.clip(actions, self.spec.lower, self.spec.upper)
        positions, clamped, target = np.empty_like(actions), 0, base
        for i, asked in enumerate(actions):
            before = target
            target, _ = self.limits.clamp_step(before + bounded[i], before, self.spec.dt)
            positions[i] = target
            clamped += int(np.count_nonzero(np.abs(target - (before + asked)) > COUNTED))
        times = self.spec.dt * np.arange(1, len(actions) + 1)
        return Command(self.limits.names, positions, times, clamped, plan.plan_id)

    def _remember(self, base: np.ndarray, command: Command, now: Now) -> None:
        """What the arm's controller does from now on: from ``base`` (A,) along the command."""
        self._sent = (
            now.ros,
            np.concatenate([[0.0], command.times_from_start]),
            np.concatenate([base[None], command.positions]),
        )

    def _stop(
        self, state: SafetyState, reason: Reason, text: str, now: Now, until_armed: bool = False
    ) -> Command | None:
        """Enter a state in which the arm rests; the command that makes it rest, where it might move."""
        moving = self.state == SafetyState.RUNNING
        self._set(state, reason, text)
        self._needs_arming |= until_armed
        position = self.hold_position(now)
        if not moving or position is None:
            return None
        command = Command(self.limits.names, position[None], np.array([self.spec.dt]))
        self._remember(position, command, now)
        return command

    def _set(self, state: SafetyState, reason: Reason, text: str) -> None:
        self.state, self.reason, self.text = state, reason, text
