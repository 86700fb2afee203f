"""One rollout: candidates imagined over a horizon."""

from itertools import product

from jepa_ros.evaluation.bench.bench import Bench
from jepa_ros.evaluation.bench.timing import figures, interleaved


def measure(bench: Bench) -> dict:
    """rows: per number of candidates and horizon (blocks), by runtime."""
    effort, calls = bench.effort, {}
    for samples, horizon in product(effort.grid_candidates, effort.grid_horizons):
        actions = bench.any_subject.candidates(samples, horizon)
        for runtime, subject in bench.subjects.items():
            calls[runtime, samples, horizon] = lambda s=subject, a=actions: s.rollout(a)
    times = interleaved(calls, effort.rounds, budget_s=effort.budget_s)
    return {
        "rows": [
            {"runtime": runtime, "candidates": samples, "horizon": horizon, **figures(ms)}
            for (runtime, samples, horizon), ms in times.items()
        ]
    }
