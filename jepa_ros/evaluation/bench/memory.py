"""Peak resident memory of a process that encodes and plans, by runtime, and how it grows."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

from jepa_ros.evaluation.bench.bench import Bench, Settings
from jepa_ros.evaluation.bench.growth import AXES, axis_calls, axis_sizes, axis_subjects
from jepa_ros.evaluation.bench.resident import forget_peak, give_back, peak_mib

_TIMES = 2


def measure(bench: Bench) -> dict:
    """runtimes: runtime to {"loaded_mib", "axes": axis to {"sizes", "peak_mib"}}, each in a process of its own.

    loaded_mib: with the checkpoint loaded.  peak_mib: while a look is encoded and planned from, sizes ascending; what
    the runtime keeps of smaller sizes is in it, and beside the checkpoint's model one of another width where it takes one.
    """
    for axis in AXES:  # made here: an export would leave its own memory behind
        for size in axis_sizes(bench.effort, axis):
            axis_subjects(bench, axis, size)
    return {
        "runtimes": {
            name: _in_a_process(replace(bench.settings, runtimes=(bench.asked[name],)))
            for name in bench.subjects
        }
    }


def _in_a_process(settings: Settings) -> dict:
    # Spawned: a forked process shares pages with this one.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_watch, settings).result()


def _watch(settings: Settings) -> dict:
    bench = Bench(settings)
    give_back()
    forget_peak()
    found: dict = {"loaded_mib": peak_mib(), "axes": {}}
    for axis in AXES:
        sizes = axis_sizes(bench.effort, axis)
        if not all(axis_subjects(bench, axis, size) for size in sizes):
            continue
        found["axes"][axis] = {"sizes": list(sizes), "peak_mib": [_peak(bench, axis, size) for size in sizes]}
    return found


def _peak(bench: Bench, axis: str, size: int) -> float | None:
    (subject,) = axis_subjects(bench, axis, size).values()
    calls = axis_calls(bench, subject, axis, size)
    bench.release()
    give_back()
    forget_peak()
    for _ in range(_TIMES):
        for name in ("encode", "plan"):
            if name in calls:
                calls[name]()
    return peak_mib()
