"""The actor's way to one goal: look, plan, note what was executed. The same in the live graph and on recordings."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jepa_ros.planning.distance import nearest
from jepa_ros.planning.hierarchy import Hierarchy
from jepa_ros.planning.memory import Context, ShortTermMemory
from jepa_ros.planning.protocols import EvaluationTimeout, Evaluator, Foresee, Imagination, Propose
from jepa_ros.planning.receding_horizon import Planner
from jepa_ros.planning.solvers.search import Solution
from jepa_ros.planning.sub_goals import SubGoals
from jepa_ros.planning.surprise import STILL, Judgement, Level, SurpriseGate
from jepa_ros.planning.trigger import Cause, Outcome, cause, energy_of_rest, most_energy

ASKED = 0.05
"""rad; a block that takes some joint this far from where it was must be seen in the joints."""
FAST = 0.4
"""rad; an arm that goes less far in a block must be seen, and moves, that much the sooner."""
OFF_PLAN = 0.15
"""rad; where a joint ends a block this far from where it was asked to be, the block was not executed as sent."""


@dataclass(frozen=True)
class _Made:
    """The plan at hand: its cost when it was last imagined, what its rest was to cost then, the goal (D,) it is for, blocks
    of it that are executed or about to be."""

    cost: float
    rest: float
    goal: np.ndarray
    blocks: int


class PlanningEpisode:
    """Ties a planner to the short-term memory that its rollouts start from.

    moved: whether the arm has moved since the episode began.  ignored: whether a block that asked for motion
    brought none; such a block is remembered as no motion.
    judgement: the gate's, of the last look.  cause: why the last plan was made anew, or that it was kept.
    causes: how often in this episode.  makers: how many plans of it the "policy" made, the "search", and how many are
    those at hand, "keep".  solution: the last plan; None where the arm is held.  energies: (H,) that plan's energy after every
    block, as imagined; empty where that is not known.

    gate: compares every look with what was expected of the block before it; None lets everything pass. Where a
    look is not believed, what was expected is remembered in its place: plans go on from there, and so does what is
    expected next. A picture that stays wrong moves the arm nowhere, and does not become what is expected. After a
    frozen image nothing is expected: since when it was frozen is not known, and it may have been believed.

    sub_goals: where they are set, they are shown every look that may be taken for the scene, and say what to plan for;
    the plan at hand ends where that changes.

    hierarchy: the slow level, None without one. ``aim`` then says what to plan for on the way to a goal.
    """

    def __init__(
        self,
        planner: Planner,
        memory: ShortTermMemory,
        gate: SurpriseGate | None = None,
        hierarchy: Hierarchy | None = None,
    ):
        self.planner, self.memory, self.spec, self.gate = planner, memory, planner.spec, gate
        self.hierarchy = hierarchy
        self.sub_goals: SubGoals | None = None
        full_speed = np.abs([self.spec.lower, self.spec.upper]).max() / planner.config.speed
        slowness = min(1.0, self.spec.block * full_speed / FAST)
        self._asked, self._still = slowness * ASKED, slowness * STILL
        self.reset()

    def reset(self, seed: int | None = None) -> None:
        """Begin a new episode; seed: of the planner, None is its configuration's."""
        self.planner.reset(seed)
        self.memory.reset()
        if self.gate is not None:
            self.gate.reset()
        if self.hierarchy is not None:
            self.hierarchy.reset(seed)
        self._aim: np.ndarray | None = None  # (D,) what is planned for
        self.judgement = Judgement()
        self._grounded = False  # whether the memory goes back to a look that was believed
        self.moved = self.ignored = False
        self._began_at: np.ndarray | None = None  # (A,) rad
        self._sent: np.ndarray | None = None  # the last block (K, A)
        self._predicted: np.ndarray | None = None  # (D,) latent after it, or (F, D) of several futures
        self._executed = 0  # blocks of the planner's last plan that were executed since, 0 or 1
        self.cause, self.causes, self.makers = Cause.NO_PLAN, Counter(), Counter()
        self.solution: Solution | None = None
        self.energies: list[float] = []
        self._made: _Made | None = None
        self._outcome: Outcome | None = None

    def look(
        self, latent: np.ndarray, proprio: np.ndarray, stamp: float, set_back: bool = False
    ) -> Judgement:
        """Take a frame: latent (D,), measured joints proprio (A,) rad, stamp s.

        set_back: the clock went back since the last one, and with it the memory.
        """
        followed = self._sent is not None and self._arm_followed(proprio)
        before = self._last_latent if followed else None
        expected = None if set_back else self._expected(latent, proprio)
        if self.gate is not None:
            self.judgement = self.gate.judge(latent, proprio, expected)
        believed = self.judgement.believed
        if set_back or (believed and not self._grounded):
            self.memory.reset()
        self._grounded = not self.judgement.frozen and (believed or expected is not None)
        goes_on = self.memory.push(latent if believed or expected is None else expected, proprio, stamp)
        known = followed and goes_on and expected is not None
        self._outcome = Outcome(before, expected, latent) if known else None
        self._sent, self._proprio = None, proprio
        seen = believed and not self.judgement.strange
        if seen and self.sub_goals is not None and self.sub_goals.see(latent):
            self.turn()
        return self.judgement

    def turn(self) -> None:
        """Another goal is planned for from here on: what is left of the plan at hand says nothing about it."""
        self.planner.forget()
        self._made = None

    @property
    def context(self) -> Context:
        """What rollouts start from."""
        return self.memory.context()

    def aim(
        self, goal: np.ndarray, foresee: Foresee, tolerance: float = 0.0, deadline_s: float | None = None
    ) -> np.ndarray:
        """What to plan for from the last look on (D,): the goal (D,), or with a hierarchy its target on the way there.

        tolerance: latent distance that counts as reached.  deadline_s: seconds from now; the answer is the best found by
        then.  Raises EvaluationTimeout.
        """
        if self.hierarchy is None:
            return goal
        before, aim = self._aim, self.hierarchy.aim(foresee, self.context, goal, tolerance, deadline_s)
        if before is not None and not np.array_equal(before, aim):
            self.turn()
        self._aim = aim
        return aim

    def plan(
        self,
        evaluate: Evaluator | Imagination,
        goal: np.ndarray,
        deadline_s: float | None = None,
        propose: Propose | None = None,
        tolerance: float = 0.0,
    ) -> tuple[Solution, np.ndarray]:
        """Plan from the last look on: go on with the plan at hand where nothing speaks against it (see trigger.py),
        else as the planner's mode says. Returns the solution, and its raw actions (H * K, A) float32, slowed as the last
        look asks; from a strange look the planner begins anew.

        goal: latent (D,).  propose: the policy; a kept plan asks nothing of it.  tolerance: latent distance that counts as
        reached.  Raises what Planner.plan raises; after an EvaluationTimeout the last plan is the one before, and what was
        executed of it.
        """
        began = self.planner.clock()
        self.cause = self._cause(goal)
        tried = self.cause == Cause.NONE
        try:
            solution = self.planner.keep(evaluate, self._proprio, self._most_energy) if tried else None
            if solution is None:
                spent = self.planner.clock() - began
                left = None if deadline_s is None else deadline_s - spent
                asked = propose and (lambda: propose(self.context, goal))
                solution = self._anew(evaluate, left, asked, tolerance, int(tried))
                if tried:  # in vain: the newest look makes the plan cost more than it did
                    self.cause = Cause.PROGRESS
        except EvaluationTimeout:
            self._made = None
            raise
        self._executed = 0
        self.causes[self.cause] += 1
        self.makers[solution.made_by] += 1
        self.solution = solution
        blocks = self._made.blocks if self.cause == Cause.NONE else 0
        self.energies = evaluate.steps(solution.best_at) if hasattr(evaluate, "steps") else []
        rest = energy_of_rest(solution.cost, self.energies, self.planner.reduction)
        self._made = _Made(solution.cost, rest, goal, blocks + 1) if self.judgement.speed == 1 else None
        actions = self.judgement.speed * solution.actions.reshape(-1, self.spec.dim)
        return solution, np.ascontiguousarray(actions, dtype=np.float32)

    @property
    def _most_energy(self) -> float:
        """What the rest of the plan at hand may cost to be kept."""
        return most_energy(self._made.cost, self._made.rest, self.planner.config.replan_energy)

    def _cause(self, goal: np.ndarray) -> Cause:
        made, rest = self._made, self.planner.rest(self._proprio)
        if made is None or rest is None or not np.array_equal(made.goal, goal):
            return cause(self.planner.config, None)
        return cause(
            self.planner.config,
            self._outcome,
            trusted=self.judgement.level == Level.OK and self.judgement.believed,
            goal=goal,
            executed=made.blocks,
            left=self._blocks_of_motion(rest),
        )

    def _blocks_of_motion(self, rest: np.ndarray) -> int:
        """Blocks of actions (H, KA) up to the last that asks for motion. Where a plan need only pass by the goal (its least
        cost counts), it may arrive in any: 0."""
        if self.planner.reduction == "min":
            return 0
        asking = self._asks_for_motion(rest.reshape(len(rest), -1, self.spec.dim))
        return int(np.max(np.flatnonzero(asking) + 1, initial=0))

    def _anew(
        self, evaluate, deadline_s: float | None, propose: Callable | None, tolerance: float, tried: int
    ) -> Solution:
        if self.judgement.strange:
            self.planner.forget()
        return self.planner.plan(
            evaluate,
            self._proprio,
            deadline_s,
            propose=propose,
            tolerance=tolerance,
            executed_blocks=self._executed,
            tried=tried,
        )

    def predict(self, evaluate: Evaluator, predicted: Callable, solution: Solution, actions: np.ndarray):
        """(D,) latent after the first block of what ``plan`` gave, with its evaluator; (F, D) of several futures.

        predicted: (call, index) of the best candidate of a call -> its latent after the first block.
        """
        if self.judgement.speed == 1 and solution.leads:
            return predicted(solution.best_at)
        evaluate(actions.reshape(1, -1, self.spec.block_dim))  # slowed, or not the best of its iteration
        return predicted((-1, 0))

    def execute(self, actions: np.ndarray, predicted: np.ndarray | None = None) -> None:
        """The first block of raw actions (N, A) is being executed from the last look on.

        predicted: (D,) latent after it, imagined from ``context``, or (F, D) of several futures; None where that is not
        known.
        """
        self._begin(actions[: self.spec.block], predicted)
        self._executed = 1

    def hold(self) -> np.ndarray:
        """No motion is being executed from the last look on; returns it as raw actions (K, A)."""
        still = np.zeros((self.spec.block, self.spec.dim), dtype=np.float32)
        self._begin(still, self._last_latent)
        self._made, self.solution, self.energies = None, None, []
        return still

    def _begin(self, block: np.ndarray, predicted: np.ndarray | None) -> None:
        """From the last look on, block (K, A) is on its way."""
        self._sent, self._predicted = block, predicted
        self.memory.record_action(block)

    def _arm_followed(self, after: np.ndarray) -> bool:
        """After a block, with joints (A,) after it: did the arm move, where it was asked to? (Not where it is not
        armed, held, or the guard vetoed.)"""
        before, block = self._proprio, self._sent
        self._began_at = before if self._began_at is None else self._began_at
        self.moved |= bool(np.any(np.abs(after - self._began_at) >= self._still))
        if not self._asks_for_motion(block) or np.any(np.abs(after - before) >= self._still):
            return True
        self.ignored, self._executed = True, 0
        self._begin(np.zeros_like(block), self._last_latent)
        return False

    def _expected(self, latent: np.ndarray, after: np.ndarray) -> np.ndarray | None:
        """(D,) latent that a look (D,) with joints after (A,) should show, of several futures the one that came; None where
        it is not known: at first, and where the arm did something else than the last block."""
        if not self._grounded:
            return None
        moved = after - self._proprio
        if self._sent is None:
            return self._last_latent if np.all(np.abs(moved) < STILL) else None
        as_sent = np.all(np.abs(moved - self._sent.sum(axis=0)) < OFF_PLAN)
        return nearest(self._predicted, latent) if as_sent and self._predicted is not None else None

    @property
    def _last_latent(self) -> np.ndarray:
        return self.context.latents[-1]

    def _asks_for_motion(self, block: np.ndarray) -> np.ndarray:
        """Whether a block (..., K, A) rad takes some joint far enough from where it was to be seen: bool (...)."""
        return np.abs(block.sum(axis=-2)).max(axis=-1) >= self._asked
