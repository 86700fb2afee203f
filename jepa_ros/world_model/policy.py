"""A goal-conditioned policy over latents: inverse dynamics towards a goal latent."""

import torch
from torch import Tensor, nn

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.world_model.predictor import ResidualBlock


class ChunkPolicy(nn.Module):
    """N hypotheses of the next H action blocks on the way to a goal, each within the action bounds.

    proprioception: whether it sees joint positions.  goal_dim: G; None: goals are latents. Where they are features of
    latents, those of the newest latent are given too.
    """

    def __init__(
        self,
        latent_dim: int,
        context: int,
        spec: ActionSpec,
        hypotheses: int,
        horizon: int,
        width: int,
        depth: int,
        proprioception: bool = True,
        goal_dim: int | None = None,
    ):
        super().__init__()
        self.shape = hypotheses, horizon, spec.block_dim
        self.proprioception = proprioception
        joints = proprioception * context * spec.dim
        towards = 2 * (goal_dim or latent_dim)
        window = context * latent_dim + towards + joints + (context - 1) * spec.block_dim
        self.network = nn.Sequential(
            nn.Linear(window, width),
            *[ResidualBlock(width) for _ in range(depth)],
            nn.LayerNorm(width),
            nn.Linear(width, hypotheses * horizon * spec.block_dim),
        )
        lower, upper = (torch.tensor(bound).repeat(spec.block) for bound in (spec.lower, spec.upper))
        self.register_buffer("centre", (lower + upper) / 2, persistent=False)
        self.register_buffer("reach", (upper - lower) / 2, persistent=False)

    def forward(
        self, latents: Tensor, proprio: Tensor, past_actions: Tensor, goal: Tensor, here: Tensor | None = None
    ) -> Tensor:
        """latents (B, T, D), normalised proprio (B, T, A), past blocks (B, T-1, KA) rad, goal (B, G), here (B, G)
        -> (B, N, H, KA) rad."""
        here = latents[:, -1] if here is None else here
        past = (past_actions - self.centre) / self.reach
        joints = [proprio.flatten(1)] if self.proprioception else []
        window = [latents.flatten(1), goal, goal - here, *joints, past.flatten(1)]
        shares = torch.tanh(self.network(torch.cat(window, 1))).unflatten(1, self.shape)
        return self.centre + self.reach * shares
