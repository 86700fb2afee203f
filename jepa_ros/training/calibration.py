"""Measures what is normal for a trained model: statistics on training frames, quantiles on held-out ones."""

import numpy as np
import torch

from jepa_ros.data.dataset import ClipDataset
from jepa_ros.training.validation import encode_frames
from jepa_ros.world_model.calibration import Calibration, mahalanobis, whitening
from jepa_ros.world_model.collapse import effective_rank
from jepa_ros.world_model.joint_readout import JointReadout
from jepa_ros.world_model.model import WorldModel
from jepa_ros.world_model.quantiles import quantiles_of

FRAMES = 20_000
"""Training frames that are encoded at most, evenly spread over the data."""


def calibrate(
    model: WorldModel, train: ClipDataset, validation: ClipDataset, data_digest: str, frames: int = FRAMES
) -> Calibration:
    """Statistics of at most ``frames`` training frames; quantiles over all of ``validation``."""
    spread = np.linspace(0, len(train.images) - 1, min(frames, len(train.images))).astype(int)
    latents = encode_frames(model, train.images[spread])
    held_out = encode_frames(model, validation.images)
    known, unknown = latents.double().cpu().numpy(), held_out.cpu().numpy()
    mean, covariance = known.mean(0), np.cov(known, rowvar=False).reshape(2 * known.shape[1:])
    return Calibration(
        latent_mean=mean,
        latent_covariance=covariance,
        effective_rank=effective_rank(latents),
        ood_quantiles=quantiles_of(mahalanobis(unknown, mean, whitening(covariance))),
        surprise_quantiles=quantiles_of(surprise(model, held_out, validation)),
        frames=len(spread),
        data_digest=data_digest,
        joint_readout=JointReadout.fit(known, train.proprio[spread], (unknown, validation.proprio)),
    )


@torch.inference_mode()
def surprise(model: WorldModel, latents: torch.Tensor, clips: ClipDataset, batch: int = 4096) -> np.ndarray:
    """(N,) root mean square over D of predicted - observed latent one block ahead, at every start in
    ``clips``; of the futures that a rollout imagines the nearest counts, as in planning.

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
        known = seen[:, :-1], proprio[:, :-1].to(device), *blocks.to(device).split((model.context - 1, 1), 1)
        draws = [draw.expand(len(seen), 1) for draw in model.draws(1)] if model.codes else [None]
        futures = torch.stack([model.imagine(*known, draw)[0][:, 0] for draw in draws])
        found.append((futures - seen[:, -1]).pow(2).mean(-1).sqrt().amin(0))
    return torch.cat(found).cpu().numpy()
