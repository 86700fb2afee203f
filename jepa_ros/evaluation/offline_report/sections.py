"""The sections of the report: from the result to titled parts with the words that explain them."""

from collections.abc import Iterator, Sequence

import numpy as np

from jepa_ros.evaluation.offline_report import words
from jepa_ros.evaluation.offline_report.formulas import FORMULAS
from jepa_ros.evaluation.offline_report.model_sections import (
    actions,
    goal_distance,
    health,
    landscapes,
    prediction,
    reproduced,
    surprise,
)
from jepa_ros.evaluation.offline_report.parts import (
    Cell,
    Column,
    Section,
    Table,
    Words,
    present,
)
from jepa_ros.evaluation.offline_report.recording_sections import problems, timing
from jepa_ros.evaluation.offline_report.subject import subjects


def sections(result: dict, thumbnails: Sequence[np.ndarray]) -> list[Section]:
    """All sections, in reading order. thumbnails: (h, w, 3) uint8 RGB each."""
    found = subjects(result)
    return [
        _comparison(result),
        prediction(found),
        actions(found),
        goal_distance(found),
        landscapes(found, thumbnails),
        surprise(found, thumbnails),
        health(found),
        timing(result),
        problems(result),
        reproduced(found),
        Section("formulas", "Formulas", "How each figure is computed", "", tuple(_formulas())),
        _settings(result),
    ]


def _comparison(result: dict) -> Section:
    found = result.get("comparison")
    if not found:
        return Section("comparison", "Comparison", "Comparison", "", ())
    says = {
        "a": Cell("A is better", "good"),
        "b": Cell("B is better", "good"),
        "same": Cell("no clear difference"),
    }
    rows = [
        (
            Cell(str(row.get("measure", "")), detail=_direction(row)),
            words.number(row.get("a")),
            words.number(row.get("b")),
            words.signed(row.get("difference")),
            words.interval(row.get("ci")),
            words.count(row.get("n")),
            says.get(row.get("says"), Cell("")),
        )
        for row in found.get("rows") or ()
    ]
    a, b = (words.shorten(found.get(k, ""), 24) for k in "ab")
    columns = (
        Column("measure"),
        Column(f"A · {a}", numeric=True),
        Column(f"B · {b}", numeric=True),
        Column("B − A", numeric=True),
        Column("95 % interval", numeric=True),
        Column("n", numeric=True),
        Column("says"),
    )
    note = (
        "Both models saw the same frames, so differences are paired. An interval that holds 0 is no clear "
        "difference."
    )
    verdict = Words(str(found.get("verdict") or ""), "verdict")
    return Section(
        "comparison",
        "Comparison",
        "Comparison",
        "Which one is better on these recordings?",
        (verdict, Table(columns, rows, note=note)),
    )


def _direction(row: dict) -> str:
    return ", ".join(
        str(w) for w in (row.get("unit"), row.get("better") and f"{row['better']} is better") if w
    )


def _formulas() -> list[Table]:
    return [
        Table(
            (Column("figure"), Column("formula", prose=True), Column("in words", prose=True)),
            [(name, Cell(formula, "code"), text) for name, formula, text in FORMULAS],
            "Formulas",
            folded=True,
        )
    ]


def _settings(result: dict) -> Section:
    def table(title, content):
        rows = [(name, str(value)) for name, value in _flat(content or {})]
        return Table((Column("name"), Column("value", code=True)), rows, title, folded=True) if rows else None

    speed = result.get("speed") or {}
    run = {
        "created": result.get("created"),
        "commit": result.get("commit"),
        "recorded time": words.duration(speed.get("recorded_s")),
        "time spent": words.duration(speed.get("spent_s")),
        "times real time": words.number(speed.get("times_real_time")),
    }
    models = {
        str(c.get("name")): f"{c.get('path', '')}  sha256 {c.get('model_id', '')}"
        for c in result.get("checkpoints") or ()
    }
    bags = {
        str(b.get("name")): "  ".join(
            [str(b.get("path", "")), str(b.get("digest", ""))]
            + [f"{k}={v}" for k, v in (b.get("recorder") or {}).items()]
        )
        for b in result.get("bags") or ()
    }
    parts = [
        table("This run", run),
        table("Settings", result.get("settings")),
        table("Checkpoints", models),
        table("Bags, and what their recorder said", bags),
        table("Machine", result.get("machine")),
        table("Libraries", result.get("libraries")),
    ]
    return Section(
        "settings",
        "Settings",
        "Settings, machine, versions",
        "What it takes to repeat this.",
        present(parts),
    )


def _flat(content: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Nested settings as dotted names."""
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + str(name), value
