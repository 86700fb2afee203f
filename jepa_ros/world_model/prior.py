"""The latent variable z: a discrete code for what neither context nor action tells, and how likely each code is.

LeCun, "A Path Towards Autonomous Machine Intelligence" (2022), section 4.6: a latent variable turns one prediction into a set
of them, its information must be limited, and a discrete z limits it best: of Z codes it tells log Z nats at most. How likely a
code is depends on context and action, which is learned (as in DreamerV2, Hafner et al., ICLR 2021). In training nothing has to
guess z: with a handful of codes all of them are tried. The loss of a transition is its free energy

    F = - price * log sum_z p(z | context, action) exp(- E_z / price) = min over q of  sum_z q_z E_z + price * KL(q || p)

with E_z the squared error of the prediction under code z; so the posterior q is exact, and ``price`` is what a nat of its
information costs. Where two outcomes are further apart than that, they get codes of their own.
"""

import torch
from torch import Tensor, nn

from jepa_ros.world_model.predictor import ResidualBlock


class Prior(nn.Module):
    """log p(z | context, action)."""

    def __init__(
        self, latent_dim: int, joints: int, block_dim: int, context: int, codes: int, width: int = 128
    ):
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(context * (latent_dim + joints + block_dim), width),
            nn.SiLU(),
            ResidualBlock(width),
            nn.LayerNorm(width),
            nn.Linear(width, codes),
        )

    def forward(self, latents: Tensor, proprio: Tensor, actions: Tensor) -> Tensor:
        """latents (B, T, D), normalised proprio (B, T, A), normalised blocks (B, T, KA), the last one to imagine
        -> (B, Z)."""
        window = torch.cat([latents.flatten(1), proprio.flatten(1), actions.flatten(1)], 1)
        return self.network(window).log_softmax(-1)


def pick(log_prior: Tensor, draws: Tensor | None) -> Tensor:
    """log_prior (B, Z), draws (B,) in (0, 1) -> the drawn codes, one-hot (B, Z); without draws the likeliest."""
    codes = log_prior.shape[-1]
    if draws is None:
        chosen = log_prior.argmax(-1)
    else:
        chosen = (draws[:, None] > log_prior.exp().cumsum(-1)).sum(-1).clamp(max=codes - 1)
    return nn.functional.one_hot(chosen, codes).to(log_prior)


def free_energy(errors: Tensor, log_prior: Tensor, price: float) -> tuple[Tensor, Tensor]:
    """errors (Z, B) of the prediction under every code, log_prior (B, Z) -> F (B,), and the posterior q (Z, B), without
    gradients."""
    scores = log_prior.T - errors / price
    return -price * scores.logsumexp(0), scores.detach().softmax(0)
