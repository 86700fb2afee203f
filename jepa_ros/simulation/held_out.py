"""What evaluation keeps for itself: seeds and hues that training must not draw scenes from.

Visual shifts (jepa_ros.evaluation.shifts) draw from here only; whoever randomises scenes for training calls
``require_training_seed`` and takes colours from ``training_colour`` or ``training_mix``.
"""

import colorsys

import numpy as np

from jepa_ros.errors import JepaError

HELD_OUT_SEEDS = range(1_000_000_000, 2_000_000_000)
"""Seeds of shifted scenes."""

HELD_OUT_HUES = ((75, 105), (150, 180), (250, 280), (345, 375))
"""Degrees on the hue circle, [from, to): lime, green-blue, violet, red. No colour of the standard scene is there."""

_DRAWS, _STEPS = 1000, 17

LEAST_SATURATION = 0.15
"""Below this a colour counts as grey: it has no hue to hold out."""


def held_out_seed(seed: int) -> int:
    """The seed in HELD_OUT_SEEDS that belongs to the evaluation episode ``seed`` (0 or more)."""
    return HELD_OUT_SEEDS[seed % len(HELD_OUT_SEEDS)]


def require_training_seed(seed: int) -> int:
    """The seed itself; JepaError where it is one of evaluation's."""
    if seed in HELD_OUT_SEEDS:
        raise JepaError(
            f"seed {seed} draws scenes of the evaluation (held out: {HELD_OUT_SEEDS.start} to "
            f"{HELD_OUT_SEEDS.stop - 1}); train with a seed outside of that"
        )
    return seed


def is_held_out(rgb) -> bool:
    """Whether the colour (3,), 0..1, is one that training never draws."""
    hue, saturation, _ = colorsys.rgb_to_hsv(*map(float, rgb[:3]))
    degrees = 360 * hue
    inside = any(low <= degrees < high or low <= degrees + 360 < high for low, high in HELD_OUT_HUES)
    return saturation >= LEAST_SATURATION and inside


def held_out_colour(rng: np.random.Generator) -> np.ndarray:
    """(3,) RGB in 0..1 with a held-out hue, well saturated."""
    return _colour(rng, _hue(rng, HELD_OUT_HUES))


def training_colour(rng: np.random.Generator) -> np.ndarray:
    """(3,) RGB in 0..1 with a hue between the held-out ones."""
    edges = [edge for pair in HELD_OUT_HUES for edge in pair]
    gaps = [*zip(edges[1:-1:2], edges[2::2], strict=True), (edges[-1] - 360, edges[0])]
    return _colour(rng, _hue(rng, gaps))


def held_out_mix(rng: np.random.Generator, base, amount: float) -> np.ndarray:
    """(3,) RGB, ``amount`` of the way from ``base`` to a held-out colour."""
    return (1 - amount) * np.asarray(base[:3]) + amount * held_out_colour(rng)


def training_mix(rng: np.random.Generator, base, amount: float) -> np.ndarray:
    """(3,) RGB, ``amount`` of the way from ``base`` to a colour of training, such that no hue on the way is held out; or
    ``base`` where none was found."""
    base = np.asarray(base[:3], float)
    for _ in range(_DRAWS):
        way = base + np.linspace(0, amount, _STEPS)[:, None] * (training_colour(rng) - base)
        if not any(map(is_held_out, way[1:])):
            return way[-1]
    return base


def _hue(rng: np.random.Generator, arcs) -> float:
    """Degrees, uniform over the arcs but for one degree at their edges, where rounding would cross them."""
    lengths = np.array([high - low - 2 for low, high in arcs], float)
    chosen = rng.choice(len(arcs), p=lengths / lengths.sum())
    return float(arcs[chosen][0] + 1 + rng.uniform(0, lengths[chosen]))


def _colour(rng: np.random.Generator, degrees: float) -> np.ndarray:
    saturation, value = rng.uniform(0.55, 0.95), rng.uniform(0.45, 0.95)
    return np.array(colorsys.hsv_to_rgb(degrees / 360 % 1, saturation, value))
