"""What every solver shares: where it starts, the book of what was evaluated, the answer."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.planning.protocols import EvaluationTimeout, Evaluator
from jepa_ros.planning.search_spaces import SearchSpace


@dataclass(frozen=True)
class Start:
    """Where a search starts.

    mean, std: (P,) of the first candidates.
    wide_std: (P,) spread of a part of the first candidates around no motion, or None for no such part.
    seeds: (N, P) evaluated as they are in the first iteration (clamped): no motion, the warm start,
        proposals.
    """

    mean: np.ndarray
    std: np.ndarray
    seeds: np.ndarray
    wide_std: np.ndarray | None = None


@dataclass(frozen=True)
class Solution:
    """The best plan seen.

    actions: (H, KA).  theta: (P,).  cost: its cost.  iterations, evaluations: what was spent.
    deadline_missed: the search was cut short, or ended past its deadline.
    cost_trace: (iterations,) best cost so far after each iteration.
    best_at: (iteration, index) of the best candidate, to look up what its evaluator knows of it.
    """

    actions: np.ndarray
    theta: np.ndarray
    cost: float
    iterations: int
    evaluations: int
    deadline_missed: bool
    cost_trace: list[float] = field(default_factory=list)
    best_at: tuple[int, int] = (0, 0)

    def after(self, calls: int) -> "Solution":
        """The same, where the evaluator was called that often with one candidate before the search."""
        return replace(
            self,
            iterations=self.iterations + calls,
            evaluations=self.evaluations + calls,
            best_at=(self.best_at[0] + calls, self.best_at[1]),
        )


class Search:
    """Evaluates candidates, remembers the best, watches the deadline: any moment has an answer.

    The first iteration always runs, so there is an answer to give; a further one starts only where the
    longest iteration so far still fits before the deadline.
    """

    def __init__(self, evaluate: Evaluator, space: SearchSpace, deadline: float, clock: Callable[[], float]):
        """deadline: absolute seconds on ``clock``; math.inf for none."""
        self._evaluate, self._space, self._deadline, self._clock = evaluate, space, deadline, clock
        self._best = None
        self._trace: list[float] = []
        self._evaluations, self._longest = 0, 0.0
        self._cut_short = False

    def time_left(self) -> bool:
        """Whether one more iteration fits."""
        if self._best is not None and self._clock() + self._longest > self._deadline:
            self._cut_short = True
        return not self._cut_short

    def costs(self, theta: np.ndarray) -> np.ndarray | None:
        """Costs (S,) of theta (S, P), unusable ones +Inf; None where none came in time after the first."""
        began = self._clock()
        actions = self._space.decode(theta)
        try:
            costs = np.array(self._evaluate(actions), dtype=np.float64)
        except EvaluationTimeout:
            if self._best is None:
                raise
            self._cut_short = True
            return None
        iteration = len(self._trace)
        if costs.shape != (len(theta),):
            raise JepaError(
                f"planner: the evaluator returned costs of shape {costs.shape} for {len(theta)} "
                f"candidates in iteration {iteration}; it must return one cost per candidate"
            )
        costs[~np.isfinite(costs)] = math.inf
        index = int(np.argmin(costs))
        if costs[index] == math.inf:
            raise JepaError(
                f"planner: none of the {len(theta)} costs in iteration {iteration} is finite; "
                "check the world model's checkpoint and its inputs for NaN"
            )
        if self._best is None or costs[index] < self._best[0]:
            self._best = (float(costs[index]), theta[index].copy(), actions[index].copy(), (iteration, index))
        self._trace.append(self._best[0])
        self._evaluations += len(theta)
        self._longest = max(self._longest, self._clock() - began)
        return costs

    def solution(self) -> Solution:
        """The answer; there is one after the first ``costs``."""
        cost, theta, actions, best_at = self._best
        return Solution(
            actions,
            theta,
            cost,
            len(self._trace),
            self._evaluations,
            self._cut_short or self._clock() > self._deadline,
            self._trace,
            best_at,
        )
