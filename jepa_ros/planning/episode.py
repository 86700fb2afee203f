"""The actor's way to one goal: look, plan, note what was executed. The same in the live graph and on recordings."""

import numpy as np

from jepa_ros.planning.memory import Context, ShortTermMemory
from jepa_ros.planning.protocols import EvaluationTimeout, Evaluator
from jepa_ros.planning.receding_horizon import Planner
from jepa_ros.planning.solvers.search import Solution

STILL = 0.01
"""rad; an arm of which every joint moved less did not move."""
ASKED = 0.05
"""rad; a block that takes some joint this far from where it was must be seen in the joints."""


class PlanningEpisode:
    """Ties a planner to the short-term memory that its rollouts start from.

    moved: whether the arm has moved since the episode began.  ignored: whether a block that asked for motion
    brought none; such a block is remembered as no motion.
    """

    def __init__(self, planner: Planner, memory: ShortTermMemory):
        self.planner, self.memory, self.spec = planner, memory, planner.spec
        self.reset()

    def reset(self, seed: int | None = None) -> None:
        """Begin a new episode; seed: of the planner, None is its configuration's."""
        self.planner.reset(seed)
        self.memory.reset()
        self.moved = self.ignored = False
        self._began_at: np.ndarray | None = None  # (A,) rad
        self._sent: tuple[np.ndarray, np.ndarray] | None = None  # joints before the last block, the block
        self._executed = 0

    def look(self, latent: np.ndarray, proprio: np.ndarray, stamp: float, set_back: bool = False) -> None:
        """Take a frame: latent (D,), measured joints proprio (A,) rad, stamp s.

        set_back: the clock went back since the last one, and with it the memory.
        """
        if self._sent is not None:
            self._judge(*self._sent, proprio)
            self._sent = None
        if set_back:
            self.memory.reset()
        self.memory.push(latent, proprio, stamp)
        self._proprio = proprio

    @property
    def context(self) -> Context:
        """What rollouts start from."""
        return self.memory.context()

    def plan(self, evaluate: Evaluator, deadline_s: float | None = None) -> tuple[Solution, np.ndarray]:
        """Search from the last look on. Returns the solution, and its raw actions (H * K, A) float32.

        Raises what Planner.plan raises; after an EvaluationTimeout nothing counts as executed.
        """
        try:
            solution = self.planner.plan(evaluate, self._proprio, deadline_s, executed_blocks=self._executed)
        except EvaluationTimeout:
            self._executed = 0
            raise
        return solution, np.ascontiguousarray(solution.actions.reshape(-1, self.spec.dim), dtype=np.float32)

    def execute(self, actions: np.ndarray) -> None:
        """The first block of raw actions (N, A) is being executed from the last look on."""
        block = actions[: self.spec.block]
        self._sent, self._executed = (self._proprio, block), 1
        self.memory.record_action(block)

    def _judge(self, before: np.ndarray, block: np.ndarray, after: np.ndarray) -> None:
        """After a block (K, A), with joints (A,) before and after it: did the arm follow? (Not where it is
        not armed, held, or the guard vetoed.)"""
        self._began_at = before if self._began_at is None else self._began_at
        self.moved |= bool(np.any(np.abs(after - self._began_at) >= STILL))
        asked = np.abs(block.sum(axis=0)).max() >= ASKED
        if asked and np.all(np.abs(after - before) < STILL):
            self.ignored = True
            self.memory.record_action(np.zeros_like(block))
