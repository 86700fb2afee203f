"""Where a picture shows the arm: joints read from its latent, and how well they fit the measured ones. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.world_model.quantiles import quantiles_of, require_quantiles

RIDGE = 1e-5
"""Added to the latents' covariance, as a share of its mean variance."""
FINEST = 1e-3
"""rad; no joint counts as known better than this."""


@dataclass(frozen=True, eq=False)
class JointReadout:
    """A linear map from latents to joint positions, by least squares.

    weight (D, A), bias (A,): rad.  spread (A,): root mean square error on the frames it was fitted to, rad.
    quantiles: QUANTILES -> that quantile of ``error`` on held-out frames.
    """

    weight: np.ndarray
    bias: np.ndarray
    spread: np.ndarray
    quantiles: Mapping[str, float]

    def __post_init__(self):
        for name in ("weight", "bias", "spread"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))
        joints = self.bias.shape
        if (
            self.weight.ndim != 2
            or self.bias.ndim != 1
            or (self.weight.shape[1:], self.spread.shape) != (joints, joints)
        ):
            raise JepaError(
                f"calibration: joint_readout has weight {self.weight.shape}, bias {joints} and spread "
                f"{self.spread.shape}; they are (D, A), (A,) and (A,)"
            )
        if not all(np.isfinite(part).all() for part in (self.weight, self.bias, self.spread)):
            raise JepaError("calibration: joint_readout holds NaN or Inf")
        if not (self.spread > 0).all():
            raise JepaError(f"calibration: joint_readout's spread must be positive: {self.spread.tolist()}")
        require_quantiles("joint_readout's quantiles", self.quantiles)

    @classmethod
    def fit(
        cls, latents: np.ndarray, joints: np.ndarray, held_out: tuple[np.ndarray, np.ndarray]
    ) -> "JointReadout":
        """To latents (N, D) and joints (N, A) rad of the same frames; quantiles are those of ``held_out``, the same of
        other frames."""
        latents, joints = np.asarray(latents, np.float64), np.asarray(joints, np.float64)
        mean, centre = latents.mean(0), joints.mean(0)
        offsets = latents - mean
        covariance = offsets.T @ offsets / len(offsets)
        ridge = RIDGE * np.trace(covariance) / len(covariance) + np.finfo(np.float32).tiny
        weight = np.linalg.solve(
            covariance + ridge * np.eye(len(covariance)), offsets.T @ (joints - centre) / len(offsets)
        )
        misses = offsets @ weight + centre - joints
        spread = np.maximum(np.sqrt(np.mean(misses**2, axis=0)), FINEST)
        fitted = cls(weight, centre - mean @ weight, spread, quantiles_of(np.zeros(1)))
        return cls(fitted.weight, fitted.bias, spread, quantiles_of(fitted.error(*held_out)))

    def error(self, latents: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Latents (N, D), measured joints (N, A) rad -> (N,) root mean square over joints of how far the picture shows
        them from where they were measured, in spreads. About 1 where it shows the arm."""
        misses = np.asarray(latents, np.float64) @ self.weight + self.bias - joints
        return np.sqrt(np.mean((misses / self.spread) ** 2, axis=-1))

    def to_dict(self) -> dict:
        """A JSON-serialisable dict, floats rounded to 7 significant digits."""
        parts = {"weight": self.weight.tolist(), "bias": self.bias.tolist(), "spread": self.spread.tolist()}
        return _rounded(parts | {"quantiles": dict(self.quantiles)})

    @classmethod
    def from_dict(cls, values: dict) -> "JointReadout":
        """The inverse of to_dict; KeyError, TypeError, ValueError or JepaError where something is missing or wrong."""
        parts = (np.array(values[name], np.float64) for name in ("weight", "bias", "spread"))
        return cls(*parts, {str(k): float(v) for k, v in values["quantiles"].items()})


def _rounded(value):
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else float(f"{value:.7g}")
