"""The action-conditioned predictor: what the next latent and the next joint positions will be."""

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + W2 SiLU(W1 LayerNorm(x))."""

    def __init__(self, width: int):
        super().__init__()
        self.inner = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class Predictor(nn.Module):
    """A residual MLP over a window of T frames, their T - 1 executed blocks and the block to imagine.

    It predicts the change of the latent and of the (normalised) joint positions, not their values: a small action
    then has a small prediction error, so that planning near the goal behaves like visual servoing.
    """

    def __init__(
        self,
        latent_dim: int,
        joints: int,
        block_dim: int,
        context: int,
        width: int = 384,
        depth: int = 2,
        embedding: int = 64,
        proprioception: bool = True,
        codes: int = 0,
    ):
        super().__init__()
        self.latent_dim = latent_dim
        self.proprioception = proprioception
        if proprioception:
            self.proprio_embedding = nn.Sequential(nn.Linear(joints, embedding), nn.SiLU())
        self.action_embedding = nn.Sequential(nn.Linear(block_dim, 2 * embedding), nn.SiLU())
        window = context * (latent_dim + proprioception * embedding + 2 * embedding)
        self.inp = nn.Linear(window, width)
        self.blocks = nn.Sequential(*[ResidualBlock(width) for _ in range(depth)])
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, latent_dim + joints))
        nn.init.zeros_(self.out[1].bias)
        if codes:
            self.code = nn.Linear(width, codes * (latent_dim + joints), bias=False)
            nn.init.normal_(
                self.code.weight, std=0.1 * width**-0.5
            )  # codes that begin alike take long to part

    def forward(
        self, latents: Tensor, proprio: Tensor, actions: Tensor, z: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """latents (B, T, D), normalised proprio (B, T, A), normalised blocks (B, T, KA), the last one to imagine, and
        where it has codes z (B, Z), one-hot -> next latent (B, D), next proprio (B, A)."""
        hidden = self._hidden(latents, proprio, actions)
        change = self.out[1](hidden)
        if z is not None:
            change = change + (z[:, :, None] * self._deviations(hidden, z.shape[1])).sum(1)
        return self._following(latents, proprio, change)

    def every_code(self, latents: Tensor, proprio: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """``forward`` under each of Z codes, for little more than the price of one: next latents (Z, B, D), proprio
        (Z, B, A)."""
        hidden = self._hidden(latents, proprio, actions)
        codes = len(self.code.weight) // self.out[1].out_features
        change = self.out[1](hidden)[:, None] + self._deviations(hidden, codes)
        return self._following(latents, proprio, change.transpose(0, 1))

    def _hidden(self, latents: Tensor, proprio: Tensor, actions: Tensor) -> Tensor:
        joints = [self.proprio_embedding(proprio).flatten(1)] if self.proprioception else []
        window = [latents.flatten(1), *joints, self.action_embedding(actions).flatten(1)]
        return self.out[0](self.blocks(self.inp(torch.cat(window, dim=1))))

    def _deviations(self, hidden: Tensor, codes: int) -> Tensor:
        """What each code adds to the change that they share, (B, Z, D + A)."""
        return self.code(hidden).unflatten(1, (codes, -1))

    def _following(self, latents: Tensor, proprio: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        dims = self.latent_dim
        return latents[:, -1] + change[..., :dims], proprio[:, -1] + change[..., dims:]
