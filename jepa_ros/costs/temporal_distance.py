"""Blocks to go to the goal, by the checkpoint's distance head."""

from torch import Tensor

from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.world_model.heads import Heads


class TemporalDistance:
    """Learned quasimetric of blocks to go to the goal at every step: 0 there, and it goes on to grow where the latent
    distance no longer does."""

    name = "temporal_distance"
    needs_actions = False

    def __init__(self, heads: Heads):
        self.heads = heads

    def __call__(self, rollouts: Rollouts, goal: Tensor) -> Tensor:
        """goal (D,) -> (S, H), blocks."""
        return self.heads.distance(rollouts.latents, goal)
