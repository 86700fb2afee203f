"""A goal-conditioned value critic over latents."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jepa_ros.world_model.predictor import ResidualBlock


class Critic(nn.Module):
    """How many blocks the best behaviour in the data needs from a latent to a goal, as its discounted value says:
    V = gamma ** blocks, 1 at the goal. A plain network of both latents and their difference."""

    def __init__(self, latent_dim: int, width: int, depth: int, gamma: float):
        super().__init__()
        self.gamma = gamma
        self.network = nn.Sequential(
            nn.Linear(3 * latent_dim, width),
            *[ResidualBlock(width) for _ in range(depth)],
            nn.LayerNorm(width),
            nn.Linear(width, 1),
        )

    def forward(self, latents: Tensor, goal: Tensor) -> Tensor:
        """latents (..., D), goal (..., D), broadcast against one another -> V (...), in (0, 1]."""
        return self.gamma ** self.blocks(latents, goal)

    def blocks(self, latents: Tensor, goal: Tensor) -> Tensor:
        """log(V) / log(gamma): blocks to go (...), not negative."""
        latents, goal = torch.broadcast_tensors(latents, goal)
        return F.softplus(self.network(torch.cat([latents, goal, goal - latents], -1))[..., 0])
