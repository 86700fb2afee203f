"""Against collapse: SIGReg and VICReg penalties, and the figures that show a collapse when it comes."""

from collections.abc import Callable

import torch
from torch import Tensor

Across = Callable[[Tensor], Tensor]
"""The mean over the processes that train together, each with as many latents; differentiable."""


def alone(statistics: Tensor) -> Tensor:
    """``Across`` where one process trains: what it is given."""
    return statistics


def sigreg(
    latents: Tensor,
    projections: int = 128,
    knots: int = 17,
    generator: torch.Generator | None = None,
    across: Across = alone,
) -> Tensor:
    """Sketched isotropic Gaussian regularisation (LeJEPA, arXiv 2511.08544): a scalar >= 0.

    latents (N, D). Random unit directions sketch the distribution; along each, the Epps-Pulley statistic compares
    the empirical characteristic function with that of N(0, 1) at ``knots`` points of [0, 3] (trapezoid rule,
    Gaussian window). Near 1 / N for Gaussian latents, of order 1 for collapsed ones. Computed in float32.
    ``across`` joins the characteristic functions of several processes, which must draw the same directions.
    """
    latents = latents.float()
    directions = torch.randn(latents.shape[1], projections, generator=generator, device=latents.device)
    directions = directions / directions.norm(dim=0, keepdim=True)
    t = torch.linspace(0.0, 3.0, knots, device=latents.device)
    gaussian = torch.exp(-0.5 * t**2)
    weights = torch.full((knots,), 2 * 3.0 / (knots - 1), device=latents.device)
    weights[[0, -1]] /= 2
    weights = weights * gaussian
    phase = (latents @ directions)[..., None] * t  # (N, projections, knots)
    real, imaginary = across(torch.stack([phase.cos().mean(0), phase.sin().mean(0)]))
    error = (real - gaussian) ** 2 + imaginary**2  # (projections, knots)
    return (error @ weights).mean()


def vicreg(latents: Tensor, across: Across = alone) -> Tensor:
    """Variance and covariance terms of VICReg (arXiv 2105.04906): a scalar >= 0; latents (N, D).

    ``across`` joins the moments of several processes.
    """
    latents = latents.float() - across(latents.float().mean(0))
    covariance = across(latents.T @ latents / len(latents))
    variance = torch.diagonal(covariance)
    deviation = (variance + 1e-4).sqrt()
    off_diagonal = covariance - torch.diag(variance)
    return torch.relu(1 - deviation).mean() + off_diagonal.pow(2).sum() / latents.shape[1] / 25


def effective_rank(latents: Tensor) -> float:
    """exp of the entropy of the normalised singular values (Roy and Vetterli, 2007), 1 .. D; latents (N, D)."""
    latents = latents.float() - latents.float().mean(0)
    singular = torch.linalg.svdvals(latents)
    if singular.sum() <= 1e-12:
        return 1.0
    p = singular / singular.sum()
    return float(torch.exp(-(p * torch.log(p + 1e-12)).sum()))


def latent_health(latents: Tensor) -> dict[str, float]:
    """Mean and least standard deviation over dimensions, effective rank; latents (N, D)."""
    deviation = latents.float().std(0)
    return {
        "latent_std": float(deviation.mean()),
        "latent_std_min": float(deviation.min()),
        "effective_rank": effective_rank(latents),
    }
