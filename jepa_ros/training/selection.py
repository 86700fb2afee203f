"""Which weights of a training are kept, of the world model or of its heads: those that reach most goals, driving the
simulated robot.

The loss does not say: one-step loss falls on while closed-loop success comes and goes. Goals come from seeds of their own,
apart from those of demos and of reported evaluations, so that a report is of goals that had no part in the choice.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jepa_ros.errors import JepaError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from jepa_ros.evaluation.closed_loop import EpisodeResult

FIRST_SEED = 3000
"""Validation starts here: demos have the seeds below 1000, reported evaluations those below this one."""


@dataclass(frozen=True)
class Selection:
    """tasks: of the simulator; without one nothing is chosen, and the last weights are kept.

    every: steps from one candidate to the next; the last weights are always one.  episodes: of each task, for a candidate.
    seed: of the first of them, then upwards.
    """

    tasks: tuple[str, ...] = ()
    every: int = 1000
    episodes: int = 20
    seed: int = FIRST_SEED

    def __post_init__(self):
        for name in ("every", "episodes"):
            if getattr(self, name) < 1:
                raise JepaError(f"selection: {name} is {getattr(self, name)}; it must be at least 1")
        if self.seed < FIRST_SEED:
            raise JepaError(
                f"selection: seed is {self.seed}; it must be at least {FIRST_SEED}: goals of demos (below 1000) and of "
                f"reported evaluations (below {FIRST_SEED}) have no part in a choice"
            )
        if self.tasks:
            from jepa_ros.simulation.tasks import make_task  # `jepa train --help` need not wait for MuJoCo

            for task in self.tasks:
                make_task(task)

    @property
    def seeds(self) -> range:
        """Of the episodes of every task."""
        return range(self.seed, self.seed + self.episodes)

    @property
    def without_heads(self) -> Selection:
        """By those tasks that a world model alone can be driven on."""
        if not self.tasks:
            return self
        from jepa_ros.simulation.tasks import make_task

        return replace(self, tasks=tuple(task for task in self.tasks if not make_task(task).needs_heads))


Trial = Callable[["nn.Module"], Mapping[str, Sequence["EpisodeResult"]]]
"""A world model, or heads of one, in evaluation mode on the CPU -> the episodes driven with it, by task."""


class Candidates:
    """The weights that did best so far, and how all did that were tried; ``state_dict`` is what a run needs to go on.

    Most successes over all tasks, which have as many episodes each, win: they are less a matter of chance than those of the
    worst task alone. A draw goes to the one that is better in its worst task, then to the lower median of the final error
    (mean over tasks), then to the longer trained.

    tried: of every candidate its ``step`` and by task ``successes``, ``episodes``, ``median_error_m``.  weights: of the best.
    seconds: that trials took in this process.
    """

    def __init__(self, every: int, trial: Trial | None):
        """trial: None where nothing is tried, or in a process that only waits for the one that tries."""
        self.tried: list[dict] = []
        self.weights: dict[str, Tensor] = {}
        self.seconds = 0.0
        self._every, self._trial = every, trial

    def are_due(self, step: int, last: int) -> bool:
        """Whether the weights after ``step`` of ``last`` steps are a candidate, to be tried in this process."""
        return self._trial is not None and (step % self._every == 0 or step == last)

    def consider(self, step: int, module: nn.Module) -> dict:
        """Try the module as it is now, without a trace in it or in the training's random draws; returns how it did."""
        import torch

        began = time.monotonic()
        module = copy.deepcopy(module).cpu().eval().requires_grad_(False)
        with torch.random.fork_rng(devices=()):
            episodes = self._trial(module)
        found = {"step": step, "tasks": {task: _summary(of) for task, of in episodes.items()}}
        if not self.tried or merit(found) > merit(self.best):
            self.weights = module.state_dict()
        self.tried.append(found)
        self.seconds += time.monotonic() - began
        return found

    @property
    def best(self) -> dict:
        """How the one did whose weights are kept."""
        return max(self.tried, key=merit)

    def state_dict(self) -> dict:
        """What ``load_state_dict`` takes."""
        return {"tried": self.tried, "weights": self.weights}

    def load_state_dict(self, state: dict) -> None:
        """Go on from a saved state."""
        self.tried, self.weights = state["tried"], state["weights"]


def merit(candidate: dict) -> tuple[int, int, float, int]:
    """What is greater the better a candidate did, see Candidates."""
    tasks = candidate["tasks"].values()
    successes = [task["successes"] for task in tasks]
    error = float(np.mean([task["median_error_m"] for task in tasks]))
    return sum(successes), min(successes), -error, candidate["step"]


def in_words(candidate: dict) -> str:
    """A line that says how a candidate did."""
    return f"candidate after {candidate['step']} steps: " + ", ".join(
        f"{name} {task['successes']}/{task['episodes']}, median error {100 * task['median_error_m']:.1f} cm"
        for name, task in candidate["tasks"].items()
    )


def _summary(results: Sequence[EpisodeResult]) -> dict:
    return {
        "successes": sum(result.success for result in results),
        "episodes": len(results),
        "median_error_m": round(float(np.median([result.final_error_m for result in results])), 6),
    }
