"""The tables of benchmarks/uncertain_futures.py."""

from pathlib import Path

import numpy as np
from result_files import NOT_MEASURED, made_by, markdown, read

from jepa_ros.evaluation.statistics import wilson_interval

FILE = "uncertain_futures.json"


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
    head = ["planned by", "stopped", "Wilson 95 %", "arrived", "Wilson 95 %", "median time of arrivals"]
    return markdown(head, [_driven(name, row) for name, row in driven.items()])


def _driven(name: str, row: dict) -> list[str]:
    counts = (
        word
        for key in ("stopped", "success")
        for word in (
            f"{row[key]} / {row['episodes']}",
            "{:.0f} - {:.0f} %".format(*(100 * x for x in row[f"{key}_wilson_95"])),
        )
    )
    return [name, *counts, "-" if row["median_seconds"] is None else f"{row['median_seconds']:.1f} s"]


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
