"""A goal-conditioned value critic over latents."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jepa_ros.world_model.predictor import ResidualBlock


class Critic(nn.Module):
    """How many blocks the best behaviour in the data needs from a latent to a goal, as its discounted value says:
    V = gamma ** blocks, 1 at the goal. A plain network of latent, goal and their difference.

    goal_dim: G; None: goals are latents. Where they are features of latents, those of the latent here are given too.
    """

    def __init__(self, latent_dim: int, width: int, depth: int, gamma: float, goal_dim: int | None = None):
        super().__init__()
        self.gamma = gamma
        self.network = nn.Sequential(
            nn.Linear(latent_dim + 2 * (goal_dim or latent_dim), width),
            *[ResidualBlock(width) for _ in range(depth)],
            nn.LayerNorm(width),
            nn.Linear(width, 1),
        )

    def forward(self, latents: Tensor, goal: Tensor, here: Tensor | None = None) -> Tensor:
        """latents (..., D), goal (..., G), here (..., G), broadcast against one another -> V (...), in (0, 1]."""
        return self.gamma ** self.blocks(latents, goal, here)

    def blocks(self, latents: Tensor, goal: Tensor, here: Tensor | None = None) -> Tensor:
        """log(V) / log(gamma): blocks to go (...), not negative."""
        here = latents if here is None else here
        goal = goal.expand(*torch.broadcast_shapes(latents.shape[:-1], goal.shape[:-1]), -1)
        latents, here = (x.expand(*goal.shape[:-1], -1) for x in (latents, here))
        return F.softplus(self.network(torch.cat([latents, goal, goal - here], -1))[..., 0])
