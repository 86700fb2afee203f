"""Measures what is normal for a trained model: statistics on training frames, quantiles on held-out ones."""

import numpy as np
import torch

from jepa_ros.data.dataset import ClipDataset
from jepa_ros.training.validation import encode_frames
from jepa_ros.world_model.calibration import Calibration, mahalanobis, quantiles_of, whitening
from jepa_ros.world_model.collapse import effective_rank
from jepa_ros.world_model.model import WorldModel

FRAMES = 20_000
"""Training frames that are encoded at most, evenly spread over the data."""


def calibrate(
    model: WorldModel, train: ClipDataset, validation: ClipDataset, data_digest: str, frames: int = FRAMES
) -> Calibration:
    """Statistics of at most ``frames`` training frames; quantiles over all of ``validation``."""
    spread = np.linspace(0, len(train.images) - 1, min(frames, len(train.images))).astype(int)
    latents = encode_frames(model, train.images[spread])
    held_out = encode_frames(model, validation.images)
    known = latents.double().cpu().numpy()
    mean, covariance = known.mean(0), np.cov(known, rowvar=False).reshape(2 * known.shape[1:])
    return Calibration(
        latent_mean=mean,
        latent_covariance=covariance,
        effective_rank=effective_rank(latents),
        ood_quantiles=quantiles_of(mahalanobis(held_out.cpu().numpy(), mean, whitening(covariance))),
        surprise_quantiles=quantiles_of(surprise(model, held_out, validation)),
        frames=len(spread),
        data_digest=data_digest,
    )


@torch.inference_mode()
def surprise(model: WorldModel, latents: torch.Tensor, clips: ClipDataset, batch: int = 4096) -> np.ndarray:
    """(N,) root mean square over D of predicted - observed latent one block ahead, at every start in
    ``clips``; of several codes' futures the nearest counts.

    latents (M, D): those of ``clips.images``.
    """
    clips, device = clips.shortened(model.context + 1), latents.device
    found = []
    for first in range(0, len(clips.starts), batch):
        starts = clips.starts[first : first + batch, None]
        frames = torch.from_numpy(starts + clips.frame_offsets)
        seen, proprio = latents[frames.to(device)], torch.from_numpy(clips.proprio[frames])
        blocks = torch.from_numpy(clips.actions[starts + clips.action_offsets]).reshape(
            len(starts), model.context, -1
        )
        predicted, _ = model.predict_codes(
            seen[:, :-1],
            model.normalise_proprio(proprio[:, :-1].to(device)),
            model.normalise_actions(blocks.to(device)),
        )
        found.append((predicted - seen[:, -1]).pow(2).mean(-1).sqrt().amin(0))
    return torch.cat(found).cpu().numpy()
