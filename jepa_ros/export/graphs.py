"""What an export holds, as modules of tensors alone: encoder, one block, a whole rollout, the energy.

Units are physical (rad, as in the ActionSpec), as at the seams of the live nodes; the normalisation is inside.
"""

import torch
from torch import Tensor, nn

from jepa_ros.costs.energy import PLAIN_TERMS
from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.world_model.model import WorldModel


class EncoderGraph(nn.Module):
    """images (B, h, w, 3) uint8 RGB -> latents (B, D)."""

    def __init__(self, model: WorldModel):
        super().__init__()
        self.encoder = model.encoder

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder(images)


class PredictorGraph(nn.Module):
    """One block ahead for B contexts: latents (B, T, D), proprio (B, T, A) rad, blocks (B, T, KA) rad, the last one to
    imagine -> latent (B, D), proprio (B, A) rad."""

    def __init__(self, model: WorldModel):
        super().__init__()
        self.model = model

    def forward(self, latents: Tensor, proprio: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        model = self.model
        latent, joints = model.predict(
            latents, model.normalise_proprio(proprio), model.normalise_actions(actions)
        )
        return latent, joints * model.proprio_std + model.proprio_mean


class RolloutGraph(nn.Module):
    """``WorldModel.rollout``: latents (T, D), proprio (T, A) rad, past_actions (T-1, KA) rad, actions (S, H, KA) rad
    -> latents (S, H, D), proprio (S, H, A) rad. H is that of the actions it is traced with."""

    def __init__(self, model: WorldModel):
        super().__init__()
        self.model = model

    def forward(
        self, latents: Tensor, proprio: Tensor, past_actions: Tensor, actions: Tensor
    ) -> tuple[Tensor, Tensor]:
        # Without the inference mode of `rollout`, whose tensors torch.export cannot trace.
        return WorldModel.rollout.__wrapped__(self.model, latents, proprio, past_actions, actions)


class CostGraph(nn.Module):
    """``Energy`` with the weights as an input, one per term of ``PLAIN_TERMS`` in their order, and every reduction at once.

    latents (S, H, D), proprio (S, H, A) rad, actions (S, H, KA) rad, goal (D,), weights (terms,)
    -> per reduction sum, min, last: totals (S,), and the terms' weighted shares (terms, S).
    """

    def __init__(self, spec: ActionSpec):
        super().__init__()
        self.terms = [term(spec) for term in PLAIN_TERMS.values()]

    def forward(self, latents: Tensor, proprio: Tensor, actions: Tensor, goal: Tensor, weights: Tensor):
        rollouts = Rollouts(latents, proprio, actions)
        steps = torch.stack([term(rollouts, goal) for term in self.terms]) * weights[:, None, None]
        best = steps.sum(0).argmin(-1)
        least = steps.gather(-1, best.expand(len(self.terms), -1)[..., None])[..., 0]
        shares = {"sum": steps.sum(-1), "min": least, "last": steps[..., -1]}
        return tuple(part for share in shares.values() for part in (share.sum(0), share))
