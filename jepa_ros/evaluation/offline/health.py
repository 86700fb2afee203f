"""Latent health: is the representation alive, and are these frames like those of training?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from jepa_ros.evaluation.offline.tracks import Track
from jepa_ros.world_model.checkpoint import Checkpoint
from jepa_ros.world_model.collapse import latent_health

QUANTILE = "0.99"
"""The threshold: this quantile of the score on frames held out of training, from the checkpoint's calibration."""


@dataclass(frozen=True)
class Health:
    """effective_rank: exp of the entropy of the latents' normalised singular values, 1 .. D.
    latent_std, latent_std_min: standard deviation over frames, mean and least over D.
    training_rank: effective rank of the training latents, NaN without calibration.
    ood: out-of-distribution score of every frame of all tracks (N,), NaN without calibration.
    threshold: of the score, NaN without calibration.
    """

    effective_rank: float
    latent_std: float
    latent_std_min: float
    dim: int
    training_rank: float
    ood: np.ndarray
    threshold: float

    @property
    def above(self) -> np.ndarray:
        """(N,) 1 where the threshold is passed, else 0; NaN without calibration."""
        return np.where(self.ood > self.threshold, 1.0, 0.0 if np.isfinite(self.threshold) else np.nan)


def health(tracks: Sequence[Track], checkpoint: Checkpoint) -> Health:
    """Score: sqrt((z - mean)^T covariance^-1 (z - mean) / D), mean and covariance of the training latents."""
    latents = np.concatenate([t.latents for t in tracks])
    figures = latent_health(torch.from_numpy(latents))
    calibration = checkpoint.calibration
    if calibration is None:
        rank, threshold, ood = float("nan"), float("nan"), np.full(len(latents), np.nan)
    else:
        rank, threshold = calibration.effective_rank, calibration.ood_quantiles[QUANTILE]
        ood = calibration.ood_score(latents)
    return Health(
        figures["effective_rank"],
        figures["latent_std"],
        figures["latent_std_min"],
        latents.shape[1],
        rank,
        ood,
        threshold,
    )
