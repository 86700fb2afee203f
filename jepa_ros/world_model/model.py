"""The JEPA: encoder, action-conditioned predictor, latent rollouts.

One latent token per frame (LeWorldModel, arXiv 2603.19312), a proprioception embedding beside it, actions in blocks
of K. Prediction happens in representation space alone; there is no decoder of images.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.images import resize
from jepa_ros.errors import JepaError
from jepa_ros.world_model.encoders import build_encoder
from jepa_ros.world_model.futures import Futures
from jepa_ros.world_model.predictor import Predictor
from jepa_ros.world_model.prior import Prior, pick

MOST_CODES = 64
"""In training every transition is predicted once for each."""


@dataclass(frozen=True)
class ModelConfig:
    """The architecture. image_size: (h, w). context: T, the real frames that a rollout starts from.

    proprioception: whether the predictor sees joint positions; it predicts how they change in any case.
    codes: Z, of the latent variable z, which give different futures for the same action (prior.py); 0: none, one future.
    """

    encoder: str = "conv"
    image_size: tuple[int, int] = (64, 64)
    latent_dim: int = 64
    context: int = 2
    predictor_width: int = 384
    predictor_depth: int = 2
    proprioception: bool = True
    codes: int = 0

    def __post_init__(self):
        object.__setattr__(self, "image_size", tuple(int(v) for v in self.image_size))
        for name in ("image_size", "latent_dim", "predictor_width", "predictor_depth"):
            if np.min(getattr(self, name)) < 1:
                raise JepaError(f"model {name} is {getattr(self, name)}; it must be at least 1")
        if self.codes != 0 and not (isinstance(self.codes, int) and 2 <= self.codes <= MOST_CODES):
            raise JepaError(
                f"model codes is {self.codes!r}; it must be 0, for none, or from 2 to {MOST_CODES}"
            )
        if self.context < 2:
            raise JepaError(f"context is {self.context}: at least 2 real frames feed a rollout")

    def to_dict(self) -> dict:
        """A JSON-serialisable dict."""
        return asdict(self) | {"image_size": list(self.image_size)}


class WorldModel(nn.Module):
    """``encode`` a frame, ``predict`` one block ahead, ``rollout`` candidate action sequences.

    Joint positions and actions come in physical units (ActionSpec) and are z-scored inside; the statistics are
    the ActionSpec's for actions and the buffers ``proprio_mean`` and ``proprio_std`` (A,) for joint positions.

    runtime: what computes it; ``jepa_ros.export.choose`` gives models of other runtimes, called alike.
    futures: which futures ``rollout`` imagines of every candidate, where the model has a latent variable z.
    """

    runtime = "torch"

    def __init__(self, config: ModelConfig, spec: ActionSpec):
        super().__init__()
        self.config, self.spec = config, spec
        self.encoder = build_encoder(config.encoder, config.image_size, config.latent_dim)
        self.predictor = Predictor(
            config.latent_dim,
            spec.dim,
            spec.block_dim,
            config.context,
            config.predictor_width,
            config.predictor_depth,
            proprioception=config.proprioception,
            codes=config.codes,
        )
        self.joint_head = nn.Linear(config.latent_dim, spec.dim)
        sizes = config.latent_dim, spec.dim, spec.block_dim, config.context
        self.prior = Prior(*sizes, config.codes) if config.codes else None
        self.futures = Futures()
        self._drawn: dict[tuple, Tensor] = {}
        self.register_buffer("proprio_mean", torch.zeros(spec.dim))
        self.register_buffer("proprio_std", torch.ones(spec.dim))
        self.register_buffer("action_mean", torch.tensor(spec.mean).repeat(spec.block), persistent=False)
        self.register_buffer("action_std", torch.tensor(spec.std).repeat(spec.block), persistent=False)

    @property
    def latent_dim(self) -> int:
        """D."""
        return self.config.latent_dim

    @property
    def codes(self) -> int:
        """Z, of the latent variable z; 0 without one."""
        return self.config.codes

    @property
    def image_size(self) -> tuple[int, int]:
        """(h, w) of the frames that ``encode`` takes."""
        return self.config.image_size

    @property
    def context(self) -> int:
        """T, the frames that a rollout starts from."""
        return self.config.context

    @property
    def device(self) -> torch.device:
        """Where its inputs must be."""
        return self.proprio_mean.device

    def encode(self, images: Tensor) -> Tensor:
        """(B, h, w, 3) uint8 RGB at ``image_size`` -> latents (B, D)."""
        if (
            images.dtype != torch.uint8
            or images.ndim != 4
            or tuple(images.shape[1:]) != (*self.image_size, 3)
        ):
            raise JepaError(
                f"encode takes uint8 images (B, {self.image_size[0]}, {self.image_size[1]}, 3), got "
                f"{images.dtype} {tuple(images.shape)}; resize with jepa_ros.data.images.resize"
            )
        return self.encoder(images)

    @torch.inference_mode()
    def embed(self, image: np.ndarray) -> np.ndarray:
        """One camera image (H, W, 3) uint8 RGB of any size, cropped and resized -> its latent (D,) float32.

        Every node and every evaluation encodes by this one function, so that their latents are equal to the bit.
        """
        pixels = torch.tensor(resize(image, self.image_size), device=self.proprio_mean.device)
        return self.encode(pixels[None])[0].float().cpu().numpy()

    def normalise_proprio(self, proprio: Tensor) -> Tensor:
        """(..., A) rad -> z-scores."""
        return (proprio - self.proprio_mean) / self.proprio_std

    def normalise_actions(self, actions: Tensor) -> Tensor:
        """(..., KA) rad -> z-scores."""
        return (actions - self.action_mean) / self.action_std

    def predict(
        self, latents: Tensor, proprio: Tensor, actions: Tensor, z: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """One block ahead, all in normalised units: (B, T, D), (B, T, A), (B, T, KA) -> (B, D), (B, A).

        z: (B, Z) one-hot; None takes the likeliest code, where the model has codes."""
        if z is None and self.prior is not None:
            z = pick(self.prior(latents, proprio, actions), None)
        given = () if z is None else (z,)
        return self.predictor(latents, proprio, actions, *given)

    def predict_codes(self, latents: Tensor, proprio: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """``predict`` under every code: latents (Z, B, D), proprio (Z, B, A); without z as of one code."""
        if self.prior is None:
            latent, joints = self.predict(latents, proprio, actions)
            return latent[None], joints[None]
        return self.predictor.every_code(latents, proprio, actions)

    def draws(self, horizon: int) -> Tensor | None:
        """(F, H) those of ``futures``, where the model is; None without z."""
        if self.prior is None:
            return None
        key = self.futures, horizon, self.device
        if key not in self._drawn:
            with torch.inference_mode(False):  # gradients may pass by
                self._drawn[key] = torch.tensor(self.futures.draw(horizon), device=self.device)
        return self._drawn[key]

    def unroll(
        self,
        latents: Tensor,
        proprio: Tensor,
        past: Tensor,
        actions: Tensor,
        pick_z: Callable[[int, Tensor, Tensor, Tensor], Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Open loop, in normalised units: latents (B, T, D), proprio (B, T, A), past blocks (B, T-1, KA) and the
        blocks to imagine (B, H, KA) -> latents (B, H, D), proprio (B, H, A).

        pick_z: (step, latents (B, T, D), proprio (B, T, A), blocks (B, T, KA)) -> z (B, Z) of that step; None takes the
        likeliest."""
        predicted_latents, predicted_proprio = [], []
        for step in range(actions.shape[1]):
            blocks = torch.cat([past, actions[:, step : step + 1]], dim=1)
            z = None if pick_z is None else pick_z(step, latents, proprio, blocks)
            latent, joints = self.predict(latents, proprio, blocks, z)
            latents = torch.cat([latents[:, 1:], latent[:, None]], dim=1)
            proprio = torch.cat([proprio[:, 1:], joints[:, None]], dim=1)
            past = blocks[:, 1:]
            predicted_latents.append(latent)
            predicted_proprio.append(joints)
        return torch.stack(predicted_latents, 1), torch.stack(predicted_proprio, 1)

    def imagine(
        self,
        latents: Tensor,
        proprio: Tensor,
        past_actions: Tensor,
        actions: Tensor,
        draws: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """``unroll`` in physical units: latents (B, T, D), proprio (B, T, A) rad, past_actions (B, T-1, KA) rad,
        actions (B, H, KA) rad -> latents (B, H, D), joint positions (B, H, A) rad.

        draws: (B, H) in (0, 1), which code comes by chance (see Futures); None takes the likeliest."""

        def drawn(step: int, *window: Tensor) -> Tensor:
            return pick(self.prior(*window), draws[:, step])

        future, joints = self.unroll(
            latents,
            self.normalise_proprio(proprio),
            self.normalise_actions(past_actions),
            self.normalise_actions(actions),
            None if draws is None else drawn,
        )
        return future, joints * self.proprio_std + self.proprio_mean

    def imagine_candidates(
        self,
        latents: Tensor,
        proprio: Tensor,
        past_actions: Tensor,
        actions: Tensor,
        draws: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """S candidate sequences from one context, in physical units, with gradients.

        latents (T, D), proprio (T, A) rad, past_actions (T-1, KA) rad, actions (S, H, KA) rad
        -> latents (S, H, D), joint positions (S, H, A) rad. With draws (F, H), the same for every candidate:
        (F, S, H, D), (F, S, H, A).
        """
        samples = actions.shape[0]
        if draws is not None:
            count = len(draws)
            actions = actions[None].expand(count, *actions.shape).flatten(0, 1)
            draws = draws.repeat_interleave(samples, 0)

        def tile(x: Tensor) -> Tensor:
            return x[None].expand(actions.shape[0], *x.shape)

        futures, joints = self.imagine(tile(latents), tile(proprio), tile(past_actions), actions, draws)
        if draws is None:
            return futures, joints
        return futures.unflatten(0, (count, samples)), joints.unflatten(0, (count, samples))

    @torch.inference_mode()
    def rollout(
        self, latents: Tensor, proprio: Tensor, past_actions: Tensor, actions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """``imagine_candidates`` without gradients, where the model has a z in the F futures of ``futures``:
        latents ([F,] S, H, D), joint positions ([F,] S, H, A) rad."""
        return self.imagine_candidates(latents, proprio, past_actions, actions, self.draws(actions.shape[1]))
