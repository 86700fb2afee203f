"""How far an image is from the goal, in the unit of the goal tolerance."""

import numpy as np


def latent_distance(latent: np.ndarray, goal: np.ndarray) -> float:
    """Root-mean-square difference of two latents (D,), dimensionless, as in the cost term goal_distance."""
    return float(np.sqrt(np.mean(np.square(np.asarray(latent, dtype=np.float64) - goal))))


def nearest(futures: np.ndarray, latent: np.ndarray) -> np.ndarray:
    """Of latents (F, D) the one (D,) nearest to ``latent`` (D,); a single one (D,) is itself."""
    if futures.ndim == 1:
        return futures
    return futures[np.argmin([latent_distance(latent, future) for future in futures])]
