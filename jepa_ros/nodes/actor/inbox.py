"""What the planner's thread waits for, behind one condition: looks, answers, goals, and being interrupted."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Look:
    """One encoded camera image. latent: (D,) float32.  header: the image's.  stamp_ns: its stamp."""

    latent: np.ndarray
    stamp_ns: int
    header: object
    encoder_id: str
    encode_ms: float


class Interrupted(Exception):
    """The goal at hand is over; ``reason`` is a termination reason of ReachGoal, ``text`` its words where it has
    any."""

    def __init__(self, reason: int, text: str = ""):
        super().__init__(reason, text)
        self.reason, self.text = reason, text


class Inbox:
    """Callbacks put in, one thread waits. An interruption ends every wait until the next goal is taken.

    wake_too: called at an interruption, to end a wait of that thread on something else.
    """

    def __init__(self):
        self._changed = threading.Condition()
        self._look: Look | None = None
        self._waiting = None
        self.current = None
        self._interruption: tuple[int, str] | None = None
        self._open = True
        self.wake_too: Callable[[], object] | None = None

    def notify(self, change: Callable[[], object]) -> None:
        """Run ``change`` under the lock and wake the waiting thread."""
        with self._changed:
            change()
            self._changed.notify_all()

    def wait_for(self, ready: Callable[[], object], timeout_s: float):
        """The first true value of ``ready()``, or None after timeout_s. Raises Interrupted."""
        with self._changed:
            value = self._changed.wait_for(
                lambda: self._interruption is not None or ready(), max(timeout_s, 0.0)
            )
            if self._interruption is not None:
                raise Interrupted(*self._interruption)
            return value or None

    def check(self) -> None:
        """Raise Interrupted where the goal at hand is over."""
        self.wait_for(lambda: True, 0.0)

    def put_look(self, look: Look) -> None:
        """Store the newest look."""
        self.notify(lambda: setattr(self, "_look", look))

    @property
    def newest_look(self) -> Look | None:
        """Whatever its stamp."""
        return self._look

    def later_look(self, stamp_ns: int, timeout_s: float) -> Look | None:
        """The newest look whose image is stamped later, also where the goal at hand is over; None where there is none after
        timeout_s, or once another goal waits or the inbox is closed."""

        def later():
            return self._look if self._look is not None and self._look.stamp_ns > stamp_ns else None

        with self._changed:
            self._changed.wait_for(lambda: later() or self._waiting or not self._open, timeout_s)
            return later()

    def look_from(
        self,
        not_before_ns: int,
        clock_set_back_ns: int,
        timeout_s: float,
        not_after_ns: Callable[[], int] = lambda: 2**63,
    ) -> Look | None:
        """The newest look whose image is stamped not_before_ns or later, or so early that the clock must have
        been set back since: before clock_set_back_ns. One from after not_after_ns() is older than that."""

        def ready():
            look = self._look
            if look is None or look.stamp_ns > not_after_ns():
                return None
            return look if look.stamp_ns >= not_before_ns or look.stamp_ns < clock_set_back_ns else None

        return self.wait_for(ready, timeout_s)

    def put_goal(self, goal, interruption: int):
        """Store the next goal and interrupt the one at hand; returns the goal that was replaced before its
        turn."""
        with self._changed:
            replaced, self._waiting = self._waiting, goal
            self._interruption = interruption, ""
            self._changed.notify_all()
        self._wake()
        return replaced

    def take_goal(self):
        """Wait for the next goal, which then is ``current``; None once the inbox is closed."""
        with self._changed:
            self.current = None
            self._changed.wait_for(lambda: self._waiting is not None or not self._open)
            self.current, self._waiting = self._waiting, None
            if self._open:
                self._interruption = None
            return self.current

    def end_goal(self, goal, reason: int, text: str = "") -> bool:
        """Interrupt ``goal`` if it is the one at hand, withdraw it if it still waits; True where it was
        withdrawn."""
        with self._changed:
            withdrawn = goal is self._waiting
            if withdrawn:
                self._waiting = None
            elif goal is self.current:
                self._interruption = reason, text
                self._changed.notify_all()
        self._wake()
        return withdrawn

    def open(self) -> None:
        """Begin anew, with no look and no goal."""
        with self._changed:
            self._look = self._waiting = self.current = self._interruption = None
            self._open = True

    def close(self, reason: int):
        """End the goal at hand and let no wait begin any more; returns the goal that had not begun."""
        with self._changed:
            waiting, self._waiting = self._waiting, None
            self._interruption, self._open = (reason, ""), False
            self._changed.notify_all()
        self._wake()
        return waiting

    def _wake(self) -> None:
        if self.wake_too is not None:
            self.wake_too()
