"""Latent health: is the latent space in full use, and does the camera see what it saw in training?"""

from collections.abc import Sequence

import numpy as np
import torch

from jepa_ros.evaluation.offline.tracks import Track
from jepa_ros.world_model.calibration import Calibration
from jepa_ros.world_model.collapse import latent_health

QUANTILE = "0.99"


def health(tracks: Sequence[Track], calibration: Calibration | None) -> dict:
    """Effective rank (exp of the entropy of the normalised singular values), standard deviations over dimensions,
    and the out-of-distribution score sqrt((z - mean)' covariance^-1 (z - mean) / D) by the training statistics in
    the checkpoint; its threshold is the 0.99 quantile on held-out frames."""
    latents = np.concatenate([t.latents for t in tracks])
    figures = latent_health(torch.from_numpy(latents))
    found = {
        "effective_rank": figures["effective_rank"],
        "training_effective_rank": None if calibration is None else float(calibration.effective_rank),
        "latent_std": figures["latent_std"],
        "latent_std_min": figures["latent_std_min"],
        "dim": latents.shape[1],
        "ood": None,
        "series": [],
    }
    if calibration is None:
        return found
    scores = [calibration.ood_score(t.latents) for t in tracks]
    together, threshold = np.concatenate(scores), float(calibration.ood_quantiles[QUANTILE])
    found["ood"] = {
        "median": float(np.median(together)),
        "p95": float(np.percentile(together, 95)),
        "threshold": threshold,
        "share_above": float(np.mean(together > threshold)),
    }
    found["series"] = [
        {
            "bag": track.bag,
            "episode": track.index,
            "time_s": (track.stamps - track.stamps[0]).tolist(),
            "ood": score.tolist(),
        }
        for track, score in zip(tracks, scores, strict=True)
    ]
    return found
