"""Two levels (H-JEPA, LeCun 2022): a slower one finds the next latent target, the lower one plans actions towards it.

The upper level is the receding-horizon planner once more, over macro-actions instead of actions: each stands for several
blocks, what it leads to is foreseen in the same latent space, and what is searched is the sequence of them after which the
fewest blocks are left to the goal. Only its first step is pursued, and searched anew before it is stale.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.distance import latent_distance
from jepa_ros.planning.memory import Context
from jepa_ros.planning.protocols import Foresee
from jepa_ros.planning.receding_horizon import Planner

REACH = 2.0
"""Standard deviations of the training's macro-actions within which they are searched."""
EFFORT = 0.1
"""Blocks that a macro-action one standard deviation from the most usual one costs."""
ELITES = 4
"""Few: there are several ways around things, and what lies between two of them is none."""
REACHED = 2.0
"""A target is reached within this many goal tolerances: what is foreseen is not exact, and it is only on the way."""
_UNLIMITED = 1e9
"""Macro-actions add up to no position."""


class Hierarchy:
    """Says what the lower level plans for: the goal, or a latent target on the way to it.

    The goal itself is pursued where it is at most ``near_blocks`` away, and where no macro-actions were found that lead
    nearer. A target is pursued until it is reached, ``target_looks`` looks have passed, or the goal is another one.

    target: (D,), None where the goal is pursued.  asked: how often the slow level was, in this episode.  blocks: to the goal,
    as the distance head said at the last of these times; NaN before.
    """

    def __init__(self, size: int, config: PlannerConfig, clock: Callable[[], float] = time.monotonic):
        """size: U, the width of macro-actions."""
        if size < 1:
            raise JepaError(f"hierarchy: macro-actions are {size} wide; they need at least one number")
        bounds, limits = ((-REACH,) * size, (REACH,) * size), ((-_UNLIMITED,) * size, (_UNLIMITED,) * size)
        macros = ActionSpec(tuple(f"u{i}" for i in range(size)), *bounds, *limits, block=1)
        self.config, self.size = config, size
        upper = replace(
            config,
            mode="search",
            solver="cem",
            space="free_blocks",
            horizon=config.macros,
            samples=config.macro_samples,
            iterations=config.macro_iterations,
            elites=ELITES,
            initial_std=1 / REACH,
            warm_std=1.0,
            noise_beta=0.0,
            refine_steps=0,
            speed=1.0,
        )
        self._planner = Planner(macros, upper, clock)
        self.reset()

    def reset(self, seed: int | None = None) -> None:
        """Begin a new episode; seed: as Planner.reset."""
        self._planner.reset(seed)
        self.target: np.ndarray | None = None
        self.asked, self.blocks = 0, float("nan")
        self._goal: np.ndarray | None = None
        self._looks = 0

    def aim(
        self,
        foresee: Foresee,
        context: Context,
        goal: np.ndarray,
        tolerance: float,
        deadline_s: float | None = None,
    ) -> np.ndarray:
        """What to plan for (D,) from ``context`` on, on the way to a goal latent (D,).

        tolerance: latent distance that counts as reached.  Raises EvaluationTimeout where nothing was foreseen in time; what
        was pursued is then asked for again.
        """
        if self._goal is None or not np.array_equal(goal, self._goal):
            self._planner.forget()
            self._goal, self._looks = goal, 0
        elif self.target is not None and (
            latent_distance(context.latents[-1], self.target) <= REACHED * tolerance
        ):
            self._looks = 0
        if self._looks <= 0:
            self.target = self._ask(foresee, context, goal, deadline_s)
            self._looks = self.config.target_looks
        self._looks -= 1
        return goal if self.target is None else self.target

    def _ask(
        self, foresee: Foresee, context: Context, goal: np.ndarray, deadline_s: float | None
    ) -> np.ndarray | None:
        self.asked, began = self.asked + 1, self._planner.clock()
        _, ways = foresee(context, goal, np.zeros((1, 1, self.size), np.float32))
        self.blocks = float(ways[0, 0])
        if self.blocks <= self.config.near_blocks:
            return None
        seen = []  # of every call: latents after the first macro-action (S, D), blocks to go (S, M + 1)

        def cost(macros: np.ndarray) -> np.ndarray:
            seen.append(foresee(context, goal, macros.astype(np.float32)))
            ways = seen[-1][1][:, 1:].astype(np.float64)
            return ways.mean(1) + ways[:, -1] + EFFORT * np.square(macros).mean((1, 2))

        left = None if deadline_s is None else deadline_s - (self._planner.clock() - began)
        call, index = self._planner.plan(cost, np.zeros(self.size), left, executed_blocks=0).best_at
        firsts, ways = seen[call]
        return firsts[index] if ways[index, 1:].min() < self.blocks else None
