"""Distance and latency of one episode over time, as a picture."""

from pathlib import Path

import numpy as np

from jepa_ros.evaluation.trace import Trace, Verdict

GOOD, BLUE, ORANGE, GREY = "#168a54", "#2f6db3", "#d9822b", "#6b7078"


def plot_trace(path: Path, trace: Trace, verdict: Verdict, title: str, tolerance_m: float) -> None:
    """Two panels, one time axis: latent and true distance; planning and image-to-command time."""
    import matplotlib.backends.backend_agg  # noqa: F401  the figure needs no display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.6), dpi=120, layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    top.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=12)
    _distances(top, trace, verdict, tolerance_m)
    _latencies(bottom, trace)
    for axes in (top, bottom):
        if verdict.success:
            axes.axvline(verdict.seconds, color=GOOD, lw=1.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    if verdict.success:
        top.annotate(
            "goal reached ",
            (verdict.seconds, 1),
            xycoords=("data", "axes fraction"),
            color=GOOD,
            ha="right",
            va="top",
            fontsize=9,
        )
    bottom.set_xlabel("seconds since the goal was sent")
    bottom.set_xlim(left=0)
    figure.savefig(path)


def _distances(axes, trace: Trace, verdict: Verdict, tolerance_m: float) -> None:
    axes.plot(trace.distance_times, trace.distances, "o-", ms=4, color=BLUE)
    if trace.latent_tolerance is not None:
        axes.axhline(trace.latent_tolerance, color=BLUE, ls=":", lw=1)
    axes.set_ylabel("latent distance", color=BLUE)
    axes.set_ylim(bottom=0)
    if verdict.errors_m is not None:
        right = axes.twinx()
        right.plot(trace.joint_times, 100 * verdict.errors_m, color=ORANGE)
        right.axhline(100 * tolerance_m, color=ORANGE, ls=":", lw=1)
        right.set_ylabel("true distance (cm)", color=ORANGE)
        right.set_ylim(bottom=0)
        right.spines[["top"]].set_visible(False)


def _latencies(axes, trace: Trace) -> None:
    if trace.image_to_command_ms:
        axes.plot(
            trace.command_times, trace.image_to_command_ms, "o-", ms=4, color=GREY, label="image to command"
        )
    if trace.plan_ms:
        axes.plot(
            trace.distance_times[: len(trace.plan_ms)],
            trace.plan_ms,
            "o-",
            ms=4,
            color=BLUE,
            label="planning",
        )
    shown = [*trace.image_to_command_ms, *trace.plan_ms]
    if shown:
        axes.set_ylim(0, 1.4 * float(np.nanmax(shown)))
        axes.legend(loc="upper right", frameon=False, fontsize=9, ncols=2)
    axes.set_ylabel("latency (ms)")
