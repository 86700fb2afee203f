"""A node's health, once a second on /diagnostics: what came in and when, how long computing took, what failed."""

import math
import time
from collections import deque
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from jepa_ros.errors import JepaError

PERIOD_S = 1.0
_RECENT_S = 10.0
"""Errors and computing times count for this long; rates are taken over half of it."""
_KEPT = 512


class Input:
    """How often a topic came, and when last. stale_after_s: an older last message is worth a warning."""

    def __init__(self, stale_after_s: float = math.inf):
        self.stale_after_s = stale_after_s
        self.count, self.last = 0, -math.inf
        self._former = deque([(time.monotonic(), 0)], maxlen=math.ceil(_RECENT_S / 2 / PERIOD_S))

    def seen(self) -> None:
        """A message came."""
        self.count += 1
        self.last = time.monotonic()

    def rate_hz(self, now: float) -> float:
        """Messages per second over the last few calls of this."""
        count, (since, before) = self.count, self._former[0]
        self._former.append((now, count))
        return (count - before) / max(now - since, 1e-3)


class Stage:
    """How long one kind of computing takes."""

    def __init__(self):
        self._ended: deque[tuple[float, float]] = deque(maxlen=_KEPT)  # when, s; for how long, ms

    def run(self, compute: Callable, *args):
        """``compute(*args)``, timed."""
        began = time.monotonic()
        try:
            return compute(*args)
        finally:
            ended = time.monotonic()
            self._ended.append((ended, 1e3 * (ended - began)))

    def recent_ms(self, now: float) -> list[float]:
        """Of the last seconds, the shortest first."""
        return sorted(ms for ended, ms in self._ended.copy() if now - ended <= _RECENT_S)


class Share:
    """How often something is the case, of all times it was looked at."""

    def __init__(self):
        self.count = 0
        self._recent: deque[tuple[float, bool]] = deque(maxlen=_KEPT)  # when, s; whether

    def add(self, case: bool, now: float) -> None:
        """now: s, monotonic."""
        self.count += case
        self._recent.append((now, case))

    def recent(self, now: float) -> float:
        """The share in the last seconds; NaN where there was nothing to look at."""
        cases = [case for when, case in self._recent.copy() if now - when <= _RECENT_S]
        return sum(cases) / len(cases) if cases else math.nan


class Report:
    """One DiagnosticStatus in the making: values, and the worst of what is said about them."""

    def __init__(self, name: str, hardware_id: str):
        self.hardware_id = hardware_id
        self._name, self._values = name, []
        self._said: list[tuple[bytes, str]] = []

    def add(self, key: str, value) -> None:
        """A value; floats are rounded to four digits."""
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        self._values.append(KeyValue(key=key, value=text))

    def warn(self, text: str) -> None:
        """Something that the user should know."""
        self._said.append((DiagnosticStatus.WARN, text))

    def error(self, text: str) -> None:
        """Something that keeps the node from its work."""
        self._said.append((DiagnosticStatus.ERROR, text))

    def message(self, stamp, well: str) -> DiagnosticArray:
        """The message; ``well``: its words where nothing was said."""
        level = max((level for level, _ in self._said), default=DiagnosticStatus.OK)
        worst_first = sorted(self._said, key=lambda said: said[0], reverse=True)
        status = DiagnosticStatus(
            level=level,
            name=self._name,
            message="; ".join(text for _, text in worst_first) or well,
            hardware_id=self.hardware_id,
            values=self._values,
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = stamp
        return array


class Health:
    """What the base class of the nodes measures. Counting is two assignments, in the thread that takes the message
    or computes; all else is done once a second.

    drops: name to a function that counts what was thrown away.
    """

    def __init__(self):
        self.errors, self._last_error = 0, (-math.inf, None)
        self.clear()

    def clear(self) -> None:
        """Forget inputs, stages and drops, as they go with the entities that they measure."""
        self._inputs: dict[str, Input] = {}
        self._stages: dict[str, Stage] = {}
        self.drops: dict[str, Callable[[], int]] = {}
        self.begin()

    def begin(self) -> None:
        """The node's work begins: inputs are expected from now on."""
        self._began = time.monotonic()

    def input(self, topic: str, stale_after_s: float = math.inf) -> Input:
        """The count of a topic."""
        return self._inputs.setdefault(topic, Input(stale_after_s))

    def stage(self, name: str) -> Stage:
        """The times of a stage."""
        return self._stages.setdefault(name, Stage())

    def failed(self, error: Exception) -> None:
        """Something was reported."""
        self.errors += 1
        self._last_error = time.monotonic(), error

    def fill(self, report: Report, active: bool) -> None:
        """Put into a report what was measured. active: whether inputs are expected now."""
        now = time.monotonic()
        for topic, seen in self._inputs.items():
            age = now - seen.last
            report.add(f"{topic}: rate_hz", seen.rate_hz(now))
            report.add(f"{topic}: age_s", age)
            report.add(f"{topic}: count", seen.count)
            if active and (silent := min(age, now - self._began)) > seen.stale_after_s:
                report.warn(f"no message on {topic} for {silent:.0f} s")
        for name, count in self.drops.items():
            report.add(f"{name}: dropped", count())
        for name, stage in self._stages.items():
            times = stage.recent_ms(now)
            for percent in (50, 95):
                value = times[(len(times) - 1) * percent // 100] if times else math.nan
                report.add(f"{name}: p{percent}_ms", value)
        report.add("errors", self.errors)
        when, error = self._last_error
        if error is None:
            return
        report.add("last_error", error)
        if now - when <= _RECENT_S and isinstance(error, JepaError):
            report.warn(str(error))
        elif now - when <= _RECENT_S:
            report.error(f"{type(error).__name__}: {error}; the log has its traceback")
