"""The guard between plans and the robot: checks every plan, and sends setpoints that keep every limit, or none.

Plans come from a network, over a network; nothing of them is trusted. Invariants:
- A plan is accepted whole or vetoed whole. A veto changes counters and a text, never the arm's motion (but the one
  that is too many in a row holds it).
- Every setpoint comes out of ``SetpointLimiter.step``, from the one before it: no jump, whoever asks for it.
- Whatever ends a motion (hold, emergency stop, a watchdog, no more path) brakes within the acceleration limit, then
  the guard is quiet.
- After arming, motion starts where the arm is measured: someone may have moved it.
- A comparison with NaN refuses: every check is written as "not (value is good)".
- No clock is read here. Every call gets ``Now``.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.safety.clock import FUTURE_S, Now, RosClock
from jepa_ros.safety.limiter import STALL, SetpointLimiter
from jepa_ros.safety.limits import COUNTED, JointLimits
from jepa_ros.safety.plan_check import Plan, check_content
from jepa_ros.safety.states import Reason, SafetyState
from jepa_ros.safety.watchdogs import Watchdog
from jepa_ros.safety.workspace import Workspace

_SOONEST_S = 0.001  # between two setpoints
_FRESH_S = 0.5  # oldest measured pose that a motion may begin at
_BELIEVED = 2.0  # tracking tolerances; an arm that is measured farther from its setpoint is not sent there
_STAYS = 0.5  # tracking tolerances; an arm that is measured so near to where it was blocked is so still
_LEAVES = "the end effector would leave the workspace box"

__all__ = ["ActionGuard", "GuardConfig", "GuardStatus", "Now", "Plan", "Setpoint", "Verdict"]


@dataclass(frozen=True)
class Setpoint:
    """Where every joint is to be ``duration`` s from now; takes the place of what was sent before.

    positions: (A,) rad.  velocities: (A,) rad/s, on the way there; 0 says that the arm rests there.  duration: a
    period, or as long as an arm that lags behind needs by its velocity limit.
    """

    joint_names: tuple[str, ...]
    positions: np.ndarray
    velocities: np.ndarray
    duration: float


@dataclass(frozen=True)
class Verdict:
    """The answer to a plan: NONE, or the reason for the veto. setpoint: to send at once, where there is one."""

    reason: Reason
    text: str = ""
    setpoint: Setpoint | None = None

    @property
    def accepted(self) -> bool:
        """Whether the plan is followed."""
        return self.reason == Reason.NONE


@dataclass(frozen=True)
class GuardStatus:
    """The fields of SafetyStatus. Ages and tracking_error: NaN where there is none yet.

    plan_age_s: of the last accepted plan since arming, by its stamp; the other ages by receipt.
    command: as ActionGuard.command.  vetoed_by_reason: indexed by Reason.
    """

    state: SafetyState
    reason: Reason
    text: str
    clamped: int
    vetoed: int
    vetoed_in_a_row: int
    vetoed_by_reason: tuple[int, ...]
    plan_age_s: float
    joint_state_age_s: float
    image_age_s: float
    embedding_age_s: float
    tracking_error: float
    command: np.ndarray | None


@dataclass(frozen=True)
class GuardConfig:
    """Settings of the guard; times in s. A watchdog limit of 0 switches that watchdog off.

    period: from one setpoint to the next.
    plan_s: hold when no plan was accepted for this long.  max_plan_age: oldest stamp of a plan when it comes.
    joint_state_s, image_s, embedding_s: oldest of these to move by, by receipt and by stamp.
    clock_s: longest that the ROS clock may stand still.
    deadman_s: oldest "held" of the dead-man switch; 0 where there is none.
    tracking_tolerance: rad, farthest that the arm may be from its setpoint.
    max_vetoes: so many in a row, and only arming goes on; vetoes while the ROS clock stands still do not count.
    follows: whether the arm goes where it is sent. False for a dry run and for outputs without positions: every
        motion then starts where the arm is measured.
    drifts: whether an arm that does not follow moves all the same, by twists: its tracking is watched too.
    model_id: accept plans of this model only; "" accepts any.
    """

    period: float = 0.02
    plan_s: float = 1.0
    max_plan_age: float = 0.5
    joint_state_s: float = 0.5
    image_s: float = 0.5
    embedding_s: float = 0.5
    clock_s: float = 0.5
    deadman_s: float = 0.0
    tracking_tolerance: float = 0.3
    max_vetoes: int = 10
    follows: bool = True
    drifts: bool = False
    model_id: str = ""

    def __post_init__(self):
        watched = ("plan_s", "joint_state_s", "image_s", "embedding_s", "clock_s", "deadman_s")
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if name in watched and not (math.isfinite(value) and value >= 0):
                raise JepaError(f"GuardConfig: {name} is {value}; it must be finite, and 0 switches it off")
            if name in ("period", "max_plan_age", "tracking_tolerance", "max_vetoes"):
                if not (math.isfinite(value) and value > 0):
                    raise JepaError(f"GuardConfig: {name} is {value}; it must be positive and finite")


class ActionGuard:
    """IDLE -arm-> ARMED -plan-> RUNNING -a watchdog, hold-> HOLDING -plan-> RUNNING; estop from anywhere, latched
    until reset_estop, which leads to IDLE.

    ``tick`` and ``submit``, and ``hold``, ``disarm`` and ``estop``, give a setpoint to send, where there is one;
    call ``tick`` once a period. Not thread-safe: one thread calls it.
    """

    def __init__(
        self,
        spec: ActionSpec,
        limits: JointLimits,
        config: GuardConfig | None = None,
        workspace: Workspace | None = None,
    ):
        if limits.names != spec.joint_names:
            raise JepaError(
                f"guard: the limits are for joints {list(limits.names)}, the ActionSpec has "
                f"{list(spec.joint_names)}; give limits for these joints, in this order"
            )
        self.spec, self.limits, self.workspace = spec, limits, workspace
        self._reach = np.maximum(np.abs(spec.lower), np.abs(spec.upper))  # (A,) rad, of the largest action
        self.config = config = config or GuardConfig()
        self.state, self.reason, self.text = SafetyState.IDLE, Reason.NONE, ""
        self.clamped = self.vetoed = self.vetoed_in_a_row = 0
        self.vetoed_by_reason = [0] * len(Reason)
        self._needs_arming = True  # vetoes plans until arm()
        self._deadman = Watchdog("signal of the dead-man switch", Reason.DEADMAN, config.deadman_s)
        self._clock = RosClock(config.clock_s)
        self._joints = Watchdog("joint states", Reason.JOINT_STATE_STALE, config.joint_state_s)
        self._images = Watchdog("camera image", Reason.IMAGE_STALE, config.image_s)
        self._embeddings = Watchdog("embedding", Reason.EMBEDDING_STALE, config.embedding_s)
        self._plans = Watchdog("accepted plan", Reason.NO_PLAN, config.plan_s, config.max_plan_age)
        self._measured: np.ndarray | None = None
        self._tracking_error = math.nan  # when the arm was measured last
        self._limiter: SetpointLimiter | None = None  # since the first plan
        self._fresh_start = True  # the next motion begins where the arm is measured
        self._retreat: np.ndarray | None = None  # (A,) rad, where a blocked arm is told to rest
        self._sent: Now | None = None  # when the last setpoint was given out
        self._left = -math.inf  # steady; when it had left the process
        self._said_rest = True  # the last setpoint said that the arm rests there
        self._accepted_stamp = -math.inf
        self._not_before = -math.inf  # stamp; plans from before a hold do not resume the motion
        self._last_veto: Verdict | None = None  # since the last accepted plan

    # What is seen.

    def observe(
        self, names: Sequence[str], positions: Sequence[float], now: Now, stamp: float | None = None
    ) -> Reason:
        """Take measured positions (rad, any order, further joints allowed); NONE, or why they are ignored."""
        if len(names) != len(positions):
            return Reason.WRONG_JOINTS
        by_name = dict(zip(names, positions))
        if len(by_name) != len(names) or any(name not in by_name for name in self.limits.names):
            return Reason.WRONG_JOINTS
        measured = np.array([by_name[name] for name in self.limits.names], dtype=np.float64)
        if not np.all(np.isfinite(measured)):
            return Reason.NOT_FINITE
        self._measured = measured
        if self._limiter is not None and not self._fresh_start:
            self._tracking_error = float(np.abs(self._limiter.position - measured).max())
        self._joints.feed(now, stamp)
        return Reason.NONE

    def see_image(self, now: Now, stamp: float | None = None) -> None:
        """A camera image came, stamped so on the ROS clock."""
        self._images.feed(now, stamp)

    def see_embedding(self, now: Now, stamp: float | None = None) -> None:
        """An embedding came, of an image stamped so."""
        self._embeddings.feed(now, stamp)

    def see_deadman(self, held: bool, now: Now) -> None:
        """The dead-man switch spoke."""
        if held:
            self._deadman.feed(now)
        else:
            self._deadman.clear()

    def went_out(self, now: Now) -> None:
        """The last setpoint has left the process, which takes long where the machine is too busy: the arm moves on
        it from now on. Calling this is optional."""
        self._left = now.steady

    # What the operator wants.

    def arm(self, now: Now) -> Reason:
        """Allow plans; NONE, or ESTOP where that must be reset first. Where the arm was not RUNNING, the order of
        plans starts anew, and from rest the next motion begins where the arm is measured."""
        if self.state == SafetyState.ESTOPPED:
            return Reason.ESTOP
        if self.state != SafetyState.RUNNING:
            if not self.moving:
                self._fresh_start, self._tracking_error = True, math.nan
            self._set(SafetyState.ARMED, Reason.NONE, "")
            self._accepted_stamp, self._last_veto, self.vetoed_in_a_row = -math.inf, None, 0
        self._needs_arming = False
        return Reason.NONE

    def disarm(self, now: Now, reason: Reason = Reason.NONE) -> Setpoint | None:
        """To IDLE (reason SHUTDOWN when the process ends); a moving arm comes to rest."""
        if self.state == SafetyState.ESTOPPED:
            return self._advance(now)
        self._not_before = now.ros
        return self._stop(SafetyState.IDLE, reason, "disarmed", now, until_armed=True)

    def hold(self, now: Now, reason: Reason = Reason.CANCELED, until_armed: bool = False) -> Setpoint | None:
        """Hold the arm now. A plan from a later image resumes; with ``until_armed`` only after ``arm``."""
        if self.state not in (SafetyState.ARMED, SafetyState.RUNNING, SafetyState.HOLDING):
            return None
        self._not_before = now.ros
        return self._stop(SafetyState.HOLDING, reason, "hold was asked for", now, until_armed)

    def estop(self, now: Now) -> Setpoint | None:
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
        """Check a plan; follow its first ``execute`` actions from now on."""
        self._clock.update(now)
        if max(self._accepted_stamp, self._not_before) > now.ros + FUTURE_S:  # the ROS clock was set back
            self._accepted_stamp = self._not_before = -math.inf
        reason, text = self._check(plan, now)
        if reason:
            return self._veto(reason, text, now)
        if self._fresh_start or not (self.config.follows or self.moving):
            if not self._joints.age(now) <= _FRESH_S:  # also where joint states are not watched
                return self._veto(
                    Reason.JOINT_STATE_STALE, f"no joint states for {_FRESH_S:g} s to begin at", now
                )
            if text := self._far_outside():
                return self._veto(Reason.TRACKING_ERROR, text, now)
            self._limiter = SetpointLimiter(self.limits, self.config.period, self._measured)
            self._sent, self._tracking_error = None, math.nan
        elif self._lost():
            text = self._tracking_text()
            setpoint = self._stop(SafetyState.HOLDING, Reason.TRACKING_ERROR, text, now)
            return self._veto(Reason.TRACKING_ERROR, text, now, setpoint)
        former = self._limiter.path, self._limiter.path_time
        targets, clamped = self._targets(plan)
        self._limiter.follow(targets, self.spec.dt)
        inside, setpoint = self._step(now)
        if not inside:
            self._limiter.path, self._limiter.path_time = former
            return self._veto(Reason.WORKSPACE, _LEAVES, now)
        self._fresh_start, self._retreat = False, None
        self.clamped += clamped
        self.vetoed_in_a_row, self._accepted_stamp, self._last_veto = 0, plan.stamp, None
        self._plans.feed(now, plan.stamp)
        self._set(SafetyState.RUNNING, Reason.NONE, "")
        return Verdict(Reason.NONE, "", setpoint)

    def tick(self, now: Now) -> Setpoint | None:
        """The watchdogs, and the next setpoint, where the arm is to move or to be told that it rests."""
        self._clock.update(now)
        if self.state == SafetyState.RUNNING:
            reason, text = next(self._stale(now), (Reason.NONE, ""))
            if not reason and self._lost():
                reason, text = Reason.TRACKING_ERROR, self._tracking_text()
            if reason:
                self._not_before = now.ros
                return self._stop(SafetyState.HOLDING, reason, text, now)
            if text := self._plans.complaint(now):
                return self._stop(SafetyState.HOLDING, *self._why_no_plan(text), now)
        elif self._retreats_in_vain():
            self._brake()
        return self._advance(now)

    @property
    def command(self) -> np.ndarray | None:
        """Where the arm was sent last (A,) rad; where it is measured if the next motion starts there; or None."""
        if self._limiter is None or self._fresh_start:
            return self._measured
        return self._limiter.position

    @property
    def moving(self) -> bool:
        """Whether setpoints are still to come, without another plan."""
        return not (self._at_rest and self._said_rest)

    @property
    def tracking_error(self) -> float:
        """rad, the largest distance of a joint from its last setpoint, when it was measured last; NaN if unknown."""
        return self._tracking_error

    def status(self, now: Now) -> GuardStatus:
        """The present state, for SafetyStatus."""
        accepted = math.isfinite(self._accepted_stamp)
        return GuardStatus(
            self.state,
            self.reason,
            self.text,
            self.clamped,
            self.vetoed,
            self.vetoed_in_a_row,
            tuple(self.vetoed_by_reason),
            now.ros - self._accepted_stamp if accepted else math.nan,
            self._joints.age(now),
            self._images.age(now),
            self._embeddings.age(now),
            self.tracking_error,
            self.command,
        )

    # Plans, inside.

    def _check(self, plan: Plan, now: Now) -> tuple[Reason, str]:
        """NONE, or the first thing that speaks against a plan."""
        if self.state == SafetyState.ESTOPPED:
            return Reason.ESTOP, "the emergency stop is on"
        if self._needs_arming:
            return Reason.NOT_ARMED, "the guard is not armed; call arm"
        reason, text = check_content(plan, self.spec, self.config.model_id)
        if reason:
            return reason, text
        age = now.ros - plan.stamp
        if not age >= -FUTURE_S:
            return Reason.FUTURE_STAMP, f"its stamp is {-age:.3f} s ahead; do all nodes use one clock?"
        if not plan.stamp > self._accepted_stamp:
            return Reason.OUT_OF_ORDER, "its image is not newer than that of the plan accepted before"
        if not plan.stamp > self._not_before:
            return Reason.CANCELED, "its image is from before the hold"
        if not age <= self.config.max_plan_age:
            return Reason.PLAN_STALE, f"its image is {age:.3f} s old, at most {self.config.max_plan_age:g} s"
        if self._measured is None:
            return Reason.JOINT_STATE_STALE, "no joint states yet"
        return next(self._stale(now), (Reason.NONE, ""))

    def _veto(self, reason: Reason, text: str, now: Now, setpoint: Setpoint | None = None) -> Verdict:
        waits_for_arming = self._needs_arming and self.state == SafetyState.HOLDING
        self.vetoed += 1
        self.vetoed_by_reason[reason] += 1
        verdict = self._last_veto = Verdict(reason, f"plan vetoed: {text}", setpoint)
        if self.state != SafetyState.ESTOPPED and not waits_for_arming:
            self.reason, self.text = reason, verdict.text
        if not self._needs_arming and self._clock.runs(now):  # else it is not the plans that are wrong
            self.vetoed_in_a_row += 1
            if self.vetoed_in_a_row >= self.config.max_vetoes:
                self._not_before = now.ros
                text = f"{self.vetoed_in_a_row} plans in a row were vetoed, arm to go on; the last: {text}"
                stop = self._stop(SafetyState.HOLDING, Reason.TOO_MANY_VETOES, text, now, until_armed=True)
                return Verdict(reason, verdict.text, setpoint or stop)
        return verdict

    def _targets(self, plan: Plan) -> tuple[np.ndarray, int]:
        """(execute, A) rad, each clamped from the one before, the first from the last setpoint; and how many of
        their numbers a bound or limit changed."""
        names = list(plan.joint_names)
        order = [names.index(name) for name in self.limits.names]
        actions = np.asarray(plan.actions, dtype=np.float64)[: plan.execute, order]
        bounded = np.clip(actions, self.spec.lower, self.spec.upper)
        targets, clamped, target = np.empty_like(actions), 0, self._limiter.position
        for i, asked in enumerate(actions):
            before = target
            target, _ = self.limits.clamp_step(before + bounded[i], before, self.spec.dt)
            # Back from beyond a limit, too, no action goes farther than the bounds.
            targets[i] = target = np.clip(target, before - self._reach, before + self._reach)
            clamped += int(np.count_nonzero(np.abs(target - (before + asked)) > COUNTED))
        return targets, clamped

    # Freshness.

    def _stale(self, now: Now) -> Iterator[tuple[Reason, str]]:
        """Everything that is wrong with the inputs that every motion needs."""
        if text := self._deadman.complaint(now):
            yield Reason.DEADMAN, text
        if text := self._clock.complaint(now):
            yield Reason.CLOCK_STOPPED, text
        for watchdog in (self._joints, self._images, self._embeddings):
            if text := watchdog.complaint(now):
                yield watchdog.reason, text

    def _why_no_plan(self, text: str) -> tuple[Reason, str]:
        if self._last_veto is None:
            return Reason.NO_PLAN, text
        return self._last_veto.reason, f"{text}; the last was vetoed: {self._last_veto.text}"

    def _lost(self) -> bool:
        """Whether the arm was measured too far from its setpoint."""
        watched = self.config.follows or self.config.drifts
        return watched and self._tracking_error > self.config.tracking_tolerance

    def _tracking_text(self) -> str:
        worst = int(np.abs(self._limiter.position - self._measured).argmax())
        doubt = "" if self._believed() else "are its joint_states right? "
        return (
            f"{self.limits.names[worst]} is {self.tracking_error:.3f} rad from its command, at most "
            f"{self.config.tracking_tolerance:g} rad; {doubt}is the arm blocked, or its driver off?"
        )

    def _believed(self) -> bool:
        """Whether the arm may be sent to where it is measured. Where that is far from its setpoint, more likely the joint
        states are wrong than the arm is there, and even a single wrong one would make it go."""
        return self._tracking_error <= _BELIEVED * self.config.tracking_tolerance

    def _far_outside(self) -> str:
        """Why no motion may begin where the arm is measured, "" where it may: so far beyond a limit, its joint states
        are more likely wrong than the arm there, and the first setpoint would send it there."""
        beyond = np.maximum(self.limits.lower - self._measured, self._measured - self.limits.upper)
        worst = int(beyond.argmax())
        if beyond[worst] <= self.config.tracking_tolerance:
            return ""
        return (
            f"{self.limits.names[worst]} is measured at {self._measured[worst]:.3f} rad, {beyond[worst]:.3f} rad "
            f"beyond its limits, at most {self.config.tracking_tolerance:g} rad; are joint_states in rad, and is its zero "
            "right? Else bring the arm back by hand"
        )

    # Setpoints.

    @property
    def _at_rest(self) -> bool:
        return self._limiter is None or self._limiter.at_rest

    def _stop(
        self, state: SafetyState, reason: Reason, text: str, now: Now, until_armed: bool = False
    ) -> Setpoint | None:
        """Enter a state in which the arm rests; the first setpoint on the way there. A blocked arm is told to rest where it
        is measured, so that it stops pressing, at the speed of plans at most, and for as long as it is measured there; one that
        drifts from where it was sent, or is measured where it can hardly be, just brakes."""
        resting = self.state != SafetyState.RUNNING and self._at_rest
        self._set(state, reason, text)
        self._needs_arming |= until_armed
        if not resting or reason == Reason.TRACKING_ERROR:
            if self._lost() and self.config.follows and self._believed():
                self._retreat = self._measured
                self._limiter.follow(self._retreat[None], self._seconds_to(self._retreat))
            else:
                self._brake()
            self._said_rest = False
        return self._advance(now)

    def _brake(self) -> None:
        self._retreat = None
        self._limiter.brake()

    def _retreats_in_vain(self) -> bool:
        """Whether the arm is measured elsewhere by now than where it is told to rest: it was a wrong reading, or the arm gives
        way, and would be followed without end."""
        if self._retreat is None:
            return False
        return not np.abs(self._measured - self._retreat).max() <= _STAYS * self.config.tracking_tolerance

    def _seconds_to(self, target: np.ndarray) -> float:
        """s that plans need at least from the last setpoint to ``target`` (A,) rad."""
        actions = np.abs(target - self._limiter.position) / self._reach
        return max(self.config.period, float(actions.max()) * self.spec.dt)

    def _advance(self, now: Now) -> Setpoint | None:
        """The next setpoint, where there is one to send."""
        if not self.moving:
            return None
        inside, setpoint = self._step(now)
        if inside:
            return setpoint
        self._brake()
        if self.state == SafetyState.RUNNING:
            self._set(SafetyState.HOLDING, Reason.WORKSPACE, _LEAVES)
        return self._step(now)[1]

    def _step(self, now: Now) -> tuple[bool, Setpoint | None]:
        """Move the setpoint on to now. (False, None) where the workspace forbids it, which it does not do to
        braking; no setpoint where the last one is too recent."""
        elapsed, limiter, before = self._elapsed(now), self._limiter, self._limiter.position
        if not elapsed >= _SOONEST_S:
            return True, None

        def allowed(position, velocity):
            return self.workspace.allows(position, velocity, self.limits.acceleration, before)

        judge = allowed if self.workspace is not None and limiter.path is not None else None
        if not limiter.step(elapsed, judge):
            return False, None
        self._sent, self._left, self._said_rest = now, now.steady, limiter.at_rest
        return True, Setpoint(self.limits.names, limiter.position, limiter.velocity, self._duration())

    def _duration(self) -> float:
        """s in which the arm is to reach the setpoint: a period, or longer where the arm lags so far behind that the
        way there would take more than its velocity limit."""
        if not self.config.follows or self._measured is None:
            return self.config.period
        way = np.abs(self._limiter.position - self._measured) / self.limits.velocity
        return max(self.config.period, float(way.max()))

    def _elapsed(self, now: Now) -> float:
        """s since the last setpoint: by the ROS clock, by which the arm's controller goes, unless that stands
        still, stood still, or was set."""
        if self._sent is None:
            return math.inf
        ros, steady = now.ros - self._sent.ros, now.steady - self._sent.steady
        recent = STALL * self.config.period
        if 0 <= ros <= recent and steady <= recent and not self._clock.complaint(now):
            return ros
        if now.steady - self._left <= recent:  # it left late: the arm is still on its way there
            return min(steady, recent)
        return steady

    def _set(self, state: SafetyState, reason: Reason, text: str) -> None:
        self.state, self.reason, self.text = state, reason, text
