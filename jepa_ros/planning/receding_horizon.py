"""The receding-horizon planner: plan, execute one block, look again, replan from what is left of the plan."""

import math
import time
from collections.abc import Callable

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.protocols import Evaluator
from jepa_ros.planning.search_spaces import SearchSpace, make_space
from jepa_ros.planning.solvers.cem import cem
from jepa_ros.planning.solvers.mppi import mppi
from jepa_ros.planning.solvers.search import Search, Solution, Start

_SOLVERS = {"cem": cem, "mppi": mppi}
_LONGEST_DEADLINE_S = 600.0

__all__ = ["Planner", "PlannerConfig", "Solution"]


class Planner:
    """Owns the search space, the random numbers and the warm start; knows the world only by an evaluator.

    Plan number i of a seed always draws the same random numbers, whatever earlier plans spent before their
    deadlines; so the same seed and the same inputs give the same plans, in whichever composition the costs
    are computed.
    """

    def __init__(
        self,
        spec: ActionSpec,
        config: PlannerConfig | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """clock: steady seconds, for deadlines."""
        self.spec = spec
        self.config = config or PlannerConfig()
        self.space: SearchSpace = make_space(self.config.space, spec, self.config.horizon)
        self.clock = clock
        self.reset()

    @property
    def reduction(self) -> str:
        """How the evaluator must reduce costs along the horizon: "sum", "min" or "last"."""
        return self.space.reduction

    def reset(self, seed: int | None = None) -> None:
        """Forget the warm start and begin the random sequence anew; for a new goal or a new episode."""
        self._seed = self.config.seed if seed is None else seed
        self._plans = 0
        self._theta: np.ndarray | None = None

    def forget(self) -> None:
        """Drop the warm start: what is left of the last plan says nothing about the next."""
        self._theta = None

    def plan(
        self,
        evaluate: Evaluator,
        proprio: np.ndarray,
        deadline_s: float | None = None,
        *,
        proposals: np.ndarray | None = None,
        executed_blocks: int = 1,
    ) -> Solution:
        """Search for the best plan from here; execute the first block of its actions, then call again.

        evaluate: actions (S, H, KA) -> costs (S,).  proprio: (A,) measured joint positions, rad.
        deadline_s: seconds from now (a duration); the answer is the best seen by then, after one iteration
            at least.
        proposals: (N, P) parameters to try first, from a policy for example.
        executed_blocks: how many blocks of the last plan were executed since; 0 where it was not used.
        Raises JepaError where no candidate has a finite cost, EvaluationTimeout where no costs came at all.
        """
        if deadline_s is not None and not deadline_s <= _LONGEST_DEADLINE_S:
            raise JepaError(
                f"planner: deadline_s is {deadline_s}; it is a duration from now, at most "
                f"{_LONGEST_DEADLINE_S:.0f} s"
            )
        deadline = math.inf if deadline_s is None else self.clock() + deadline_s
        space = self.space.at(proprio)
        rng = np.random.default_rng([self._seed, self._plans])
        start = self._start(space, executed_blocks, proposals)
        search = Search(evaluate, space, deadline, self.clock)
        solution = _SOLVERS[self.config.solver](search, space, start, self.config, rng)
        self._plans += 1
        self._theta = solution.theta
        return solution

    def rest(self, proprio: np.ndarray) -> np.ndarray | None:
        """(H, KA) actions that are left of the last plan after its first block; None without a plan."""
        return None if self._theta is None else self.space.decode(self._shifted(proprio)[None])[0]

    def keep(self, evaluate: Evaluator, proprio: np.ndarray, most: float) -> Solution | None:
        """Go on with what ``rest`` gives instead of searching, where its cost, imagined from here, is at most ``most``;
        None where it is not."""
        theta = self._shifted(proprio)
        actions = self.space.decode(theta[None])
        cost = float(evaluate(actions)[0])
        if not cost <= most:
            return None
        self._theta = theta
        return Solution(actions[0], theta, cost, 1, 1, deadline_missed=False, cost_trace=[cost])

    def _shifted(self, proprio: np.ndarray) -> np.ndarray:
        space = self.space.at(proprio)
        return np.clip(space.shift(self._theta), space.lower, space.upper)

    def _start(self, space: SearchSpace, executed_blocks: int, proposals: np.ndarray | None) -> Start:
        still = np.zeros(space.size)
        wide_std = self.config.initial_std * space.scale
        warm = self._theta
        seeds = [still[None]]
        if warm is not None:
            for _ in range(executed_blocks):
                warm = space.shift(warm)
            seeds.append(warm[None])
        if proposals is not None:
            proposals = np.asarray(proposals, dtype=np.float64)
            if proposals.ndim != 2 or proposals.shape[1] != space.size or not np.all(np.isfinite(proposals)):
                raise JepaError(
                    f"planner: proposals must be finite and (N, {space.size}), got shape {proposals.shape}"
                )
            seeds.append(proposals)
        seeds = np.clip(np.concatenate(seeds), space.lower, space.upper)
        if warm is None:
            return Start(still, wide_std, seeds)
        return Start(seeds[1], self.config.warm_std * wide_std, seeds, wide_std)
