"""The figures of the suite: per agent, shift and strength; as text, Markdown and JSON."""

from collections.abc import Sequence

import numpy as np

from jepa_ros.evaluation.closed_loop import EpisodeResult
from jepa_ros.evaluation.report import summarise
from jepa_ros.evaluation.shifts.condition import Condition
from jepa_ros.evaluation.shifts.figures import compare, rate_words, ratio_words

LEGEND = (
    "successes / episodes (Wilson 95 %); x: success as a ratio to clean on the same episodes (95 %, paired). "
    "mean: over the shifts."
)

Results = dict[Condition | None, list[EpisodeResult]]
"""Of one agent; None is clean. Every list in the order of the same seeds."""


def summarise_shifts(results: Results) -> dict:
    """{"clean": figures, "shifts": {shift: {strength: figures}}, "mean": {strength: figures}}, ready for JSON.

    Figures are those of ``evaluation.report.summarise``; ``ratio`` and ``ratio_95`` compare with clean.
    """
    clean = _successes(results[None])
    shifts: dict[str, dict[str, dict]] = {}
    by_strength: dict[str, list[np.ndarray]] = {}
    for condition, found in results.items():
        if condition is None:
            continue
        outcomes = _successes(found)
        shifts.setdefault(condition.shift, {})[condition.strength] = {
            **summarise(found),
            **compare(clean, outcomes),
        }
        by_strength.setdefault(condition.strength, []).append(outcomes)
    means = {}
    for strength, outcomes in by_strength.items():
        mean = np.mean(outcomes, axis=0)
        worst = min(shifts, key=lambda name: shifts[name][strength]["success_rate"])
        means[strength] = {"success_rate": float(mean.mean()), **compare(clean, mean), "worst_shift": worst}
    return {"clean": summarise(results[None]), "shifts": shifts, "mean": means}


def text_table(agent: str, summary: dict) -> str:
    """One agent, aligned."""
    lines = _lines(summary)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join(
        [f"{agent}: clean {_rate(summary['clean'])}", text[0], "-" * max(map(len, text)), *text[1:]]
    )


def markdown(heading: str, told: str, summaries: dict[str, dict]) -> str:
    """A page with one table per agent; told: what was measured, lines."""
    parts = [f"# {heading}", f"```\n{told}\n```", LEGEND]
    for agent, summary in summaries.items():
        header, *body = ("| " + " | ".join(line) + " |" for line in _lines(summary))
        rule = "|" + "---|" * (1 + len(summary["mean"]))
        parts += [f"## {agent}: clean {_rate(summary['clean'])}", "\n".join([header, rule, *body])]
    return "\n\n".join(parts) + "\n"


def _successes(results: Sequence[EpisodeResult]) -> np.ndarray:
    return np.array([result.success for result in results], float)


def _lines(summary: dict) -> list[tuple[str, ...]]:
    strengths = list(summary["mean"])
    lines = [("shift", *strengths)]
    for name, found in summary["shifts"].items():
        lines.append((name, *(f"{_rate(found[s])}  {ratio_words(found[s])}" for s in strengths)))
    means = summary["mean"]
    lines.append(
        ("mean", *(f"{100 * means[s]['success_rate']:.0f} %  {ratio_words(means[s])}" for s in strengths))
    )
    lines.append(("worst", *(means[s]["worst_shift"] for s in strengths)))
    return lines


def _rate(figures: dict) -> str:
    return rate_words(figures["successes"], figures["episodes"])
