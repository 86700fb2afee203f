"""A learned distance that may differ with the direction."""

import torch
from torch import Tensor, nn

from jepa_ros.world_model.predictor import ResidualBlock


class Quasimetric(nn.Module):
    """Metric Residual Network (Liu, Feng, Stone, Liu: "Metric Residual Networks for Sample Efficient Goal-Conditioned
    Reinforcement Learning", AAAI 2023) over an embedding of the latents, the mean of ``components`` of them.

    One is max_j relu(f(x)_j - f(y)_j) + |g(x) - g(y)|: at least 0, exactly 0 from a latent to itself, and the triangle
    inequality holds; the first summand is what makes going there cost another than coming back.
    """

    def __init__(self, latent_dim: int, width: int, depth: int, components: int, size: int):
        super().__init__()
        self.shape = components, 2, size
        self.embedding = nn.Sequential(
            nn.Linear(latent_dim, width),
            *[ResidualBlock(width) for _ in range(depth)],
            nn.Linear(width, components * 2 * size),
        )

    def forward(self, latents: Tensor, goal: Tensor) -> Tensor:
        """latents (..., D), goal (..., D), broadcast against one another -> (...)."""
        change = (self.embedding(latents) - self.embedding(goal)).unflatten(-1, self.shape)
        one_way, both_ways = change.unbind(-2)  # (..., components, size)
        return (torch.relu(one_way).amax(-1) + torch.linalg.vector_norm(both_ways, dim=-1)).mean(-1)
