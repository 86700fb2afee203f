"""Keeping away from the joints' position limits."""

import torch
from torch import Tensor

from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.data.action_spec import ActionSpec


class JointLimit:
    """Squared share of ``MARGIN`` that imagined joint positions use up, summed over joints: 0 outside the margin, 1 for
    a joint at its limit, more beyond it."""

    name = "joint_limit"
    needs_actions = False
    MARGIN = 0.05  # rad

    def __init__(self, spec: ActionSpec):
        self.lower = torch.tensor(spec.position_lower) + self.MARGIN
        self.upper = torch.tensor(spec.position_upper) - self.MARGIN

    def __call__(self, rollouts: Rollouts, goal: Tensor) -> Tensor:
        """-> (S, H)."""
        beyond = torch.relu(self.lower - rollouts.proprio) + torch.relu(rollouts.proprio - self.upper)
        return (beyond / self.MARGIN).pow(2).sum(-1)
