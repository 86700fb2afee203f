"""A run as a Markdown page."""

from jepa_ros.evaluation.bench.growth import AXES

MET = {True: "yes", False: "**no**", None: "-"}
AXIS_WORDS = {
    "candidates": "candidates S",
    "horizon": "horizon H (blocks)",
    "latent_width": "latent width D",
    "cameras": "cameras",
}


def page(content: dict) -> str:
    """The whole run; content: of bench.json."""
    parts = content["parts"]
    sections = [
        ("Bars", bars_table(content)),
        *((title, make(parts[name])) for name, title, make in SECTIONS if name in parts),
    ]
    told = [f"# jepa bench\n\n`{content['command']}`\n\n{_machine(content)}"]
    told += [f"{name} was left out: {reason}" for name, reason in content["left_out"].items()]
    told += [f"## {title}\n\n{text}" for title, text in sections]
    return "\n\n".join(told) + "\n"


def bars_table(content: dict) -> str:
    """The bars, met or not."""
    rows = [
        (
            bar["name"],
            bar["limit"],
            bar["measured"],
            MET[bar["met"]] + (f" ({bar['note']})" if bar["note"] else ""),
        )
        for bar in content["bars"]
    ]
    return _table(("bar", "limit", "measured", "met"), rows)


def _machine(content: dict) -> str:
    machine, libraries, load = content["machine"], content["libraries"], content["load_average"]
    gpu = f", {machine['gpu']}" if machine["gpu"] else ", no GPU used"
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB{gpu}; {machine['system']}, Python "
        f"{machine['python']}, {', '.join(f'{name} {version}' for name, version in libraries.items())}. "
        f"{content['threads']} thread(s) per process. Load average {load['before']} before, {load['after']} after. "
        f"{content['wall_seconds']:.0f} s. Checkpoint {content['checkpoint']['model_id']}. Calls of the runtimes took turns."
    )


def _encode(part: dict) -> str:
    rows = [(row["picture"], row["runtime"], *_times(row)) for row in part["rows"]]
    return _table(("one picture", "runtime", *_TIMES), rows)


def _rollout(part: dict) -> str:
    horizons = sorted({row["horizon"] for row in part["rows"]})
    keys = sorted({(row["candidates"], row["runtime"]) for row in part["rows"]})
    by_key = {(row["candidates"], row["runtime"], row["horizon"]): row for row in part["rows"]}
    rows = [
        (samples, runtime, *(_pair(by_key[samples, runtime, horizon]) for horizon in horizons))
        for samples, runtime in keys
    ]
    return "Median / p95, ms.\n\n" + _table(
        ("candidates", "runtime", *(f"{h} block(s)" for h in horizons)), rows
    )


def _plan(part: dict) -> str:
    def settings(row: dict) -> str:
        return f"{row['solver']}, {row['candidates']} x {row['iterations']}, horizon {row['horizon']}"

    plans = _table(
        ("a whole plan", "runtime", *_TIMES),
        [(settings(row), row["runtime"], *_times(row)) for row in part["rows"]],
    )
    alone = _table(
        ("the search alone, costs for nothing", "space", *_TIMES),
        [(settings(row), row["space"], *_times(row)) for row in part["search_alone"]],
    )
    command = _table(
        ("image to command in one process, without ROS", "runtime", *_TIMES),
        [(settings(row), row["runtime"], *_times(row)) for row in part["image_to_command"]],
    )
    return "\n\n".join((plans, alone, command))


def _graph(part: dict) -> str:
    compositions, told = part["compositions"], []
    rows = [
        (
            f"`{name}`",
            ", ".join(sorted(set(found["runtime"].values()))),
            *_times(found["image_to_command"]),
            f"{found['searched']:.0%}",
            _pair(found["image_to_command_searched"]) if found["image_to_command_searched"] else "-",
            f"{found['goals']['reached']} / {found['goals']['tried']}",
            found["deadline_misses"],
        )
        for name, found in compositions.items()
    ]
    header = ("image to command", "runtime", *_TIMES, "looks searched", "those alone, median / p95 ms")
    told.append(_table((*header, "goals reached", "plans cut by their deadline"), rows))
    stages = next(iter(compositions.values()))["stages"]
    rows = [
        (stage.removesuffix("_ms"), *(_pair(found["stages"][stage]) for found in compositions.values()))
        for stage in stages
    ]
    told.append(
        _table(("of a plan made anew, median / p95 ms", *(f"`{name}`" for name in compositions)), rows)
    )
    rows = [
        (row["candidates"], row["horizon"], f"`{name}`", _pair(row["plan"]), _pair(row["image_to_command"]))
        for name, found in compositions.items()
        for row in found["other_settings"]
    ]
    if rows:
        told.append(
            _table(
                ("candidates", "horizon", "composition", "search, median / p95 ms", "image to command"), rows
            )
        )
    rows = [
        (f"`{name}`", process, f"{mib:.0f} MiB")
        for name, found in compositions.items()
        for process, mib in found["peak_mib"].items()
    ]
    told.append(_table(("composition", "process", "peak resident memory"), rows))
    return "\n\n".join(told)


def _growth(part: dict) -> str:
    rows = []
    for axis in AXES:
        found = part["axes"][axis]
        for runtime, quantities in found["runtimes"].items():
            for quantity, row in quantities.items():
                low, high = row["interval_95"]
                rows.append(
                    (
                        AXIS_WORDS[axis],
                        quantity,
                        runtime,
                        ", ".join(
                            f"{size}: {ms:.3g}"
                            for size, ms in zip(found["sizes"], row["median_ms"], strict=True)
                        ),
                        f"{row['exponent']:.2f} ({low:.2f} - {high:.2f})",
                        f"{row['steepest_between_neighbours']:.2f}",
                        {True: "yes", False: "no", None: "undecided"}[row["no_faster_than_linear"]],
                    )
                )
    header = (
        "over",
        "of",
        "runtime",
        "size: median ms",
        "exponent (95 %)",
        "steepest",
        "no faster than linear",
    )
    return f"Time ~ size^exponent. {part['note']}\n\n" + _table(header, rows)


def _memory(part: dict) -> str:
    rows = [
        (
            runtime,
            AXIS_WORDS[axis],
            f"{row['loaded_mib']:.0f}",
            ", ".join(f"{size}: {mib:.0f}" for size, mib in zip(row["sizes"], row["peak_mib"], strict=True)),
        )
        for runtime, found in part["runtimes"].items()
        for axis, row in found.items()
    ]
    header = ("runtime", "over", "checkpoint loaded, MiB", "size: peak resident memory, MiB")
    return "A process that encodes and plans.\n\n" + _table(header, rows)


def _selective(part: dict) -> str:
    rows = [
        (
            "on" if row["frame_skipping"] else "off",
            row["replan"],
            f"{row['frames_skipped']:.0%} of {row['frames_per_episode']:.0f}",
            f"{row['frames_skipped_at_rest']:.0%}, {row['encode_ms_at_rest']:.0f} ms",
            f"{row['looks_searched']:.0%}, {row['looks_proposed']:.0%} of {row['looks_per_episode']:.1f}",
            f"{row['candidates_per_episode']:.0f}",
            f"{row['encode_ms_per_episode']:.0f} + {row['plan_ms_per_episode']:.0f} ms",
            f"{row['compute_saved']:.0%}",
            f"{row['successes']} / {part['episodes']}",
            "{:.0%} - {:.0%}".format(*row["wilson_95"]),
        )
        for row in part["rows"]
    ]
    header = (
        "frame skipping",
        "replan",
        "frames skipped",
        "in 1 s at rest",
        "looks searched, proposed",
        "candidates",
        "encode + plan",
        "compute saved",
    )
    told = (
        f"Closed loop without ROS, `reach`, seeds {part['seeds'][0]} to {part['seeds'][1]}, a camera of 25 Hz, "
        f"{part['runtime']}; means per episode, times of the processor."
    )
    return f"{told}\n\n" + _table((*header, "success", "Wilson 95 %"), rows)


def _speeds(part: dict) -> str:
    search = next(row for row in part["rows"] if row["mode"] == "search")
    rows = [
        (
            row["mode"],
            f"{row['successes']} / {part['episodes']}",
            "{:.0%} - {:.0%}".format(*row["wilson_95"]),
            f"{row['seconds_per_episode']:.1f} s",
            f"{row['policy_share']:.0%}",
            f"{row['candidates_per_episode']:.0f}",
            f"{row['plan_ms_p50']:.1f} / {row['plan_ms_p95']:.1f} ms",
            f"{row['plan_ms_per_episode']:.0f} ms",
            f"{row['plan_ms_per_episode'] / search['plan_ms_per_episode']:.2f}",
        )
        for row in part["rows"]
    ]
    header = (
        "mode",
        "success",
        "Wilson 95 %",
        "time",
        "plans of the policy",
        "candidates",
        "plan p50 / p95",
        "planning an episode",
        "of search's",
    )
    told = (
        f"Closed loop without ROS, `reach`, seeds {part['seeds'][0]} to {part['seeds'][1]}, {part['runtime']}; episodes of the "
        f"modes took turns; `hybrid_left` {part['hybrid_left']:g}, `hybrid_arrived` {part['hybrid_arrived']:g}."
    )
    return f"{told}\n\n" + _table(header, rows)


_TIMES = ("median", "p95", "times")
SECTIONS = (
    ("graph", "Through the ROS graph", _graph),
    ("encode", "Encode", _encode),
    ("rollout", "One rollout", _rollout),
    ("plan", "A whole plan", _plan),
    ("growth", "Growth", _growth),
    ("memory", "Memory", _memory),
    ("selective", "Selective work", _selective),
    ("speeds", "Two speeds", _speeds),
)


def _times(row: dict) -> tuple[str, str, int]:
    return f"{row['median_ms']:.2f} ms", f"{row['p95_ms']:.2f} ms", row["repetitions"]


def _pair(row: dict) -> str:
    return f"{row['median_ms']:.1f} / {row['p95_ms']:.1f}"


def _table(header: tuple, rows: list[tuple]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
