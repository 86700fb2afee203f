"""`jepa evaluate --shifts`: what visual shifts cost, beside clean, and how they look."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from jepa_ros.cli.evaluate_words import Progress, describe
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.shifts.condition import GOALS, STRENGTHS

_DEFAULTS = {"strengths": ",".join(STRENGTHS), "goals": GOALS[0], "shifts_out": Path("shift_output")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jepa evaluate` that belong to --shifts."""
    group = parser.add_argument_group("visual shifts", "success while the picture is changed, beside clean")
    group.add_argument(
        "--shifts",
        nargs="?",
        const="all",
        metavar="LIST",
        help="all (where nothing is named), or some: light_level,camera_pan,... (docs/shifts.md has them all)",
    )
    group.add_argument("--strengths", metavar="LIST", help=f"(default: {_DEFAULTS['strengths']})")
    group.add_argument(
        "--goals",
        choices=GOALS,
        help="goal pictures of the shifted scene, or of the clean one with the shift in the live view only "
        f"(default: {GOALS[0]})",
    )
    group.add_argument(
        "--shifts-out",
        type=Path,
        metavar="DIR",
        help=f"where shifts.json, shifts.md and shifts.png go (default: {_DEFAULTS['shifts_out']})",
    )


def complete(args: argparse.Namespace) -> None:
    """Fill in defaults; JepaError for options that say nothing without --shifts, and for unknown names."""
    if args.shifts is None:
        for name in _DEFAULTS:
            if getattr(args, name) is not None:
                raise JepaError(f"--{name.replace('_', '-')} belongs to --shifts; give --shifts as well")
        return
    from jepa_ros.evaluation.shifts.suite import chosen_shifts, chosen_strengths

    for name, value in _DEFAULTS.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    chosen_shifts(args.shifts, args.task)
    chosen_strengths(args.strengths)


def run(args: argparse.Namespace, settings, bench, names: list[str], missing: dict, origin: dict) -> int:
    """Run the suite, print the tables, write JSON, Markdown and the contact sheet; 0 whatever the success is.

    names: agents.  missing: reasons of baselines that cannot run.  origin: what it takes to repeat the run.
    """
    from jepa_ros.evaluation.filmstrip import write_png
    from jepa_ros.evaluation.report import require_writable, rows, unavailable, write_json, write_text
    from jepa_ros.evaluation.shifts.report import LEGEND, markdown, summarise_shifts, text_table
    from jepa_ros.evaluation.shifts.run import conditions, run_shifts
    from jepa_ros.evaluation.shifts.sheet import contact_sheet
    from jepa_ros.evaluation.shifts.suite import chosen_shifts, chosen_strengths

    shifts, useless = chosen_shifts(args.shifts, args.task)
    strengths = chosen_strengths(args.strengths)
    table = args.json or args.shifts_out / "shifts.json"
    page, picture = args.shifts_out / "shifts.md", args.shifts_out / "shifts.png"
    for file in (table, page, picture):
        require_writable(file)
    goals = {"shifted": "of the shifted scene", "clean": "of the clean scene; the live view alone is shifted"}
    told = [describe(args, settings, bench), f"goals        pictures {goals[args.goals]}"]
    told += [f"{name} was skipped: there is nothing for it to change in task {args.task}" for name in useless]
    told += [f"{name} was not run: {reason}" for name, reason in missing.items()]
    print("\n".join(told))
    write_png(picture, contact_sheet(bench.simulator, bench.task, shifts, strengths, args.seed))
    bench.simulator.close()

    seeds = list(range(args.seed, args.seed + args.episodes))
    found = conditions(shifts, strengths, args.goals)
    began = time.monotonic()
    progress = Progress(len(names) * len(found) * len(seeds))
    results = run_shifts(settings, names, found, seeds, args.processes, progress)
    summaries = {name: summarise_shifts(results[name]) for name in names}
    for name, summary in summaries.items():
        print(f"\n{text_table(name, summary)}")
    print(f"\n{LEGEND}\n{time.monotonic() - began:.0f} s")

    content = {
        "goals": args.goals,
        "strengths": strengths,
        "shifts": {s.name: {"amounts": {w: s.amount(w) for w in strengths}, "unit": s.unit} for s in shifts},
        "agents": {**summaries, **{name: unavailable(reason) for name, reason in missing.items()}},
        **origin,
        "wall_seconds": round(time.monotonic() - began, 1),
        "rows": [
            {**row, "shift": condition and condition.shift, "strength": condition and condition.strength}
            for by_condition in results.values()
            for condition, episodes in by_condition.items()
            for row in rows(episodes)
        ],
    }
    write_json(table, content)
    write_text(page, markdown("Visual shifts", "\n".join(told), summaries))
    print(f"wrote {table}, {page}, {picture}")
    return 0
