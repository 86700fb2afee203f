"""Judges a stream of commands against joint limits, from what was sent and when; knows nothing of how it was made."""

import math

import numpy as np

ROUNDING = 3e-6
"""rad; a joint within 1e-6 of its target is put there."""


class CommandAudit:
    """Feed every command of one arm; ``violations`` collects what is wrong with any, in words.

    lower, upper: (A,) rad position limits, margin included.  velocity, acceleration, max_step: (A,).
    period: s, the time that a command covers.  jitter: s, by which the times given may be off.
    count: commands seen.  late: where there is jitter, commands that went on although the arm had long come to
    where it was sent before: judged as made in time, and sent late.
    """

    def __init__(self, lower, upper, velocity, acceleration, period, max_step=math.inf, jitter=0.0):
        self.lower, self.upper = np.asarray(lower), np.asarray(upper)
        self.velocity, self.acceleration, self.max_step = velocity, acceleration, max_step
        self.period, self.jitter, self.count, self.violations = period, jitter, 0, []
        self.late = 0
        self.farthest = dict.fromkeys(("position", "step", "velocity", "acceleration"), 0.0)
        self._before = None

    def restart(self, position) -> None:
        """The arm rests, measured at ``position`` (A,) rad: the next command counts from there."""
        self._before = np.asarray(position, float), np.zeros(len(position)), -math.inf, -math.inf

    def resume(self, positions, velocities, steady: float, ros: float) -> None:
        """A command whose forerunner was not seen: only its own position and speed can be judged."""
        self._before = np.asarray(positions) - np.asarray(velocities) * self.period, velocities, steady, ros
        self.check(positions, velocities, steady + self.period, ros + self.period)
        self._before = self._before[:2] + (steady, ros)

    def check(self, positions, velocities, steady: float, ros: float) -> None:
        """One command: (A,) rad, (A,) rad/s on the way there, and when it was sent, on both clocks."""
        self.count += 1
        if not (np.all(np.isfinite(positions)) and np.all(np.isfinite(velocities))):
            self._found("finite", 0.0, f"{positions} {velocities}")
            return
        position, velocity, sent_steady, sent_ros = self._before
        gap, ros_gap = steady - sent_steady, ros - sent_ros
        stalled, may_be = (gap > 2 * self.period + off for off in (self.jitter, -self.jitter))
        # By a clock that was set, or stands still, no time counts.
        longest = max(gap, ros_gap) if 0 <= ros_gap <= 2 * self.period else gap
        dt = min(longest + self.jitter, self.period)
        step = np.abs(positions - position)
        outside = np.maximum(self.lower - positions, positions - self.upper)
        was_outside = np.maximum(np.maximum(self.lower - position, position - self.upper), 0.0)
        self._keep("position", outside - was_outside, 1e-9)
        stop = velocities * np.abs(velocities) / (2 * self.acceleration)
        overrun = np.maximum(self.lower - positions - stop, positions + stop - self.upper)
        self._keep("position", overrun - was_outside, ROUNDING)
        self._keep("step", step - np.minimum(self.velocity * dt, self.max_step), ROUNDING)
        self._keep("step", step - np.abs(velocities) * dt, ROUNDING)
        self._keep("velocity", np.abs(velocities) - self.velocity, 1e-9)
        on, anew = (np.abs(velocities - former) - self.acceleration * dt for former in (velocity, 0.0))
        change = anew if stalled or (may_be and anew.max() < on.max()) else on
        if self.jitter and stalled and anew.max() > ROUNDING / dt >= on.max():
            self.late, change = self.late + 1, on
        self._keep("acceleration", change, ROUNDING / dt)
        self._before = np.array(positions), np.array(velocities), steady, ros

    def _keep(self, limit: str, excess: np.ndarray, tolerance: float) -> None:
        worst = float(excess.max())
        self.farthest[limit] = max(self.farthest[limit], worst)
        if not worst <= tolerance:
            self._found(limit, worst, f"joint {int(excess.argmax())}")

    def _found(self, limit: str, worst: float, text: str) -> None:
        if len(self.violations) < 20:
            self.violations.append(f"command {self.count}: {limit} exceeded by {worst:.3g}: {text}")
