"""The pictures of a run: bench.png, what things take; growth.png, how that grows."""

from __future__ import annotations

from pathlib import Path

from jepa_ros.evaluation.bench.bars import COMMAND_BARS_MS
from jepa_ros.evaluation.bench.figure import (
    COMPOSITION_COLOURS,
    RED,
    bars,
    colour,
    draw,
    powers,
    title,
)
from jepa_ros.evaluation.bench.growth import AXES
from jepa_ros.evaluation.bench.tables import AXIS_WORDS
from jepa_ros.evaluation.trace_plot import BLUE, GOOD, GREY, ORANGE

STAGE_WORDS = {
    "encode_ms": "encode",
    "rollout_ms": "rollouts",
    "cost_ms": "costs",
    "plan_ms": "whole plan",
    "image_age_ms": "image to plan",
}
AXIS_MARKERS = {"candidates": "o-", "horizon": "s--", "latent_width": "^:", "cameras": "D-."}
LINEAR = "linear"
_STYLES = {"plan": "-", "rollout": "--", "encode": ":"}


def draw_all(folder: Path, content: dict) -> list[Path]:
    """Write the pictures that the measured parts give; returns their paths. content: of bench.json."""
    parts, footer, written = content["parts"], _footer(content), []
    chosen = [
        (
            folder / "bench.png",
            "What encoding, planning and the whole way to a command take",
            _overview(parts),
        ),
        (folder / "growth.png", "How time and memory grow", _growth(parts)),
    ]
    for path, heading, panels in chosen:
        if panels:
            draw(path, heading, footer, panels)
            written.append(path)
    return written


def _footer(content: dict) -> str:
    machine, load = content["machine"], content["load_average"]
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']:g} GiB{gpu}; {content['threads']} thread(s) "
        f"per process; load average {load['before']:g} before, {load['after']:g} after"
    )


def _overview(parts: dict) -> list:
    panels = []
    if "graph" in parts:
        compositions = parts["graph"]["compositions"]
        panels += [lambda axes: _commands(axes, compositions), lambda axes: _stages(axes, compositions)]
    if "encode" in parts:
        panels.append(lambda axes: _encode(axes, parts["encode"]["rows"]))
    if "plan" in parts:
        panels.append(lambda axes: _plans(axes, parts["plan"]))
    if "rollout" in parts:
        panels.append(lambda axes: _rollouts(axes, parts["rollout"]["rows"]))
    if "graph" in parts:
        panels.append(lambda axes: _peaks(axes, parts["graph"]["compositions"]))
    if "selective" in parts:
        panels += [
            lambda axes: _saved(axes, parts["selective"]),
            lambda axes: _kept(axes, parts["selective"]),
        ]
    return panels


def _growth(parts: dict) -> list:
    panels = []
    if "growth" in parts:
        panels += [lambda axes, name=name: _axis(axes, name, parts["growth"]["axes"][name]) for name in AXES]
    graph = parts.get("graph", {}).get("compositions", {})
    if any(found["other_settings"] for found in graph.values()):
        panels += [
            lambda axes, over=over: _graph_axis(axes, over, graph) for over in ("candidates", "horizon")
        ]
    if "memory" in parts:
        panels += [
            lambda axes, runtime=runtime, found=found: _memory(axes, runtime, found)
            for runtime, found in parts["memory"]["runtimes"].items()
        ]
    return panels


def _commands(axes, compositions: dict) -> None:
    rows, spans = [], {}
    for name, found in compositions.items():
        first = len(rows)
        rows.append((f"{name}, all looks", *_times(found["image_to_command"]), COMPOSITION_COLOURS[name]))
        if found["image_to_command_searched"]:
            times = _times(found["image_to_command_searched"])
            rows.append((f"{name}, searched", *times, COMPOSITION_COLOURS[name]))
        spans[name] = first - 0.38, len(rows) - 0.62
    bars(axes, rows, "ms; bar: median, whisker: p95")
    for name, span in spans.items():
        limit = COMMAND_BARS_MS[name]
        axes.plot([limit, limit], span, color=RED, lw=2)
        axes.annotate(
            f"limit: {limit:.0f}", (limit, span[0]), color=RED, fontsize=8, ha="center", va="bottom"
        )
    axes.set_xlim(0, max(axes.get_xlim()[1], 1.15 * max(COMMAND_BARS_MS.values())))
    axes.set_ylim(len(rows) - 0.4, -0.85)
    title(axes, "Image to command through the ROS graph")


def _stages(axes, compositions: dict) -> None:
    rows = []
    for stage, words in STAGE_WORDS.items():
        for name, found in compositions.items():
            rows.append((f"{words}, {name}", *_times(found["stages"][stage]), COMPOSITION_COLOURS[name]))
    bars(axes, rows, "ms; bar: median, whisker: p95")
    title(axes, "Stages of a look that is searched")


def _encode(axes, found: list[dict]) -> None:
    rows = [(f"{row['picture']}, {row['runtime']}", *_times(row), colour(row["runtime"])) for row in found]
    bars(axes, rows, "ms; bar: median, whisker: p95")
    title(axes, "Encode one picture")


def _plans(axes, part: dict) -> None:
    rows = [
        (
            f"{row['solver']} {row['candidates']} x {row['iterations']}, {row['runtime']}",
            *_times(row),
            colour(row["runtime"]),
        )
        for row in part["rows"]
    ]
    bars(axes, rows, "ms; bar: median, whisker: p95")
    title(axes, "A whole plan (candidates x iterations)")


def _rollouts(axes, found: list[dict]) -> None:
    horizons = sorted({row["horizon"] for row in found})
    for runtime in dict.fromkeys(row["runtime"] for row in found):
        for samples in sorted({row["candidates"] for row in found}):
            mine = sorted(
                (row["horizon"], row["median_ms"])
                for row in found
                if (row["runtime"], row["candidates"]) == (runtime, samples)
            )
            axes.plot(*zip(*mine, strict=True), "o-", ms=3, lw=1.3, color=colour(runtime), label=runtime)
            axes.annotate(
                f"{samples}",
                mine[-1],
                xytext=(5, 0),
                textcoords="offset points",
                fontsize=8,
                va="center",
                color=colour(runtime),
            )
    powers(axes, horizons, "horizon (blocks)")
    axes.set_ylabel("ms", fontsize=9)
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(unique.values(), unique.keys(), frameon=False, fontsize=8.5, loc="upper left")
    title(axes, "One rollout; at each line its number of candidates")


def _peaks(axes, compositions: dict) -> None:
    rows = [
        (f"{process}, {name}" if process != name else name, mib, None, COMPOSITION_COLOURS[name])
        for name, found in compositions.items()
        for process, mib in found["peak_mib"].items()
    ]
    bars(axes, rows, "peak resident memory, MiB")
    title(axes, "Memory of every process")


def _way(row: dict) -> str:
    return f"frame skipping {'on' if row['frame_skipping'] else 'off'}, replan {row['replan']}"


def _saved(axes, part: dict) -> None:
    for place, row in enumerate(part["rows"]):
        plan, encode = row["plan_ms_per_episode"], row["encode_ms_per_episode"]
        axes.barh(place, plan, color=BLUE, height=0.62, label="plan")
        axes.barh(place, encode, left=plan, color=ORANGE, height=0.62, label="encode")
        axes.annotate(
            f"{plan + encode:.0f} ms" + (f", {row['compute_saved']:.0%} saved" if place else ""),
            (plan + encode, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_xlim(0, 1.35 * max(row["compute_ms_per_episode"] for row in part["rows"]))
    axes.set_xlabel("processor time of an episode, ms", fontsize=9)
    _ways(axes, part)
    axes.set_ylim(len(part["rows"]) - 0.5, -1.1)
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(unique.values(), unique.keys(), frameon=False, fontsize=8, loc="upper right", ncols=2)
    title(axes, "Selective work: compute spent")


def _kept(axes, part: dict) -> None:
    for place, row in enumerate(part["rows"]):
        share = 100 * row["successes"] / part["episodes"]
        low, high = (100 * end for end in row["wilson_95"])
        axes.barh(place, share, color=GOOD, height=0.62)
        axes.plot([low, high], [place, place], color="black", lw=1)
        axes.annotate(
            f"{row['successes']} / {part['episodes']}", (3, place), color="white", fontsize=9, va="center"
        )
    axes.set_xlim(0, 105)
    axes.set_xlabel("% success; line: Wilson 95 %", fontsize=9)
    _ways(axes, part)
    axes.invert_yaxis()
    title(axes, "Selective work: success kept")


def _ways(axes, part: dict) -> None:
    axes.set_yticks(range(len(part["rows"])), [_way(row) for row in part["rows"]], fontsize=8.5)
    axes.grid(axis="y", visible=False)


def _axis(axes, name: str, found: dict) -> None:
    sizes = found["sizes"]
    for runtime, quantities in found["runtimes"].items():
        for quantity, row in quantities.items():
            axes.plot(
                sizes,
                row["median_ms"],
                "o" + _STYLES[quantity],
                ms=3.5,
                lw=1.5,
                color=colour(runtime),
                label=f"{quantity}, {runtime}: {_exponent(row)}",
            )
        _linear_from(axes, sizes, quantities["plan"]["median_ms"][0])
    powers(axes, sizes, AXIS_WORDS[name])
    _finish(axes, f"A plan and its parts over {AXIS_WORDS[name]}", "time ~ size^e; e with its 95 % interval")


def _graph_axis(axes, over: str, compositions: dict) -> None:
    sizes: list[int] = []
    other = {"candidates": "horizon", "horizon": "candidates"}[over]
    for name, found in compositions.items():
        rows = found["other_settings"]
        usual = max((row[other] for row in rows), key=[row[other] for row in rows].count)
        mine = sorted(
            (row[over], row["image_to_command"]["median_ms"], row["image_to_command"]["p95_ms"])
            for row in rows
            if row[other] == usual
        )
        sizes, medians, p95 = zip(*mine, strict=True)
        axes.plot(sizes, medians, "o-", ms=3.5, color=COMPOSITION_COLOURS[name], label=f"{name}, median")
        axes.plot(sizes, p95, "^:", ms=3.5, color=COMPOSITION_COLOURS[name], label=f"{name}, p95")
        _linear_from(axes, sizes, medians[0])
    powers(axes, sizes, AXIS_WORDS[over])
    _finish(axes, f"Image to command over {AXIS_WORDS[over]}")


def _memory(axes, runtime: str, found: dict) -> None:
    highest = 1.0
    for name, row in found.items():
        relative = [size / row["sizes"][0] for size in row["sizes"]]
        label = f"{AXIS_WORDS[name]}, {row['sizes'][0]} to {row['sizes'][-1]}"
        extra = [mib - row["loaded_mib"] for mib in row["peak_mib"]]
        axes.plot(relative, extra, AXIS_MARKERS[name], ms=4, lw=1.2, color=colour(runtime), label=label)
        highest = max(highest, *extra)
    loaded = sum(row["loaded_mib"] for row in found.values()) / len(found)
    axes.set_xscale("log", base=2)
    axes.set_ylim(0, 1.5 * highest)
    axes.set_xlabel("size, as a multiple of the smallest measured", fontsize=9)
    axes.set_ylabel("MiB at the peak, beyond that", fontsize=9)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)
    title(axes, f"Memory of a process that plans, {runtime}: {loaded:.0f} MiB loaded")


def _linear_from(axes, sizes, first: float) -> None:
    axes.plot(
        sizes, [first * size / sizes[0] for size in sizes], color=GREY, lw=0.9, ls=(0, (1, 2)), label=LINEAR
    )


def _finish(axes, heading: str, legend: str | None = None) -> None:
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    place = {"loc": "upper left", "bbox_to_anchor": (0, -0.17), "ncols": 2}
    box = axes.legend(unique.values(), unique.keys(), frameon=False, fontsize=7.5, **place)
    box.set_title(legend, {"size": 7.5})
    box.set_alignment("left")
    axes.set_ylabel("ms", fontsize=9)
    title(axes, heading)


def _exponent(row: dict) -> str:
    low, high = row["interval_95"]
    return f"{row['exponent']:.2f} ({low:.2f} to {high:.2f})"


def _times(row: dict) -> tuple[float, float]:
    return row["median_ms"], row["p95_ms"]
