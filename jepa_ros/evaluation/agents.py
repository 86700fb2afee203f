"""What can drive the arm in the closed loop: the planner, and the baselines that it has to beat.

An agent sees images and measured joint positions, and answers with the raw actions of the next block.
Yardsticks that know more than that (the true goal, the simulator) get it through ``observe_truth`` and say
so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.episode import PlanningEpisode
from jepa_ros.planning.hierarchy import Hierarchy
from jepa_ros.planning.memory import ShortTermMemory
from jepa_ros.planning.protocols import Propose
from jepa_ros.planning.receding_horizon import Planner
from jepa_ros.planning.sub_goals import SubGoals, SubGoalSettings
from jepa_ros.planning.surprise import Judgement, SurpriseGate

if TYPE_CHECKING:
    from jepa_ros.costs.energy import Energy
    from jepa_ros.evaluation.simulated_arm import SimulatedArm
    from jepa_ros.simulation.tasks import Goal
    from jepa_ros.world_model.checkpoint import Checkpoint

SERVO_GAIN = 1.0
"""Share of the remaining joint error that `JointServo` commands per block. Of 0.5 to 1.3, with true goal
joints: all reach 100 of 100 goals, and 1.0 ends closest to them."""


class Agent:
    """Base of all agents: ``reset`` once per episode, then ``act`` once per block.

    plan_ms, encode_ms: of the last ``act``; encode_ms is None where images are not encoded apart.
    candidates: action sequences that the last ``act`` imagined, 0 where it held the arm; None where the agent imagines
    nothing.
    made_by: who made the last ``act``'s plan: "policy", "search", "keep" for the plan at hand, "hold" where the arm was
    held; None where the agent does not plan.
    gave_up: why the agent ends the episode at the last look, as the live planner ends a goal; "" while it goes on.
    """

    plan_ms: float = 0.0
    encode_ms: float | None = None
    candidates: int | None = None
    made_by: str | None = None
    gave_up: str = ""

    def __init__(self, spec: ActionSpec):
        self.spec = spec

    def observe_truth(self, arm: SimulatedArm, goal: Goal) -> None:
        """Called before ``reset``, for yardsticks; a real agent does not look."""

    def reset(self, goal_image: np.ndarray, seed: int) -> None:
        """goal_image: (h, w, 3) uint8 RGB.  seed: of the agent's own random draws."""

    def by_way_of(self, sub_goal_images: Sequence[np.ndarray]) -> None:
        """Called after ``reset``: pictures like the goal's, to pass on the way in their order. Who has no use for them
        ignores them."""

    def act(self, image: np.ndarray, proprio: np.ndarray) -> np.ndarray:
        """image: (h, w, 3) uint8 RGB.  proprio: (A,) rad, measured. Returns raw deltas (K, A) in the
        action bounds."""
        began = time.perf_counter()
        actions = self.decide(image, proprio)
        self.plan_ms = 1e3 * (time.perf_counter() - began)
        return actions

    def decide(self, image: np.ndarray, proprio: np.ndarray) -> np.ndarray:
        """What ``act`` times."""
        raise NotImplementedError


class PlannerAgent(Agent):
    """Encode the image, plan for the least energy, execute the plan's first block.

    Calls the same pieces in the same order as the live graph in ``composition:=single``. The policy is the checkpoint's
    heads, where it has some and the planner's mode is not "search"; JepaError where the mode is "policy" without, or the
    planner has two levels and the heads no slow one.
    judgements: the gate's, one per look of this episode.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        config: PlannerConfig,
        energy: Energy,
        gate: SurpriseGate | None = None,
        sub_goals: SubGoalSettings = SubGoalSettings(),
    ):
        super().__init__(checkpoint.spec)
        self.checkpoint, self.model, self.energy = checkpoint, checkpoint.model, energy
        self.propose = policy(checkpoint, config.mode)
        slow = checkpoint.require_slow_level("levels: 2") if config.levels == 2 else None
        self.foresee = None if slow is None else slow.foresee
        self.episode = PlanningEpisode(
            Planner(self.spec, config),
            ShortTermMemory(self.spec, self.model.context),
            gate,
            None if slow is None else Hierarchy(slow.config.macro, config),
        )
        self.sub_goals = sub_goals
        self.judgements: list[Judgement] = []

    def reset(self, goal_image, seed):
        self.episode.reset(seed)
        self.goal = self.model.embed(goal_image)
        self.by_way_of(())
        self.judgements, self.gave_up = [], ""

    def by_way_of(self, sub_goal_images):
        latents = [*map(self.model.embed, sub_goal_images), self.goal]
        tolerance = self.sub_goals.looseness * self.checkpoint.goal_tolerance
        self.episode.sub_goals = SubGoals(np.stack(latents), tolerance, self.sub_goals)

    def act(self, image, proprio):
        from jepa_ros.evaluation.actor import respond

        began = time.perf_counter()
        latent = self.embed(image)
        encoded = time.perf_counter()
        stamp = len(self.judgements) * self.spec.block * self.spec.dt
        self.judgements.append(self.episode.look(latent, proprio, stamp))
        self.gave_up = self.episode.sub_goals.lost
        if self.gave_up:
            actions = self.episode.hold()
        else:
            actions = respond(
                self.episode,
                self.model,
                self.energy,
                self.episode.sub_goals.latent,
                self.propose,
                self.checkpoint.goal_tolerance,
                lambda: self.checkpoint.network,
                self.foresee,
            )
        self.encode_ms, self.plan_ms = 1e3 * (encoded - began), 1e3 * (time.perf_counter() - encoded)
        solution = self.episode.solution
        self.candidates = solution.evaluations if solution else 0
        self.made_by = solution.made_by if solution else "hold"
        return actions[: self.spec.block]

    def embed(self, image: np.ndarray) -> np.ndarray:
        """The latent (D,) of a look's picture (h, w, 3) uint8."""
        return self.model.embed(image)


def policy(checkpoint: Checkpoint, mode: str) -> Propose | None:
    """The fast system of a planner in ``mode``: the checkpoint's heads, None where they are not there or not asked."""
    if mode == "search":
        return None
    heads = checkpoint.require_heads("mode policy") if mode == "policy" else checkpoint.heads
    return None if heads is None else heads.propose


class NoOp(Agent):
    """Holds still: what a task gives away for nothing."""

    def decide(self, image, proprio):
        return np.zeros((self.spec.block, self.spec.dim))


class RandomMotion(Agent):
    """Bounded smooth random motion: an Ornstein-Uhlenbeck walk in velocity, clamped to the action bounds."""

    MEMORY = 0.9

    def reset(self, goal_image, seed):
        self._rng = np.random.default_rng(seed)
        self._velocity = self._draw()

    def decide(self, image, proprio):
        actions = []
        for _ in range(self.spec.block):
            self._velocity = self.MEMORY * self._velocity + (1 - self.MEMORY**2) ** 0.5 * self._draw()
            actions.append(np.clip(self._velocity, self.spec.lower, self.spec.upper))
        return np.array(actions)

    def _draw(self) -> np.ndarray:
        scale = np.subtract(self.spec.upper, self.spec.lower) / 4
        return scale * self._rng.standard_normal(self.spec.dim)


class BehaviourCloning(Agent):
    """A goal-conditioned policy cloned from the training bags.

    policy: (image, goal image (h, w, 3) uint8, proprio (A,)) -> raw actions (K, A).
    """

    def __init__(self, spec: ActionSpec, policy: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]):
        super().__init__(spec)
        self._policy = policy

    def reset(self, goal_image, seed):
        self._goal_image = goal_image

    def decide(self, image, proprio):
        return np.clip(self._policy(image, self._goal_image, proprio), self.spec.lower, self.spec.upper)


class JointServo(Agent):
    """Joint angles read from the goal image once, then proportional control towards them.

    The actions move the commanded target, so a constant measured error (gravity) is integrated away.
    joints_from_image: goal image (h, w, 3) uint8 -> (A,) rad; None takes the true goal joints (a yardstick).
    by_sight: read the present joints from the camera image too, so that the reading's own bias cancels.
    """

    def __init__(
        self,
        spec: ActionSpec,
        joints_from_image: Callable[[np.ndarray], np.ndarray] | None,
        gain: float = SERVO_GAIN,
        by_sight: bool = False,
    ):
        super().__init__(spec)
        self._joints_from_image, self.gain, self._by_sight = joints_from_image, gain, by_sight

    def observe_truth(self, arm, goal):
        self._goal_joints = np.asarray(goal.joints)

    def reset(self, goal_image, seed):
        if self._joints_from_image is not None:
            self._goal_joints = self._joints_from_image(goal_image)

    def decide(self, image, proprio):
        present = self._joints_from_image(image) if self._by_sight else proprio
        remaining = self.gain * (self._goal_joints - present)
        actions = np.empty((self.spec.block, self.spec.dim))
        for step in range(self.spec.block):
            actions[step] = np.clip(remaining, self.spec.lower, self.spec.upper)
            remaining -= actions[step]
        return actions
