"""Blocks until what the arm can push about lies where the goal has it."""

from torch import Tensor

from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.world_model.heads import Heads


class ObjectsInPlace:
    """Blocks until the things that stay while the arm moves are where the goal has them: 0 there, wherever the arm is."""

    name = "objects"
    needs_actions = False

    def __init__(self, heads: Heads):
        self.heads = heads

    def __call__(self, rollouts: Rollouts, goal: Tensor) -> Tensor:
        """goal (D,) -> (S, H), blocks."""
        return self.heads.objects.blocks(rollouts.latents, goal)
