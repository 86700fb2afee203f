"""Calls timed in turns, so that whatever else the machine does hits all of them alike."""

import math
import time
from collections.abc import Callable, Hashable, Mapping

import numpy as np

FEWEST_ROUNDS = 3


def interleaved(
    calls: Mapping[Hashable, Callable[[], object]], rounds: int, warm_up: int = 2, budget_s: float = math.inf
) -> dict[Hashable, np.ndarray]:
    """ms that every call took, (rounds,) each; row i of all of them is one round of calls, one after the other.

    Every round begins with another call than the one before.  warm_up: rounds that are not counted.
    budget_s: no further round begins after this long, warm-up included; FEWEST_ROUNDS are made all the same.
    """
    names, ends = list(calls), time.monotonic() + budget_s
    spent: dict[Hashable, list[float]] = {name: [] for name in names}
    for done in range(-warm_up, rounds):
        if done >= FEWEST_ROUNDS and time.monotonic() > ends:
            break
        first = done % len(names)
        for name in names[first:] + names[:first]:
            began = time.perf_counter()
            calls[name]()
            took = 1e3 * (time.perf_counter() - began)
            if done >= 0:
                spent[name].append(took)
    return {name: np.array(times) for name, times in spent.items()}


def figures(times) -> dict[str, float | int]:
    """Median, 95th percentile and number of times in ms, rounded to a tenth of a microsecond."""
    median, p95 = np.percentile(times, [50, 95])
    return {"median_ms": round(float(median), 4), "p95_ms": round(float(p95), 4), "repetitions": len(times)}
