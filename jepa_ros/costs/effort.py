"""Control effort."""

import torch
from torch import Tensor

from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.data.action_spec import ActionSpec


class Effort:
    """Mean squared raw action as a share of its bound: 0 at rest, 1 at full speed on every joint."""

    name = "effort"
    needs_actions = True

    def __init__(self, spec: ActionSpec):
        bound = torch.maximum(torch.tensor(spec.lower).abs(), torch.tensor(spec.upper).abs())
        self.scale = bound.repeat(spec.block)

    def __call__(self, rollouts: Rollouts, goal: Tensor) -> Tensor:
        """-> (S, H)."""
        return (rollouts.actions / self.scale).pow(2).mean(-1)
