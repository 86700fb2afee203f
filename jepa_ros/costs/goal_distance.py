"""Distance to the goal in latent space."""

from torch import Tensor

from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.data.action_spec import ActionSpec


class GoalDistance:
    """Root-mean-square latent difference to the goal at every step, dimensionless; about sqrt(2) between frames that
    have nothing in common (latents have unit variance)."""

    name = "goal_distance"
    needs_actions = False

    def __init__(self, spec: ActionSpec):
        del spec

    def __call__(self, rollouts: Rollouts, goal: Tensor) -> Tensor:
        """goal (D,) -> (S, H)."""
        return (rollouts.latents - goal).pow(2).mean(-1).sqrt()
