"""The training loss of the JEPA: predict the next latents, keep the latent space from collapsing.

Recipe of LeWorldModel (arXiv 2603.19312): next-latent MSE plus SIGReg, gradients through encoder and target alike.
Added here: open-loop multi-step prediction, joint positions as a second thing to predict, and a linear read-out of
joint positions from the latent, a training target only, which keeps small wrist motions in the latent.

Optional: slow dimensions. Of two things that are equally predictable the loss has no preference, and an arm fills more of
the picture than a cube. Slow feature analysis (Wiskott and Sejnowski, Neural Computation 2002) has one: the first
``slow_dims`` dimensions shall change little within a clip and be Gaussian over clips. That leaves them what stays while the
arm moves: where things lie.
"""

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jepa_ros.errors import JepaError
from jepa_ros.world_model.collapse import Across, alone, sigreg, vicreg
from jepa_ros.world_model.model import WorldModel
from jepa_ros.world_model.prior import free_energy

ANTI_COLLAPSE = ("sigreg", "vicreg", "ema")
LOSS_TERMS = (
    "regulariser",
    "one_step",
    "multi_step",
    "proprio",
    "joint_head",
    "views",
    "slow",
    "slow_regulariser",
)


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss terms; ``anti_collapse`` is one of sigreg, vicreg, ema (target network, stop-gradient).

    unroll: blocks that the multi-step loss imagines open loop; 0: to the end of the clip, 1: there is no such loss.
    z_price: of a nat that z tells of the next frame, in units of the squared error (a model with codes, see prior.py).
    slow_dims: how many dimensions of the latent are slow, 0 for none.  slow: weight of their variance within a clip.
    slow_regulariser: of SIGReg on them alone.
    """

    anti_collapse: str = "sigreg"
    regulariser: float = 1.0
    one_step: float = 1.0
    multi_step: float = 1.0
    proprio: float = 1.0
    joint_head: float = 1.0
    views: float = 1.0
    z_price: float = 0.01
    ema_decay: float = 0.996
    projections: int = 128
    unroll: int = 0
    slow_dims: int = 0
    slow: float = 3.0
    slow_regulariser: float = 10.0

    def __post_init__(self):
        if self.anti_collapse not in ANTI_COLLAPSE:
            raise JepaError(
                f"unknown anti_collapse {self.anti_collapse!r}; known: {', '.join(ANTI_COLLAPSE)}"
            )
        for name in LOSS_TERMS:
            if not 0 <= getattr(self, name) < math.inf:
                raise JepaError(
                    f"weight of the loss term {name} is {getattr(self, name)}; it must be finite, not negative"
                )
        if not 0 < self.z_price < math.inf:
            raise JepaError(f"training z_price is {self.z_price}; it must be positive")
        if self.unroll < 0:
            raise JepaError(f"training unroll is {self.unroll}; it must not be negative")
        if self.slow_dims < 0:
            raise JepaError(f"slow_dims is {self.slow_dims}; it must be 0 (none) or more")


class TargetEncoder(nn.Module):
    """An exponential moving average of the encoder (BYOL, I-JEPA), for ``anti_collapse='ema'``."""

    def __init__(self, encoder: nn.Module, decay: float):
        super().__init__()
        self.encoder = copy.deepcopy(encoder).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, encoder: nn.Module) -> None:
        """target <- decay * target + (1 - decay) * encoder; once after every optimiser step."""
        for mine, theirs in zip(self.encoder.parameters(), encoder.parameters(), strict=True):
            mine.lerp_(theirs, 1 - self.decay)

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return self.encoder(images)


def prediction_terms(
    model: WorldModel, latents: Tensor, targets: Tensor, joints: Tensor, blocks: Tensor, config: LossConfig
) -> dict[str, Tensor]:
    """The unweighted terms of the loss that ask what follows in clips of L frames: one_step, multi_step, proprio.

    latents (B, L, D) are predicted from and targets (B, L, D) predicted, joints (B, L, A) and blocks (B, L-1, KA)
    normalised: block l leads from frame l to l+1.
    """
    context, length = model.context, latents.shape[1]

    # one step ahead from every real window of T frames
    def windowed(x: Tensor) -> Tensor:
        return torch.stack([x[:, i : i + context] for i in range(length - context)], 1).flatten(0, 1)

    def one_block(seen: Tensor, moved: Tensor, done: Tensor, following: Tensor, after: Tensor):
        """The loss of latents and of joints one block ahead, and the posterior (Z, B) of codes; None without z."""
        if model.prior is None:
            latent, joint = model.predict(seen, moved, done)
            return F.mse_loss(latent, following), F.mse_loss(joint, after), None
        ahead_latents, ahead_joints = model.predict_codes(seen, moved, done)
        errors = (ahead_latents - following).pow(2).mean(-1)
        energy, posterior = free_energy(errors, model.prior(seen, moved, done), config.z_price)
        joint_errors = (ahead_joints - after).pow(2).mean(-1)
        return energy.mean(), (posterior * joint_errors).sum(0).mean(), posterior

    one_step, proprio_loss, _ = one_block(
        windowed(latents),
        windowed(joints),
        windowed(blocks),
        targets[:, context:].flatten(0, 1),
        joints[:, context:].flatten(0, 1),
    )

    terms = {"one_step": one_step}
    if config.unroll != 1:  # open loop from the first window on
        ahead = blocks[:, context - 1 :][:, : config.unroll or None]
        energies: list[Tensor] = []

        def infer(step: int, seen: Tensor, moved: Tensor, done: Tensor) -> Tensor | None:
            """The code that fits what followed in the clip best: what came, came."""
            if model.prior is None:
                return None
            at = context + step
            energy, _, posterior = one_block(seen, moved, done, targets[:, at], joints[:, at])
            energies.append(energy)
            return F.one_hot(posterior.argmax(0), model.codes).to(seen)

        rolled, rolled_joints = model.unroll(
            latents[:, :context], joints[:, :context], blocks[:, : context - 1], ahead, infer
        )
        reached = slice(context, context + ahead.shape[1])
        terms["multi_step"] = (
            torch.stack(energies).mean() if energies else F.mse_loss(rolled, targets[:, reached])
        )
        proprio_loss = 0.5 * (proprio_loss + F.mse_loss(rolled_joints, joints[:, reached]))
    terms["proprio"] = proprio_loss
    return terms


def jepa_loss(
    model: WorldModel,
    images: Tensor,
    proprio: Tensor,
    actions: Tensor,
    config: LossConfig,
    target: TargetEncoder | None = None,
    generator: torch.Generator | None = None,
    autocast: torch.dtype | None = None,
    two_views: bool = False,
    across: Across = alone,
) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """The loss over clips of L frames, one block apart.

    images (B, L, h, w, 3) uint8, proprio (B, L, A) rad, actions (B, L-1, KA) rad: block l leads from frame l to l+1.
    two_views: the second half of the clips are the first once more, seen otherwise; their latents are drawn to those of
    the first, which do not give way.
    autocast: the dtype in which the encoders run; predictor and regularisers stay in float32.
    across: joins the regulariser's statistics of several processes; the other terms are means over these clips.
    Returns the scalar loss, its unweighted terms, and the latents (B * L, D), detached.
    """
    batch, length = images.shape[:2]
    frames = images.flatten(0, 1)
    with torch.autocast(images.device.type, dtype=autocast, enabled=autocast is not None):
        latents = model.encode(frames)
        targets = latents if target is None else target(frames)
    latents, targets = (x.float().unflatten(0, (batch, length)) for x in (latents, targets))
    joints = model.normalise_proprio(proprio)
    blocks = model.normalise_actions(actions)

    terms = prediction_terms(model, latents, targets, joints, blocks, config)
    flat = latents.flatten(0, 1)
    terms["joint_head"] = F.mse_loss(model.joint_head(flat), joints.flatten(0, 1))
    if two_views:
        seen, otherwise = latents.chunk(2)
        terms["views"] = F.mse_loss(otherwise, seen.detach())
    if config.anti_collapse == "sigreg":
        terms["regulariser"] = sigreg(flat, config.projections, generator=generator, across=across)
    elif config.anti_collapse == "vicreg":
        terms["regulariser"] = vicreg(flat, across)
    if config.slow_dims:
        slow = latents[..., : config.slow_dims]
        terms["slow"] = slow.var(1, unbiased=False).mean()
        terms["slow_regulariser"] = sigreg(
            slow.flatten(0, 1), config.projections, generator=generator, across=across
        )
    loss = sum(getattr(config, name) * value for name, value in terms.items())
    return loss, {name: value.detach() for name, value in terms.items()}, flat.detach()
