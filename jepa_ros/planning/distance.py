"""How far an image is from the goal, in the unit of the goal tolerance."""

import numpy as np


def latent_distance(latent: np.ndarray, goal: np.ndarray) -> float:
    """Root-mean-square difference of two latents (D,), dimensionless, as in the cost term goal_distance."""
    return float(np.sqrt(np.mean(np.square(np.asarray(latent, dtype=np.float64) - goal))))
