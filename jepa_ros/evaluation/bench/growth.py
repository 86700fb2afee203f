"""How encoding, a rollout and a whole plan grow with candidates, horizon, latent width and number of cameras."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from jepa_ros.evaluation.bench.bench import Bench
from jepa_ros.evaluation.bench.effort import Effort
from jepa_ros.evaluation.bench.exponent import fit
from jepa_ros.evaluation.bench.subjects import Subject
from jepa_ros.evaluation.bench.timing import figures, interleaved

AXES = ("candidates", "horizon", "latent_width", "cameras")
QUANTITIES = ("plan", "rollout", "encode")


def measure(bench: Bench) -> dict:
    """axes: axis to {"sizes", "runtimes": runtime to quantity to figures per size and their growth}.

    n cameras: n pictures encoded in one batch, and a latent n times as wide. Everything else is the default.
    """
    return {"axes": {axis: _axis(bench, axis) for axis in AXES}, "note": NOTE}


NOTE = (
    "Latent widths and cameras other than the checkpoint's: models of random weights, which take the same time. "
    "ONNX Runtime takes horizons other than its export's block by block."
)


def _axis(bench: Bench, axis: str) -> dict:
    sizes, calls = axis_sizes(bench.effort, axis), {}
    for size in sizes:
        for runtime, subject in axis_subjects(bench, axis, size).items():
            for quantity, call in axis_calls(bench, subject, axis, size).items():
                calls[quantity, runtime, size] = call
    times = interleaved(calls, bench.effort.rounds, budget_s=bench.effort.budget_s)
    runtimes = {
        runtime: {
            quantity: _grown(sizes, [times[quantity, runtime, size] for size in sizes])
            for quantity in QUANTITIES
            if (quantity, runtime, sizes[0]) in times
        }
        for runtime in bench.subjects
        if all(("plan", runtime, size) in times for size in sizes)
    }
    return {"sizes": list(sizes), "runtimes": runtimes}


def axis_sizes(effort: Effort, axis: str) -> tuple[int, ...]:
    """What is measured along an axis, ascending."""
    return getattr(effort, {"horizon": "horizons", "latent_width": "widths"}.get(axis, axis))


def axis_width(bench: Bench, axis: str, size: int) -> int | None:
    """The latent width that a point of an axis is about; None: the checkpoint's, as it is."""
    return {"latent_width": size, "cameras": size * bench.width}.get(axis)


def axis_subjects(bench: Bench, axis: str, size: int) -> dict[str, Subject]:
    """The models that a point of an axis needs, by runtime."""
    width = axis_width(bench, axis, size)
    return bench.subjects if width is None else bench.of_width(width)


def axis_calls(bench: Bench, subject: Subject, axis: str, size: int) -> dict[str, Callable[[], object]]:
    """What is timed at a point of an axis: of QUANTITIES, those that differ along it."""
    config = bench.planner
    if axis == "candidates":
        config = replace(config, samples=size)
    elif axis == "horizon":
        config = replace(config, horizon=size)
    actions = subject.candidates(config.samples, config.horizon)
    calls = {"rollout": lambda: subject.rollout(actions), "plan": subject.plan(config)}
    if axis == "cameras":
        encoder, pictures = bench.subjects[subject.runtime], subject.pictures(size)
        return {"encode": lambda: encoder.encode(pictures), **calls}
    if axis == "latent_width":
        pictures = subject.pictures(1)
        return {"encode": lambda: subject.encode(pictures), **calls}
    return calls


def _grown(sizes: Sequence[int], times: Sequence[np.ndarray]) -> dict:
    rows = [figures(ms) for ms in times]
    return {
        **{name: [row[name] for row in rows] for name in ("median_ms", "p95_ms")},
        "repetitions": rows[0]["repetitions"],
        **fit(sizes, np.stack(times, axis=1)).to_dict(),
    }
