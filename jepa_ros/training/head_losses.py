"""What the losses of several heads are made of."""

from torch import Tensor, where


def expectile_loss(error: Tensor, expectile: float) -> Tensor:
    """Mean squared error (B,), a positive one weighted by ``expectile``, a negative one by the rest."""
    return (where(error > 0, expectile, 1 - expectile) * error.pow(2)).mean()


def cloning_loss(proposals: Tensor, actions: Tensor, reach: Tensor, others: float, weight: Tensor) -> Tensor:
    """Of N hypotheses (B, N, H, KA) of actions (B, H, KA), rad, the squared error of the best as a share of ``reach`` (KA,), half
    the action bounds' range; the others count by ``others``. The mean over ways that count by ``weight`` (B,)."""
    errors = ((proposals - actions[:, None]) / reach).pow(2).mean((2, 3))  # (B, N)
    error = (1 - others) * errors.amin(1) + others * errors.mean(1)
    return (weight * error).sum() / weight.sum().clamp(min=1e-6)


def rests(block: Tensor, reach: Tensor, still: float) -> Tensor:
    """(B,) whether raw actions (B, K, A) rad move no joint by more than a share ``still`` of what actions of ``reach`` (KA,)
    rad would."""
    return (block.abs().sum(1) / reach.unflatten(0, block.shape[1:]).sum(0)).amax(1) <= still
