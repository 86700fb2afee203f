"""What every solver shares: where it starts, the book of what was evaluated, the answer."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

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
        what a policy proposes.
    """

    mean: np.ndarray
    std: np.ndarray
    seeds: np.ndarray
    wide_std: np.ndarray | None = None


@dataclass(frozen=True)
class Solution:
    """The best plan seen.

    actions: (H, KA).  theta: (P,), None where the actions are no point of the space: proposed, or refined.
    cost: its cost.  iterations, evaluations: what was spent on its evaluator, a plan that was tried before included.
    deadline_missed: the search was cut short, or ended past its deadline.
    cost_trace: best cost so far after each of the search's own iterations.
    best_at: (call, index) of the best candidate among all calls of its evaluator, to look up what that knows of it.
    made_by: "policy", where its proposals were all that was looked at; "search"; or "keep", a plan that goes on.
    proposal_left: share of the energy of staying here that the best proposal left at its end; NaN without proposals.
    leads: whether no other candidate of its iteration cost less; what was imagined for comparison may.
    """

    actions: np.ndarray
    theta: np.ndarray | None
    cost: float
    iterations: int
    evaluations: int
    deadline_missed: bool
    cost_trace: list[float] = field(default_factory=list)
    best_at: tuple[int, int] = (0, 0)
    made_by: str = "search"
    proposal_left: float = math.nan
    leads: bool = True


class Search:
    """Evaluates candidates, remembers the best, watches the deadline: any moment has an answer.

    The first iteration always runs, so there is an answer to give; a further one starts only where the
    longest iteration so far still fits before the deadline.
    """

    def __init__(
        self,
        evaluate: Evaluator,
        space: SearchSpace,
        deadline: float,
        clock: Callable[[], float],
        leaders: int = 1,
        tried: int = 0,
    ):
        """deadline: absolute seconds on ``clock``; math.inf for none.  leaders: how many of the best are remembered.
        tried: calls with one candidate each that ``evaluate`` had before; they count, and are not in the race."""
        self._evaluate, self._space, self._deadline, self._clock = evaluate, space, deadline, clock
        self._best: list[_Seen] = []
        self._leaders = leaders
        self._trace: list[float] = []
        self._tried, self._evaluations, self._longest, self._searched = tried, tried, 0.0, 0
        self._cut_short = False

    @property
    def searched(self) -> bool:
        """Whether some iteration of the solver ran."""
        return self._searched > 0

    @property
    def leaders(self) -> np.ndarray:
        """(N, H, KA) the best action sequences so far, best first."""
        return np.stack([seen.actions for seen in self._best])

    def time_left(self) -> bool:
        """Whether one more iteration fits."""
        if self._searched and self._clock() + self._longest > self._deadline:
            self._cut_short = True
        return not self._cut_short

    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return self._clock() > self._deadline

    def costs(self, theta: np.ndarray) -> np.ndarray | None:
        """Costs (S,) of theta (S, P), unusable ones +Inf; None where none came in time, or none is finite, after the first."""
        began = self._clock()
        actions = self._space.decode(theta)
        try:
            costs = self._evaluated(actions)
        except EvaluationTimeout:
            if not self._searched:
                raise
            self._cut_short = True
            return None
        usable = np.any(costs < math.inf)
        if not usable and not self._searched:
            raise JepaError(
                f"planner: none of the {len(theta)} costs in iteration {len(self._trace)} is finite; "
                "check the world model's checkpoint and its inputs for NaN"
            )
        self._note(costs, actions, theta)
        if not usable:
            self._cut_short = True
            return None
        self._searched += 1
        self._longest = max(self._longest, self._clock() - began)
        return costs

    def offer(self, actions: np.ndarray, beside: int = 0) -> np.ndarray:
        """Costs (S,) of actions (S, H, KA) that need be no points of the space, unusable ones +Inf. The last ``beside`` of
        them are not in the race."""
        costs = self._evaluated(actions)
        self._note(costs, actions, beside=beside)
        return costs

    def solution(self) -> Solution:
        """The answer; there is one after the first ``costs``, or an ``offer`` with a finite cost."""
        best = self._best[0]
        return Solution(
            best.actions,
            best.theta,
            best.cost,
            self._tried + len(self._trace),
            self._evaluations,
            self._cut_short or self.is_late(),
            self._trace,
            best.at,
            "search" if self.searched else "policy",
            leads=bool(best.leads),
        )

    def _evaluated(self, actions: np.ndarray) -> np.ndarray:
        costs = np.array(self._evaluate(actions), dtype=np.float64)
        if costs.shape != (len(actions),):
            raise JepaError(
                f"planner: the evaluator returned costs of shape {costs.shape} for {len(actions)} "
                f"candidates in iteration {len(self._trace)}; it must return one cost per candidate"
            )
        costs[~np.isfinite(costs)] = math.inf
        self._evaluations += len(actions)
        return costs

    def _note(
        self, costs: np.ndarray, actions: np.ndarray, theta: np.ndarray | None = None, beside: int = 0
    ) -> None:
        """Remember the best of one call; of equal ones the first."""
        call, least = self._tried + len(self._trace), int(np.argmin(costs))
        for index in np.argsort(costs[: len(costs) - beside], kind="stable")[: self._leaders]:
            cost = float(costs[index])
            if cost < math.inf and (len(self._best) < self._leaders or cost < self._best[-1].cost):
                point = None if theta is None else theta[index].copy()
                self._best.append(
                    _Seen(cost, point, actions[index].copy(), (call, int(index)), index == least)
                )
                self._best.sort(key=lambda seen: seen.cost)
                del self._best[self._leaders :]
        self._trace.append(self._best[0].cost if self._best else math.inf)


@dataclass(frozen=True)
class _Seen:
    cost: float
    theta: np.ndarray | None
    actions: np.ndarray
    at: tuple[int, int]
    leads: bool
