"""Success, and success beside clean, as figures and as the words of a table's cell."""

from collections.abc import Sequence

from jepa_ros.evaluation.shifts.ratio import ratio_interval, success_ratio
from jepa_ros.evaluation.statistics import wilson_interval


def compare(clean: Sequence[float], shifted: Sequence[float]) -> dict:
    """{"ratio", "ratio_95"}, each None where nothing succeeded when clean; of pairs, as ``ratio_interval`` takes them."""
    return {"ratio": success_ratio(clean, shifted), "ratio_95": ratio_interval(clean, shifted)}


def rate_words(successes: int, episodes: int) -> str:
    """Such as "8/10 (49 - 94 %)": with the Wilson interval of 95 %."""
    low, high = wilson_interval(successes, episodes)
    return f"{successes}/{episodes} ({100 * low:.0f} - {100 * high:.0f} %)"


def ratio_words(figures: dict) -> str:
    """Of what ``compare`` gives, such as "x 0.80 (0.51 - 1.00)"."""
    if figures["ratio"] is None:
        return "x -"
    low, high = figures["ratio_95"]
    return f"x {figures['ratio']:.2f} ({low:.2f} - {high:.2f})"
