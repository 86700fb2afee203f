"""What `jepa demo` shows while the arm moves."""

import sys

import numpy as np

from jepa_ros.cli.status_line import columns
from jepa_ros.evaluation.demo_report import length


class ProgressLine:
    """Distance, plan rate and age of the image, on one line that is written over; a line a second without
    a terminal."""

    def __init__(self):
        self._feedback = None
        self._live, self._shown_at = sys.stdout.isatty(), -np.inf

    def on_feedback(self, feedback) -> None:
        """Called in the client's thread."""
        self._feedback = feedback

    def show(self, seconds: float, error: float | None) -> None:
        """error: m, the true distance, where it is known."""
        if not self._live and seconds - self._shown_at < 1.0:
            return
        self._shown_at, words = seconds, [f"{seconds:5.1f} s"]
        if (f := self._feedback) is None:
            words.append("waiting for the first plan")
        else:
            if f.sub_goals:
                to = f"sub-goal {f.sub_goal + 1} of {f.sub_goals}" if f.sub_goal < f.sub_goals else "the goal"
                words.append(f"to {to}, {f.sub_goal_distance:.3f} away, {f.fallbacks} fallbacks")
            words += [
                f"distance {f.distance:.3f} (goal: {f.tolerance:.3f})",
                f"{f.plans} plans at {f.plan_rate_hz:.1f} Hz",
                f"planned in {f.plan_ms:.0f} ms",
                f"image age {f.image_age_ms:.0f} ms",
            ]
        if error is not None:
            words.append(f"truly {length(error)} away")
        text = "  " + " | ".join(words)
        print(
            f"\r\x1b[2K{text[: columns(sys.stdout)]}" if self._live else text,
            end="" if self._live else "\n",
            flush=True,
        )

    def end(self) -> None:
        """Leave the line standing."""
        if self._live:
            print(flush=True)
