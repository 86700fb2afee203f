"""Two checkpoints on the same recordings: paired differences with intervals, and a verdict in words.

Latents of different models have no common scale, so only figures without one are compared.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from jepa_ros.evaluation.offline.bootstrap import paired_interval

Key = tuple[str, int]  # bag, run


@dataclass
class Evidence:
    """Values per episode behind a checkpoint's figures, for pairing: measure -> (bag, run) -> (n,) or (n, m)."""

    name: str
    values: dict[str, dict[Key, np.ndarray]] = field(default_factory=dict)

    def add(self, measure: str, key: Key, values) -> None:
        """Values of one episode; NaN counts as not there."""
        self.values.setdefault(measure, {})[key] = np.asarray(values, float)


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.any(np.isfinite(values)) else np.nan


def _ratio(values: np.ndarray) -> float:
    """(N, 2) error and that of copying -> quotient of their means."""
    below = np.nanmean(values[:, 1]) if len(values) else 0.0
    return float(np.nanmean(values[:, 0]) / below) if below > 0 else np.nan


MEASURES: tuple[tuple[str, str, str, str, Callable], ...] = (  # key, words, unit, better, figure
    ("error_1", "prediction error, 1 block, over copying", "", "lower", _ratio),
    ("error_h", "prediction error, longest horizon, over copying", "", "lower", _ratio),
    ("blind", "prediction error, over shuffled actions", "", "lower", _ratio),
    ("spearman_time", "goal distance orders time (Spearman)", "", "higher", _mean),
    ("spearman_distance", "goal distance orders true distance (Spearman)", "", "higher", _mean),
    ("rank", "rank of the recorded block", "", "lower", _mean),
    ("cosine", "planned against recorded (cosine)", "", "higher", _mean),
    ("surprising", "frames above the surprise threshold", "", "lower", _mean),
    ("unfamiliar", "frames unlike training", "", "lower", _mean),
)


def compare(a: Evidence, b: Evidence, seed: int) -> dict:
    """Rows of figures with the 95 % interval of b - a (paired bootstrap over episodes), and a verdict."""
    rows = []
    for key, words, unit, better, figure in MEASURES:
        ours, theirs = a.values.get(key, {}), b.values.get(key, {})
        shared = [k for k in ours if k in theirs]
        if not shared:
            continue
        first, second = [ours[k] for k in shared], [theirs[k] for k in shared]
        values = figure(np.concatenate(first)), figure(np.concatenate(second))
        interval = paired_interval(first, second, figure, seed)
        if not np.all(np.isfinite(values)) or interval is None:
            continue
        says = "same"
        if interval[0] > 0 or interval[1] < 0:
            says = "b" if (values[1] > values[0]) == (better == "higher") else "a"
        rows.append(
            {
                "measure": words,
                "unit": unit,
                "better": better,
                "a": values[0],
                "b": values[1],
                "difference": values[1] - values[0],
                "ci": list(interval),
                "n": sum(len(v) for v in first),
                "says": says,
            }
        )
    return {"a": a.name, "b": b.name, "rows": rows, "verdict": _verdict(a.name, b.name, rows)}


def _verdict(a: str, b: str, rows: list[dict]) -> str:
    wins = {side: sum(r["says"] == side for r in rows) for side in ("a", "b")}
    if not rows:
        return f"{a} and {b} cannot be compared on these bags: no figure is known for both."
    if not any(wins.values()):
        return f"No difference between {a} and {b} beyond chance, on {len(rows)} figures."
    better, worse = (a, b) if wins["a"] > wins["b"] else (b, a)
    most, least = max(wins.values()), min(wins.values())
    if most == least:
        return f"Mixed: {a} and {b} are each better on {most} of {len(rows)} figures."
    against = f"worse on {least}" if least else "worse on none"
    return f"{better} is better than {worse} on {most} of {len(rows)} figures and {against}."
