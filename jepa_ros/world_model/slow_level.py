"""The slow level: what comes of several blocks at once, in the same latent space (H-JEPA, LeCun 2022, section 4.6)."""

import torch
from torch import Tensor, nn

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.world_model.predictor import ResidualBlock

_LOG_VARIANCE = -10.0, 2.0
"""Least and greatest of a macro-action's numbers: none is exact, none runs away."""


class SlowLevel(nn.Module):
    """``predict``: a latent and a macro-action u (U,) -> the latent ``stride`` blocks later.

    A macro-action says in few numbers what ``stride`` blocks do; ``infer`` finds it from the blocks and the latent they
    start from, never from where they led: what chance brought is no choice, and a plan must not choose it. Training keeps
    what is inferred near the standard normal, so that what is drawn from it is a motion of the kind that was recorded.
    """

    def __init__(self, latent_dim: int, spec: ActionSpec, stride: int, size: int, width: int, depth: int):
        super().__init__()
        self.stride, self.size = stride, size
        self.encoder = _network(latent_dim + stride * spec.block_dim, width, depth, 2 * size)
        self.predictor = _network(latent_dim + size, width, depth, latent_dim)
        lower, upper = (torch.tensor(bound).repeat(spec.block) for bound in (spec.lower, spec.upper))
        self.register_buffer("centre", (lower + upper) / 2, persistent=False)
        self.register_buffer("reach", (upper - lower) / 2, persistent=False)

    def infer(self, latents: Tensor, blocks: Tensor) -> tuple[Tensor, Tensor]:
        """latents (B, D), the blocks executed from there (B, stride, KA) rad -> mean and log variance (B, U) of u."""
        shares = ((blocks - self.centre) / self.reach).flatten(1)
        mean, log_variance = self.encoder(torch.cat([latents, shares], 1)).chunk(2, 1)
        return mean, log_variance.clamp(*_LOG_VARIANCE)

    def predict(self, latents: Tensor, macros: Tensor) -> Tensor:
        """latents (..., D), macros (..., U) -> (..., D)."""
        return latents + self.predictor(torch.cat([latents, macros], -1))

    def unroll(self, latents: Tensor, macros: Tensor) -> Tensor:
        """From latents (B, D) by macro-actions (B, M, U), one after the other -> (B, M, D)."""
        path = []
        for macro in macros.unbind(1):
            latents = self.predict(latents, macro)
            path.append(latents)
        return torch.stack(path, 1)


def _network(inputs: int, width: int, depth: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width),
        *[ResidualBlock(width) for _ in range(depth)],
        nn.LayerNorm(width),
        nn.Linear(width, outputs),
    )
