"""Peak resident memory of a process that encodes and plans, by runtime, and how it grows."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

from jepa_ros.data.heap import give_back
from jepa_ros.evaluation.bench.bench import Bench, Settings
from jepa_ros.evaluation.bench.growth import axis_calls, axis_sizes, axis_subjects, axis_width
from jepa_ros.evaluation.bench.resident import forget_peak, peak_mib

_TIMES = 2


def measure(bench: Bench) -> dict:
    """runtimes: runtime to axis to {"loaded_mib", "sizes", "peak_mib"}, each in a process of its own.

    loaded_mib: with the checkpoint loaded.  peak_mib: while a look is encoded and planned from, sizes ascending; what
    the runtime keeps of smaller sizes is in it, and along latent width and cameras a model of that width beside the
    checkpoint's.
    """
    axes = bench.effort.memory_axes
    for axis in axes:  # made here: an export would leave its own memory behind
        for size in axis_sizes(bench.effort, axis):
            axis_subjects(bench, axis, size)
    found: dict[str, dict] = {runtime: {} for runtime in bench.subjects}
    for axis in axes:
        for runtime in bench.subjects:
            settings = replace(bench.settings, runtimes=(bench.asked[runtime],))
            found[runtime][axis] = _in_a_process(settings, axis)
    return {"runtimes": found}


def _in_a_process(settings: Settings, axis: str) -> dict:
    # Spawned: a forked process shares pages with this one.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_watch, settings, axis).result()


def _watch(settings: Settings, axis: str) -> dict:
    bench = Bench(settings)
    give_back()
    forget_peak()
    loaded, sizes = peak_mib(), axis_sizes(bench.effort, axis)
    return {"loaded_mib": loaded, "sizes": list(sizes), "peak_mib": [_peak(bench, axis, n) for n in sizes]}


def _peak(bench: Bench, axis: str, size: int) -> float | None:
    width = axis_width(bench, axis, size)
    (subject,) = (bench.subjects if width is None else bench.beside(width)).values()
    calls = axis_calls(bench, subject, axis, size)
    give_back()
    forget_peak()
    for _ in range(_TIMES):
        for name in ("encode", "plan"):
            if name in calls:
                calls[name]()
    return peak_mib()
