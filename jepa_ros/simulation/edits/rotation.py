"""Turning vectors, and a drawn way to turn."""

import numpy as np


def about(axis, degrees: float) -> np.ndarray:
    """(3, 3) that turns by so much about the axis (3,), right-handed (Rodrigues' formula)."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def either_way(rng: np.random.Generator) -> float:
    """A factor of either sign, 0.85 to 1.15 in size."""
    return rng.choice((-1, 1)) * rng.uniform(0.85, 1.15)
