"""How fast training goes, and what share of its time it waits for data."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class _Reading(NamedTuple):
    steps: int
    seconds: float
    data_seconds: float


class Pace:
    """A stopwatch for steps of ``images`` frames; starts when it is made.

    seconds, data_seconds, steps: of the run before it was stopped and resumed.
    """

    def __init__(self, images: int, steps: int = 0, seconds: float = 0.0, data_seconds: float = 0.0):
        self._images, self._steps = images, steps
        self._before, self._began = seconds, time.perf_counter()
        self.data_seconds = data_seconds
        self._row = self._read()

    @property
    def seconds(self) -> float:
        """Since the run began, without the time in which it was stopped."""
        return self._before + time.perf_counter() - self._began

    def next(self, batches: Iterator):
        """The next of ``batches``; what that takes is time spent on data."""
        asked = time.perf_counter()
        batch = next(batches)
        self.data_seconds += time.perf_counter() - asked
        self._steps += 1
        return batch

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Something else is done meanwhile; the time that takes does not count."""
        asked = time.perf_counter()
        try:
            yield
        finally:
            self._began += time.perf_counter() - asked

    def row(self) -> dict[str, float]:
        """images_per_second and data_share since the last row."""
        since, self._row = self._row, self._read()
        return self._figures(since, self._row)

    def total(self) -> dict[str, float]:
        """images_per_second and data_share of the whole run."""
        return self._figures(_Reading(0, 0.0, 0.0), self._read())

    def _read(self) -> _Reading:
        return _Reading(self._steps, self.seconds, self.data_seconds)

    def _figures(self, since: _Reading, now: _Reading) -> dict[str, float]:
        seconds = now.seconds - since.seconds
        return {
            "images_per_second": self._images * (now.steps - since.steps) / seconds,
            "data_share": (now.data_seconds - since.data_seconds) / seconds,
        }
