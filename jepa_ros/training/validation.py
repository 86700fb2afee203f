"""What a trained model is worth on clips it never saw, and the latent distance that means "there"."""

import sys

import numpy as np
import torch
from torch import Tensor

from jepa_ros.data.dataset import ClipDataset
from jepa_ros.training.config import TrainingConfig
from jepa_ros.world_model.collapse import latent_health
from jepa_ros.world_model.losses import jepa_loss
from jepa_ros.world_model.model import WorldModel

_FEW = 4  # frames
_UNKNOWN = 0.1


@torch.inference_mode()
def validate(
    model: WorldModel, clips: ClipDataset, config: TrainingConfig, batches: int = 16
) -> dict[str, float]:
    """Loss terms, latent health, the error of copying the last frame, and joint read-out error, over random clips."""
    rng, rows, latents = np.random.default_rng(0), [], []
    for _ in range(batches):
        images, proprio, actions = (x.to(config.device) for x in clips.sample(config.batch, rng))
        _, terms, flat = jepa_loss(model, images, proprio, actions, config.loss)
        z = flat.unflatten(0, proprio.shape[:2])
        read = model.joint_head(flat) * model.proprio_std + model.proprio_mean
        start, future = z[:, model.context - 1 : model.context], z[:, model.context :]
        rows.append(
            {
                **{k: v.item() for k, v in terms.items()},
                "copy_last_frame": (future - start).pow(2).mean().item(),
                "joint_error_rad": (read - proprio.flatten(0, 1)).abs().mean().item(),
            }
        )
        latents.append(flat)
    return {f"validation_{k}": float(np.mean([r[k] for r in rows])) for k in rows[0]} | latent_health(
        torch.cat(latents)
    )


@torch.inference_mode()
def goal_tolerance(model: WorldModel, clips: ClipDataset, radius: float = 0.06, frames: int = 4000) -> float:
    """The median latent distance (root mean square over D) between held-out frames of an episode whose joints differ by about
    ``radius``: largest joint difference in [radius / 2, radius] rad, within a few frames of one another, or within more
    where an arm is slow. _UNKNOWN, with a word on stderr, where none moves as far."""
    stop = max(1, len(clips.images) - 8)
    first = np.random.default_rng(0).integers(stop, size=min(frames, stop))
    left = clips.ends_of(first) - 1 - first
    distances, gap = [], 1
    while gap <= left.max() and (gap <= _FEW or not distances):
        begin = first[gap <= left]
        apart = np.abs(clips.proprio[begin] - clips.proprio[begin + gap]).max(1)
        begin = begin[(apart >= radius / 2) & (apart <= radius)]
        if len(begin):
            seen, later = (encode_frames(model, clips.images[at]) for at in (begin, begin + gap))
            distances.append(_distance(seen, later))
        gap *= 2
    if not distances:
        print(
            f"goal tolerance: no held-out episode moves a joint by {radius / 2:g} to {radius:g} rad, so that {_UNKNOWN} is "
            "taken; say what counts as reached with every goal (`tolerance`)",
            file=sys.stderr,
        )
        return _UNKNOWN
    return float(torch.cat(distances).median())


@torch.inference_mode()
def encode_frames(model: WorldModel, images: np.ndarray) -> Tensor:
    """Latents (N, D) of images (N, h, w, 3) uint8, on the model's device, batch by batch."""
    device = model.proprio_mean.device
    return torch.cat(
        [model.encode(torch.from_numpy(images[i : i + 512]).to(device)) for i in range(0, len(images), 512)]
    )


def _distance(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).pow(2).mean(-1).sqrt()
