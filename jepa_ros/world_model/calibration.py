"""What is normal for a trained model: statistics of its latents, quantiles of scores on held-out data. No torch."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.world_model.joint_readout import JointReadout
from jepa_ros.world_model.quantiles import require_quantiles

CALIBRATION = "calibration.json"
RIDGE = 1e-5
"""Added to the covariance's eigenvalues, as a share of the mean variance: rounding must not decide about
directions that the training data hardly use."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Yardsticks for latents and predictions of one model.

    latent_mean (D,), latent_covariance (D, D): of training latents.  effective_rank: of the same.
    ood_quantiles: QUANTILES -> that quantile of ``ood_score`` of held-out latents.
    surprise_quantiles: QUANTILES -> that quantile of the surprise on held-out clips: the root mean square
    over D of predicted - observed latent, one block ahead.
    frames: training frames behind the statistics.  data_digest: of the bags they came from.
    joint_readout: where a latent shows the arm; None in calibrations from before there was one.
    """

    latent_mean: np.ndarray
    latent_covariance: np.ndarray
    effective_rank: float
    ood_quantiles: Mapping[str, float]
    surprise_quantiles: Mapping[str, float]
    frames: int
    data_digest: str
    joint_readout: JointReadout | None = None

    def __post_init__(self):
        for name in ("latent_mean", "latent_covariance"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))
        self._validate()

    @property
    def latent_dim(self) -> int:
        """D."""
        return len(self.latent_mean)

    def ood_score(self, latents: np.ndarray) -> np.ndarray:
        """Latents (N, D) -> (N,): Mahalanobis distance to the training latents / sqrt(D).

        Its root mean square over training latents is 1, a little less where their spectrum falls below RIDGE.
        """
        return mahalanobis(latents, self.latent_mean, self._whitening)

    def require_joints(self, joints: int) -> None:
        """JepaError where its readout is of an arm of another number of joints."""
        read = joints if self.joint_readout is None else len(self.joint_readout.bias)
        if read != joints:
            raise JepaError(f"calibration: joint_readout reads {read} joints, the arm has {joints}")

    @cached_property
    def _whitening(self) -> np.ndarray:
        return whitening(self.latent_covariance)

    def to_dict(self) -> dict:
        """A JSON-serialisable dict, floats rounded to 7 significant digits."""
        return {
            "data_digest": self.data_digest,
            "frames": self.frames,
            "effective_rank": _round(self.effective_rank),
            "ood_quantiles": {k: _round(v) for k, v in self.ood_quantiles.items()},
            "surprise_quantiles": {k: _round(v) for k, v in self.surprise_quantiles.items()},
            "latent_mean": [_round(v) for v in self.latent_mean],
            "latent_covariance": [[_round(v) for v in row] for row in self.latent_covariance],
            **({} if self.joint_readout is None else {"joint_readout": self.joint_readout.to_dict()}),
        }

    @classmethod
    def from_dict(cls, values: dict) -> "Calibration":
        """The inverse of to_dict; JepaError names what is missing or wrong."""
        try:
            return cls(
                np.array(values["latent_mean"], np.float64),
                np.array(values["latent_covariance"], np.float64),
                float(values["effective_rank"]),
                {str(k): float(v) for k, v in values["ood_quantiles"].items()},
                {str(k): float(v) for k, v in values["surprise_quantiles"].items()},
                int(values["frames"]),
                str(values["data_digest"]),
                JointReadout.from_dict(values["joint_readout"]) if "joint_readout" in values else None,
            )
        except KeyError as error:
            raise JepaError(f"calibration: {error} is missing") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise JepaError(f"calibration: {error}") from error

    def _validate(self) -> None:
        def need(ok: bool, what: str):
            if not ok:
                raise JepaError(f"calibration: {what}")

        covariance, readout = self.latent_covariance, self.joint_readout
        need(self.latent_mean.ndim == 1 and self.latent_mean.size > 0, "latent_mean is not a vector")
        need(
            covariance.shape == (self.latent_dim,) * 2,
            f"latent_covariance has shape {covariance.shape} for a latent_mean of {self.latent_dim}",
        )
        need(
            bool(np.isfinite(self.latent_mean).all() and np.isfinite(covariance).all()),
            "latent_mean or latent_covariance holds NaN or Inf",
        )
        scale = float(np.abs(covariance).max())
        need(
            bool(np.allclose(covariance, covariance.T, rtol=0, atol=1e-6 * scale)),
            "latent_covariance is not symmetric",
        )
        lowest = float(np.linalg.eigvalsh(covariance)[0])
        need(
            lowest >= -1e-4 * scale,
            f"latent_covariance is not one: its lowest eigenvalue is {lowest:.3g}",
        )
        need(math.isfinite(self.effective_rank), f"effective_rank is {self.effective_rank}")
        require_quantiles("ood_quantiles", self.ood_quantiles)
        require_quantiles("surprise_quantiles", self.surprise_quantiles)
        need(
            readout is None or len(readout.weight) == self.latent_dim,
            f"joint_readout reads latents of {readout and len(readout.weight)}, latent_mean has {self.latent_dim}",
        )


def read_calibration(checkpoint: str | Path) -> tuple[str, Calibration] | None:
    """model_id and content of ``checkpoint``/calibration.json; None where there is no such file.

    JepaError where the file is damaged. Whether the weights are still those of model_id is not looked at:
    compare it with the encoder_id of the latents to judge.
    """
    file = Path(checkpoint) / CALIBRATION
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text())
        return str(content["model_id"]), Calibration.from_dict(content)
    except (OSError, ValueError, KeyError, TypeError, JepaError) as error:
        raise JepaError(
            f"checkpoint {file}: not readable ({error}); make it again: `jepa calibrate`"
        ) from error


def whitening(covariance: np.ndarray) -> np.ndarray:
    """(D, D): offsets from the mean @ it have unit covariance; eigenvalues below zero, by rounding, are 0."""
    values, vectors = np.linalg.eigh(covariance)
    ridge = RIDGE * np.trace(covariance) / len(covariance) + np.finfo(np.float32).tiny
    return vectors / np.sqrt(np.maximum(values, 0) + ridge)


def mahalanobis(latents: np.ndarray, mean: np.ndarray, whitening: np.ndarray) -> np.ndarray:
    """Mahalanobis distances / sqrt(D) of latents (N, D) -> (N,)."""
    offsets = np.asarray(latents, np.float64) - mean
    return np.sqrt(np.mean((offsets @ whitening) ** 2, axis=-1))


def _round(value: float) -> float:
    return float(f"{value:.7g}")
