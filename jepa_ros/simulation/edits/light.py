"""Light; the scene has it flat and without shadows."""

import numpy as np

from jepa_ros.simulation.edits.rotation import about, either_way
from jepa_ros.simulation.scene import SUN

_LOWERED = 0.15
"""Degrees that the sun sinks per degree that it goes round."""


def light_level(spec, rng: np.random.Generator, amount: float) -> None:
    """amount: stops (powers of two) up or down, all light alike."""
    factor = 2.0 ** (either_way(rng) * amount)
    sun, head = spec.light(SUN), spec.visual.headlight
    sun.diffuse = factor * np.array(sun.diffuse)
    head.ambient, head.diffuse = factor * np.array(head.ambient), factor * np.array(head.diffuse)


def light_direction(spec, rng: np.random.Generator, amount: float) -> None:
    """amount: degrees that the sun goes round the vertical, left or right; it sinks a little as well."""
    sun = spec.light(SUN)
    direction = about([0, 0, 1], either_way(rng) * amount) @ sun.dir
    sinking = np.cross([0, 0, 1], direction)
    sun.dir = about(sinking, -_LOWERED * amount) @ direction
