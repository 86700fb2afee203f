"""Distance and latency of one episode over time, as a picture."""

from pathlib import Path

import numpy as np

from jepa_ros.evaluation.trace import Trace, Verdict

GOOD, BLUE, ORANGE, GREY = "#168a54", "#2f6db3", "#d9822b", "#8a8f98"


def plot_trace(path: Path, trace: Trace, verdict: Verdict, title: str, tolerance_m: float) -> None:
    """Two panels, one time axis: latent and true distance; plan time and image-to-command time."""
    import matplotlib

    matplotlib.use("Agg", force=False)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.6), dpi=120, layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    lines = top.plot(trace.distance_times, trace.distances, ".-", color=BLUE, label="latent distance")
    if trace.latent_tolerance is not None:
        lines.append(top.axhline(trace.latent_tolerance, color=BLUE, ls=":", lw=1, label="latent tolerance"))
    top.set_ylabel("latent distance", color=BLUE)
    top.set_ylim(bottom=0)
    if verdict.errors_m is not None:
        right = top.twinx()
        right.spines[["top"]].set_visible(False)
        lines += right.plot(trace.joint_times, 100 * verdict.errors_m, color=ORANGE, label="distance of end effector")
        lines.append(right.axhline(100 * tolerance_m, color=ORANGE, ls=":", lw=1, label=f"{100 * tolerance_m:g} cm"))
        right.set_ylabel("end effector to goal (cm)", color=ORANGE)
        right.set_ylim(bottom=0)
    if verdict.success:
        lines.append(top.axvline(verdict.seconds, color=GOOD, lw=1.5, label="goal reached"))
        bottom.axvline(verdict.seconds, color=GOOD, lw=1.5)
    top.legend(handles=lines, loc="upper right", frameon=False, fontsize=8)

    if trace.image_to_command_ms:
        bottom.plot(trace.command_times, trace.image_to_command_ms, ".-", color=GREY, label="image to command")
    if trace.plan_ms:
        bottom.plot(trace.distance_times, trace.plan_ms, ".-", color=BLUE, label="planning")
    if trace.image_to_command_ms or trace.plan_ms:
        bottom.legend(loc="upper right", frameon=False, fontsize=8)
        bottom.set_ylim(0, 1.35 * float(np.nanmax([*trace.image_to_command_ms, *trace.plan_ms])))
    bottom.set_ylabel("ms")
    bottom.set_xlabel("seconds since the goal was sent")
    for axes in (top, bottom):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    figure.savefig(path)
