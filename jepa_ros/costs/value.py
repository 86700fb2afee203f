"""Blocks to go to the goal, by the checkpoint's value critic."""

import math

from torch import Tensor

from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.world_model.heads import Heads


class Value:
    """Learned value of being on the way to the goal, as blocks to go at every step: log(V) / log(gamma)."""

    name = "value"
    needs_actions = False

    def __init__(self, heads: Heads):
        self.heads = heads

    def __call__(self, rollouts: Rollouts, goal: Tensor) -> Tensor:
        """goal (D,) -> (S, H), blocks."""
        return self.heads.value(rollouts.latents, goal).log() / math.log(self.heads.config.gamma)
