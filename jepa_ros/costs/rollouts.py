"""What a cost term sees: the imagined futures of S candidates."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Rollouts:
    """latents (S, H, D), joint positions proprio (S, H, A) rad, actions (S, H, KA) rad: step h is after block h.

    Of a model that imagines F futures of every candidate: latents (F, S, H, D), proprio (F, S, H, A), actions as before.
    actions may be None for an ``Energy`` that does not need them.
    """

    latents: Tensor
    proprio: Tensor
    actions: Tensor | None
