"""The receding-horizon planner: plan, execute one block, look again, replan from what is left of the plan.

Two speeds (``PlannerConfig.mode``). The fast system is a policy: its proposals are imagined in one call, beside no
motion, and the best of them is taken as it is. The slow system is the solver. In "hybrid" it is asked only where the
fast one's imagined outcome is not good enough: where the best proposal leaves more than ``hybrid_left`` of the energy
that staying here has, and more than ``hybrid_arrived`` goal tolerances. The first is a share of two energies of the same
call, so it fits every cost term and scale, and it is about where the plan ends, not about how long the way is, which the
cost summed along the horizon mixes. The second is for the last steps: what a model cannot tell apart cannot get less,
so near the goal no plan, searched or proposed, leaves a small share. The proposals then seed the first candidates, as
far as the search space can express them, and the best of them stays in the race as it is. Where the search sees no way
either (``hybrid_stuck``: the energy has a wall there that a policy may know a way around), the best proposal is taken.

Proposals that bring things to where the goal has them are taken without a search. On the arm's way around a thing, until it
touches it, no plan lowers the energy; a search finds the plan there about which the model is wrong, and the arm goes where
nothing was recorded.

The best of the proposals may lead nowhere, look after look: where they differ the least motion often costs least, and the
arm waits or goes to and fro. Where the energy of staying has not fallen over ``stall_plans`` plans, far from the goal, any
of the proposals is taken by chance, in place of the best and of a search, for two plans or until the energy falls: it was
done somewhere on the way to such a goal, and from where it leads the best may be another. Without a tolerance nothing is
known to be far.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.proposals import after, usable, within_limits
from jepa_ros.planning.protocols import Evaluator, Imagination
from jepa_ros.planning.search_spaces import SearchSpace, make_space
from jepa_ros.planning.solvers.cem import cem
from jepa_ros.planning.solvers.mppi import mppi
from jepa_ros.planning.solvers.search import Search, Solution, Start

_SOLVERS = {"cem": cem, "mppi": mppi}
_LONGEST_DEADLINE_S = 600.0
_FAR = 3.0
"""So many times as far as what counts as arrived; nearer, no plan gains much, and that does not mean being stuck."""
_FALL = 0.05
"""Share of the energy of staying by which it must have fallen for plans to be getting somewhere."""
_OTHER_WAYS = 2
"""For at most so many plans in a row a proposal is taken by chance; then progress is judged anew."""

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
        self.config = config or PlannerConfig()
        self.spec = spec = spec.slowed(self.config.speed)
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
        self._last: Solution | None = None
        self._progress = _Progress()

    def forget(self) -> None:
        """Drop the warm start, and what progress there was: what is left of the last plan says nothing about the next."""
        self._last, self._progress = None, _Progress()

    def plan(
        self,
        evaluate: Evaluator | Imagination,
        proprio: np.ndarray,
        deadline_s: float | None = None,
        *,
        propose: Callable[[], tuple[np.ndarray, bool]] | None = None,
        tolerance: float = 0.0,
        executed_blocks: int = 1,
        tried: int = 0,
    ) -> Solution:
        """The best plan from here, by the configuration's mode; execute the first block of its actions, then call again.

        evaluate: actions (S, H, KA) -> costs (S,); an Imagination where ``propose`` or refine_steps is used.
        proprio: (A,) measured joint positions, rad.
        deadline_s: seconds from now (a duration); the answer is the best seen by then, after one iteration
            at least.
        propose: what a policy would do from here, (N, H', KA) rad, and whether things come first (see Propose); None
            without a policy.
        tolerance: latent distance that counts as reached.
        executed_blocks: how many blocks of the last plan were executed since; 0 where it was not used.
        tried: how often ``keep`` called ``evaluate`` before, in vain.
        Raises JepaError where no candidate has a finite cost, or mode is "policy" and there is none or it proposes nothing
        usable; EvaluationTimeout where the search got no costs at all, or no proposals came.
        """
        if deadline_s is not None and not deadline_s <= _LONGEST_DEADLINE_S:
            raise JepaError(
                f"planner: deadline_s is {deadline_s}; it is a duration from now, at most "
                f"{_LONGEST_DEADLINE_S:.0f} s"
            )
        config = self.config
        deadline = math.inf if deadline_s is None else self.clock() + deadline_s
        space = self.space.at(proprio)
        rng = np.random.default_rng([self._seed, self._plans])
        leaders = config.refine_best if config.refine_steps else 1
        search = Search(evaluate, space, deadline, self.clock, leaders, tried)
        fast = self._fast(evaluate, search, propose, proprio)
        arrived = config.hybrid_arrived * tolerance
        progress = self._progress_to(fast, arrived)
        if 0 < config.stall_plans <= progress.plans:
            found = fast.solution(int(rng.integers(len(fast.proposals))))
        else:
            if config.mode != "policy" and not self._is_good_enough(fast, arrived):
                start = self._start(space, executed_blocks, space.project(fast.proposals))
                _SOLVERS[config.solver](search, space, start, config, rng)
            if config.refine_steps and not search.is_late():
                descent = config.refine_steps, config.refine_rate
                refined = evaluate.refine(search.leaders, self.spec, *descent, search.is_late)
                search.offer(within_limits(refined, self.spec, proprio))
            found = search.solution()
            if found.made_by == "search" and self._is_stuck(evaluate, found, fast, arrived):
                spent = {
                    name: getattr(found, name) for name in ("iterations", "evaluations", "deadline_missed")
                }
                found = replace(fast.best, **spent)
        self._plans += 1
        self._progress = progress
        self._last = replace(found, proposal_left=fast.left)
        return self._last

    def rest(self, proprio: np.ndarray) -> np.ndarray | None:
        """(H, KA) actions that are left of the last plan after its first block; None without a plan."""
        return None if self._last is None else self._rest(proprio)[0]

    def keep(self, evaluate: Evaluator, proprio: np.ndarray, most: float) -> Solution | None:
        """Go on with what ``rest`` gives instead of planning anew, where its cost, imagined from here, is at most ``most``;
        None where it is not."""
        actions, theta = self._rest(proprio)
        cost = float(evaluate(actions[None])[0])
        if not cost <= most:
            return None
        self._last = Solution(
            actions, theta, cost, 1, 1, deadline_missed=False, cost_trace=[cost], made_by="keep"
        )
        return self._last

    def _rest(self, proprio: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Actions (H, KA) and theta (P,), None where they are no point of the space."""
        last, space = self._last, self.space.at(proprio)
        if last.theta is None:
            return within_limits(after(last.actions, 1)[None], self.spec, proprio)[0], None
        theta = np.clip(space.shift(last.theta), space.lower, space.upper)
        return self.space.decode(theta[None])[0], theta

    def _fast(
        self,
        evaluate: Imagination,
        search: Search,
        propose: Callable[[], tuple[np.ndarray, bool]] | None,
        proprio: np.ndarray,
    ) -> "_Fast":
        """Ask the policy, where the mode does, and imagine what it proposes."""
        config = self.config
        nothing = _Fast(np.empty((0, config.horizon, self.spec.block_dim)))
        if config.mode == "policy" and propose is None:
            raise JepaError("planner: mode is policy and there is no policy; set mode to search or hybrid")
        if config.mode == "search" or propose is None:
            return nothing
        proposals, things_first = propose()
        proposals = usable(proposals, self.spec, config.horizon, proprio)
        if not len(proposals):
            self._require_no_policy(
                "world_model proposed nothing usable; check that its checkpoint has heads, and that its pin "
                "(checkpoint_sha256), where it has one, names them"
            )
            return nothing
        still = np.zeros((1, *proposals.shape[1:]))
        costs = search.offer(np.concatenate([proposals, still]), beside=len(still))
        outcomes = np.asarray(evaluate.ends(), np.float64) if self.reduction == "sum" else costs
        best_first = np.argsort(costs[:-1], kind="stable")
        best_first = best_first[costs[best_first] < math.inf]
        here = float(outcomes[-1])
        if not len(best_first):
            self._require_no_policy("no proposal has a finite cost; check the checkpoint's heads")
            return _Fast(proposals[:0], math.inf, math.inf, here)
        end = float(outcomes[best_first[0]])
        left = end / here if 0 < here < math.inf else math.inf
        return _Fast(
            proposals[best_first],
            left,
            end,
            here,
            search.solution(),
            best_first,
            costs[best_first],
            things_first,
        )

    def _is_good_enough(self, fast: "_Fast", arrived: float) -> bool:
        """Whether the best proposal is taken without a search."""
        return fast.things_first or fast.left <= self.config.hybrid_left or fast.end <= arrived

    def _progress_to(self, fast: "_Fast", arrived: float) -> "_Progress":
        """With the plan that begins now; none to judge by near the goal, nor without a proposal to take instead."""
        if fast.best is None or not 0 < _FAR * arrived < fast.here < math.inf:
            return _Progress()
        tried_in_vain = self._progress.plans >= self.config.stall_plans + _OTHER_WAYS - 1
        return (_Progress() if tried_in_vain else self._progress).at(fast.here)

    def _require_no_policy(self, missing: str) -> None:
        """JepaError where the policy alone is to plan."""
        if self.config.mode == "policy":
            raise JepaError(f"planner: mode is policy, and {missing}; or set mode to hybrid")

    def _is_stuck(self, evaluate: Imagination, found: Solution, fast: "_Fast", arrived: float) -> bool:
        """Whether the search sees no way either, far from the goal: it is the policy's turn."""
        stuck = self.config.hybrid_stuck
        if not stuck or fast.best is None or not fast.here > _FAR * arrived:
            return False
        end = evaluate.steps(found.best_at)[-1] if self.reduction == "sum" else found.cost
        return end > stuck * fast.here

    def _start(self, space: SearchSpace, executed_blocks: int, proposals: np.ndarray) -> Start:
        """proposals: (N, P), best first."""
        still = np.zeros(space.size)
        wide_std = self.config.initial_std * space.scale
        warm = self._warm(space, executed_blocks)
        seeds = [still[None]]
        if warm is not None:
            seeds.append(warm[None])
        seeds.append(proposals[: int(self.config.proposal_fraction * self.config.samples)])
        seeds = np.clip(np.concatenate(seeds), space.lower, space.upper)
        if warm is None:
            return Start(still, wide_std, seeds)
        return Start(seeds[1], self.config.warm_std * wide_std, seeds, wide_std)

    def _warm(self, space: SearchSpace, executed_blocks: int) -> np.ndarray | None:
        """(P,) what is left of the last plan, as far as the space can say it; None without one."""
        last = self._last
        if last is None:
            return None
        if last.theta is None:
            return space.project(after(last.actions, executed_blocks)[None])[0]
        theta = last.theta
        for _ in range(executed_blocks):
            theta = space.shift(theta)
        return theta


@dataclass(frozen=True)
class _Fast:
    """What the fast system gives. proposals: (N, H, KA), best first, those of a finite cost.  left: what the best leaves at
    its end, as a share of the energy of staying; NaN without proposals.  end, here: those energies.  best: the best one.
    places, costs: (N,) where each was in the call that imagined them, and what it cost.  things_first: see Propose."""

    proposals: np.ndarray
    left: float = math.nan
    end: float = math.nan
    here: float = math.nan
    best: Solution | None = None
    places: np.ndarray | None = None
    costs: np.ndarray | None = None
    things_first: bool = False

    def solution(self, index: int) -> Solution:
        """The proposal of that index in place of the best."""
        call, _ = self.best.best_at
        return replace(
            self.best,
            actions=self.proposals[index].copy(),
            cost=float(self.costs[index]),
            best_at=(call, int(self.places[index])),
            leads=index == 0 and self.best.leads,
        )


@dataclass(frozen=True)
class _Progress:
    """least: of the energies of staying that plans began with, as of the last fall.  plans: how many began since, in a row,
    without another."""

    least: float = math.inf
    plans: int = 0

    def at(self, here: float) -> "_Progress":
        """With one more plan, which begins with the energy ``here``."""
        if here < (1 - _FALL) * self.least:
            return _Progress(here)
        return replace(self, plans=self.plans + 1)
