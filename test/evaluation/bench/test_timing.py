"""Calls take turns, warm up, and end with their budget."""

import itertools

import numpy as np
import pytest

from jepa_ros.evaluation.bench import timing
from jepa_ros.evaluation.bench.timing import FEWEST_ROUNDS, figures, interleaved


def test_every_round_calls_everything_once_and_begins_with_another():
    said = []
    times = interleaved({name: lambda name=name: said.append(name) for name in "abc"}, rounds=3, warm_up=0)
    assert "".join(said) == "abc" + "bca" + "cab"
    assert set(times) == set("abc") and all(len(ms) == 3 for ms in times.values())


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes 1 s on whenever it is asked."""
    ticks = itertools.count()
    for name in ("monotonic", "perf_counter"):
        monkeypatch.setattr(timing.time, name, lambda: float(next(ticks)))


def test_warm_up_is_called_and_not_counted(clock):
    said = []
    times = interleaved({"a": lambda: said.append(1)}, rounds=4, warm_up=3)
    assert len(said) == 7 and np.array_equal(times["a"], [1000.0] * 4)


def test_no_round_begins_after_the_budget_but_the_fewest_are_made(clock):
    assert len(interleaved({"a": lambda: None}, 1000, 0, budget_s=0.0)["a"]) == FEWEST_ROUNDS
    assert FEWEST_ROUNDS < len(interleaved({"a": lambda: None}, 1000, 0, budget_s=60.0)["a"]) < 60


def test_figures_are_median_p95_and_how_many():
    assert figures(range(101)) == {"median_ms": 50.0, "p95_ms": 95.0, "repetitions": 101}
