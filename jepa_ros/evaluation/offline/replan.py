"""The live planner's pieces, set on any frame of a track: what would it have done there?"""

import numpy as np

from jepa_ros.costs.energy import DEFAULT_WEIGHTS, Energy
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.evaluation.offline.tracks import Track
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.episode import PlanningEpisode
from jepa_ros.planning.memory import ShortTermMemory
from jepa_ros.planning.receding_horizon import Planner
from jepa_ros.planning.solvers.search import Solution
from jepa_ros.world_model.checkpoint import Checkpoint


class Replan:
    """Plans from recorded frames, each by itself: no warm start, the same random numbers, no deadline.

    Planner and energy are those of the live nodes with their own settings; horizon: H, blocks.
    The goal is the latent of the frame H blocks ahead (the track's last frame where that is nearer): the recorded
    actions are known to lead there within the planner's horizon H.
    """

    def __init__(self, checkpoint: Checkpoint, horizon: int, seed: int = 0):
        self.spec, self.model, self.horizon = checkpoint.spec, checkpoint.model, horizon
        self.energy = Energy(checkpoint.spec, DEFAULT_WEIGHTS)
        self.planner = Planner(checkpoint.spec, PlannerConfig(horizon=horizon, seed=seed))
        self.episode = PlanningEpisode(self.planner, ShortTermMemory(checkpoint.spec, self.model.context))

    def goal_frame(self, track: Track, frame: int) -> int:
        """The frame of the track that is the goal of a plan from ``frame``."""
        return min(frame + self.horizon * self.spec.block, len(track) - 1)

    def look(self, track: Track, frame: int) -> LatentEvaluator:
        """Fill the short-term memory with the frames and recorded blocks that lead to ``frame``; the energy of
        candidates from there. The frame needs T - 1 blocks before it."""
        block = self.spec.block
        self.episode.reset()
        first = frame - (self.model.context - 1) * block
        for at in range(first, frame + 1, block):
            self.episode.look(track.latents[at], track.proprio[at], float(track.stamps[at]))
            if at < frame:
                self.episode.execute(track.actions[at : at + block])
        context = self.episode.context
        return LatentEvaluator(
            self.model,
            self.energy,
            context.latents,
            context.proprio,
            context.actions,
            track.latents[self.goal_frame(track, frame)],
            self.planner.reduction,
        )

    def plan(self, evaluator: LatentEvaluator) -> Solution:
        """The plan from the last ``look``."""
        return self.episode.plan(evaluator.evaluate)[0]

    def recorded(self, track: Track, frame: int) -> np.ndarray:
        """The recorded block from the frame on: (K, A) rad."""
        return track.actions[frame : frame + self.spec.block]
