"""The tables of benchmarks/uncertain_futures.py."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from result_files import NOT_MEASURED, made_by, markdown, read

from jepa_ros.evaluation.statistics import mcnemar_p, wilson_interval

FILE = "uncertain_futures.json"
REFERENCE = "several futures, mean"
"""Whose episodes the others' are compared with, one by one."""


def all_driving_figures(rows: list[dict], names: Iterable[str]) -> dict[str, dict]:
    """By who planned: counts, and stops compared with the REFERENCE's on the same seeds."""
    of = {name: {row["seed"]: row for row in rows if row["agent"] == name} for name in names}
    return {
        name: driving_figures([*mine.values()]) | stops_compared(mine, of[REFERENCE])
        for name, mine in of.items()
    }


def stops_compared(mine: dict[int, dict], reference: dict[int, dict]) -> dict:
    """Episodes by seed, of one and of the reference: how many only one of both ended in a stop, with the p of that."""
    pairs = [(mine[seed]["stopped"], reference[seed]["stopped"]) for seed in mine.keys() & reference.keys()]
    only, spared = (sum(pair == which for pair in pairs) for which in ((True, False), (False, True)))
    return {"stopped_only_here": only, "stopped_only_reference": spared, "mcnemar_p": mcnemar_p(only, spared)}


def driving_figures(rows: list[dict]) -> dict:
    """Counts with Wilson intervals, and how long successes took."""
    found: dict = {"episodes": len(rows)}
    for key in ("stopped", "success"):
        count = sum(row[key] for row in rows)
        found[key] = count
        found[f"{key}_wilson_95"] = wilson_interval(count, len(rows))
    seconds = [row["seconds"] for row in rows if row["success"]]
    return found | {"median_seconds": float(np.median(seconds)) if seconds else None}


def separation_table(separation: dict[str, dict]) -> str:
    """Where predictions of the block that leads into the curtain lie; as Markdown."""
    head = [
        "prediction of",
        "median place",
        "quartiles",
        "at passed",
        "between",
        "at stopped",
        "passages with both",
    ]
    rows = [
        [
            name.replace("_", " "),
            f"{row['median_place']:.2f}",
            "{:.2f}, {:.2f}".format(*row["place_quartiles"]),
            *(f"{100 * row[key]:.0f} %" for key in ("passed", "between", "stopped", "both_found")),
        ]
        for name, row in separation.items()
    ]
    return markdown(head, rows)


def driving_table(driven: dict[str, dict]) -> str:
    """How often the arm was stopped and arrived; as Markdown."""
    head = [
        "planned by",
        "stopped",
        "Wilson 95 %",
        "against the mean",
        "McNemar p",
        "arrived",
        "Wilson 95 %",
        "median time of arrivals",
    ]
    return markdown(head, [_driven(name, row) for name, row in driven.items()])


def _driven(name: str, row: dict) -> list[str]:
    return [
        name,
        *_count(row, "stopped"),
        *_compared(name, row),
        *_count(row, "success"),
        "-" if row["median_seconds"] is None else f"{row['median_seconds']:.1f} s",
    ]


def _count(row: dict, key: str) -> tuple[str, str]:
    low, high = row[f"{key}_wilson_95"]
    return f"{row[key]} / {row['episodes']}", f"{100 * low:.0f} - {100 * high:.0f} %"


def _compared(name: str, row: dict) -> tuple[str, str]:
    if name == REFERENCE:
        return "-", "-"
    counts = f"{row['stopped_only_reference']} fewer, {row['stopped_only_here']} more"
    p = row["mcnemar_p"]
    return counts, "< 0.001" if p < 0.001 else f"{p:.3f}"


def tables(folder: Path) -> dict[str, str]:
    """Of the result file in ``folder``, by the names of their markers in docs/uncertain_futures.md."""
    content = read(folder / FILE)
    if content is None:
        return dict.fromkeys(("the passages", "the drives"), f"{NOT_MEASURED.capitalize()}.")
    told = f"`{content['command']}`; {made_by(content)}"
    return {
        "the passages": f"{told}\n\n{separation_table(content['separation'])}",
        "the drives": driving_table(content["driven"]),
    }
