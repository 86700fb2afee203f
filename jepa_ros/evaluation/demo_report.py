"""What a demo leaves behind: filmstrips, plots, result.json."""

import shutil
from pathlib import Path

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.evaluation import filmstrip, provenance
from jepa_ros.evaluation.filmstrip import Panel
from jepa_ros.evaluation.statistics import percentile, wilson_interval
from jepa_ros.evaluation.trace import Trace, Verdict, scene
from jepa_ros.evaluation.trace_plot import plot_trace
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import Goal

RENDER_PX = 640
BETWEEN = 3


def prepare(out: Path) -> None:
    """Make ``out`` and remove what an earlier demo left there; nothing else in it is touched."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for pattern in ("filmstrip*.png", "plot*.png", "result.json"):
            for file in out.glob(pattern):
                file.unlink()
        for folder in ("bag", "log"):
            if (out / folder).is_dir():
                shutil.rmtree(out / folder)
    except OSError as error:
        raise JepaError(
            f"cannot write to {out}: {error.strerror or error}; choose another folder with --out"
        ) from error


def draw(
    out: Path,
    name: str,
    trace: Trace,
    verdict: Verdict,
    goal: Goal | None,
    goal_image: np.ndarray,
    heading: str,
    task: str,
    tolerance_m: float,
) -> None:
    """Write ``filmstrip{name}.png`` and ``plot{name}.png`` of one episode.

    The panels are drawn again from the recorded joints, sharper than the camera's image. goal: its scene,
    drawn alike; None shows goal_image (h, w, 3) uint8 as it was given.
    """
    words = outcome(verdict)
    if trace.joints:
        with Simulator(task=task) as simulator:
            picture = strip(simulator, trace, verdict, goal, goal_image, heading, words)
        filmstrip.write_png(out / f"filmstrip{name}.png", picture)
    plot_trace(out / f"plot{name}.png", trace, verdict, f"{heading}: {words}", tolerance_m)


def strip(
    simulator: Simulator,
    trace: Trace,
    verdict: Verdict,
    goal: Goal | None,
    goal_image: np.ndarray,
    heading: str,
    remark: str,
) -> np.ndarray:
    """Start, along the way, end and goal side by side: (H, W, 3) uint8 RGB."""
    last = len(trace.joints) - 1
    if verdict.success:  # what comes after is standing still
        last = int(np.searchsorted(trace.joint_times, verdict.seconds).clip(0, last))
    indices = [0, *filmstrip.along_the_way(np.array(trace.joints[: last + 1]), BETWEEN), last]
    tone = filmstrip.GOOD if verdict.success else filmstrip.BAD
    panels = []
    for i in indices:
        image = simulator.goal_image(scene(trace.joints[i], trace.cubes[i]), (RENDER_PX, RENDER_PX))
        title = "start" if i == 0 else f"{trace.joint_times[i]:.1f} s"
        caption = ""
        if verdict.errors_m is not None:
            caption = f"{length(verdict.errors_m[i])} away"
        panels.append(
            Panel(image, f"end, {title}" if i == last else title, caption, tone if i == last else None)
        )
    if goal is not None:
        panels.append(Panel(simulator.goal_image(goal, (RENDER_PX, RENDER_PX)), "goal", "", filmstrip.GOAL))
    else:
        panels.append(Panel(goal_image, "goal", "", filmstrip.GOAL))
    return filmstrip.compose(panels, heading, remark, tone)


def outcome(verdict: Verdict) -> str:
    """One episode in words; time and distance are those at which it was judged."""
    words = f"goal {'' if verdict.success else 'not '}reached"
    words += f" {'in' if verdict.success else 'within'} {verdict.seconds:.1f} s"
    return words if verdict.judged_error_m is None else f"{words}, {length(verdict.judged_error_m)} from it"


def length(metres: float) -> str:
    """A distance in the unit that suits it."""
    return f"{100 * metres:.1f} cm" if metres >= 0.02 else f"{max(1, round(1000 * metres))} mm"


def result(
    task: str,
    seed: int,
    composition: str,
    checkpoint: str,
    runtime: str,
    episodes: list[tuple[Trace, Verdict]],
    cut_short: str | None = None,
) -> dict:
    """The content of result.json. steps counts executed blocks; runtime computed the model.

    judged_error_m: the error when success was decided (the terminal, the heading and the last frame say
    the same), without success the last one.  final_error_m: the error when recording ended, which after a
    success is some seconds of further motion later.  Both are medians over episodes at the top.
    cut_short: what ended the demo before all of its episodes were driven, which is no success; else None.
    """
    successes = sum(verdict.success for _, verdict in episodes)
    plan_ms = [ms for trace, _ in episodes for ms in trace.plan_ms]
    command_ms = [ms for trace, _ in episodes for ms in trace.image_to_command_ms]
    return {
        "task": task,
        "seed": seed,
        "episodes": len(episodes),
        "successes": successes,
        "success": bool(episodes) and successes == len(episodes) and cut_short is None,
        "cut_short": cut_short,
        "wilson_95": list(wilson_interval(successes, len(episodes))),
        "judged_error_m": percentile([verdict.judged_error_m for _, verdict in episodes], 50),
        "final_error_m": percentile([verdict.final_error_m for _, verdict in episodes], 50),
        "steps": sum(len(trace.plan_ms) for trace, _ in episodes),
        "plan_ms_p50": percentile(plan_ms, 50),
        "plan_ms_p95": percentile(plan_ms, 95),
        "image_to_command_ms_p50": percentile(command_ms, 50),
        "image_to_command_ms_p95": percentile(command_ms, 95),
        "composition": composition,
        "checkpoint": checkpoint,
        "runtime": runtime,
        "judged_by": episodes[0][1].judged_by if episodes else None,
        "machine": provenance.machine(),
        "libraries": provenance.libraries(),
        "commit": provenance.source_commit(),
        "rows": [
            {
                "seed": trace.seed,
                "success": verdict.success,
                "seconds": round(verdict.seconds, 3),
                "judged_error_m": verdict.judged_error_m,
                "final_error_m": verdict.final_error_m,
                "steps": len(trace.plan_ms),
                "planner": trace.termination,
                "deadline_misses": trace.deadline_misses,
                "dropped": trace.dropped,
                "plan_ms": [round(ms, 2) for ms in trace.plan_ms],
                "image_to_command_ms": [round(ms, 2) for ms in trace.image_to_command_ms],
            }
            for trace, verdict in episodes
        ],
    }
