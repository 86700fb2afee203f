"""Every agent under every condition on the same episodes."""

from collections.abc import Callable, Sequence

from jepa_ros.evaluation.closed_loop import EpisodeResult
from jepa_ros.evaluation.runner import Settings, run_jobs
from jepa_ros.evaluation.shifts.condition import Condition
from jepa_ros.evaluation.shifts.report import Results
from jepa_ros.evaluation.shifts.suite import Shift


def conditions(shifts: Sequence[Shift], strengths: Sequence[str], goals: str) -> list[Condition | None]:
    """Clean (None) first, then each shift in each strength."""
    return [None, *(Condition(shift.name, strength, goals) for shift in shifts for strength in strengths)]


def run_shifts(
    settings: Settings,
    names: Sequence[str],
    found: Sequence[Condition | None],
    seeds: Sequence[int],
    processes: int = 1,
    progress: Callable[[EpisodeResult], None] = lambda result: None,
) -> dict[str, Results]:
    """Results by agent and condition, each in the order of the seeds."""
    jobs = [(name, seed, condition) for name in names for condition in found for seed in seeds]
    ended = {}
    for job, result in run_jobs(settings, jobs, processes):
        ended[job] = result
        progress(result)
    return {
        name: {condition: [ended[name, seed, condition] for seed in seeds] for condition in found}
        for name in names
    }
