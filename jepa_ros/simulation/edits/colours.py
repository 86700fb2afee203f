"""Colours and the table's texture."""

from collections.abc import Callable

import numpy as np

from jepa_ros.simulation.engine import mujoco
from jepa_ros.simulation.scene import CUBE, LINK_COLOURS, TABLE

Mix = Callable[[np.random.Generator, np.ndarray, float], np.ndarray]
"""(rng, base RGB, amount) -> (3,) RGB in 0..1, so much of the way from the base to a drawn colour."""

_TEXELS = 256
_TILE = 0.4
"""m, edge of the square that the texture repeats."""


def table_colour(spec, rng: np.random.Generator, amount: float, mix: Mix) -> None:
    """amount: share of the way from the table's colour to a drawn one."""
    _paint(spec.geom(TABLE), rng, amount, mix)


def cube_colour(spec, rng: np.random.Generator, amount: float, mix: Mix) -> None:
    """The same for the cube."""
    _paint(spec.geom(CUBE), rng, amount, mix)


def arm_colour(spec, rng: np.random.Generator, amount: float, mix: Mix) -> None:
    """The same for every link of the arm, each towards a colour of its own; motors stay black."""
    drawn = {link: mix(rng, base, amount) for link, base in LINK_COLOURS.items()}
    for geom in spec.geoms:
        link = geom.parent.name
        if link in drawn and np.allclose(geom.rgba, LINK_COLOURS[link]):
            geom.rgba = [*drawn[link], 1]


def background_texture(spec, rng: np.random.Generator, amount: float, mix: Mix) -> None:
    """A drawn pattern on the table. amount: share of the way to a drawn colour, where the pattern is strongest."""
    table = spec.geom(TABLE)
    pattern = _PATTERNS[rng.integers(len(_PATTERNS))](rng)
    weight = pattern[..., None]
    colours = (1 - weight) * table.rgba[:3] + weight * mix(rng, table.rgba, amount)
    texture = spec.add_texture(
        name="shift", type=mujoco.mjtTexture.mjTEXTURE_2D, width=_TEXELS, height=_TEXELS, nchannel=3
    )
    texture.data = np.round(255 * colours).astype(np.uint8).tobytes()
    material = spec.add_material(name="shift", texrepeat=[1 / _TILE] * 2, texuniform=True, specular=0.0)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "shift"
    table.material, table.rgba = "shift", [1, 1, 1, 1]


def _paint(geom, rng: np.random.Generator, amount: float, mix: Mix) -> None:
    geom.rgba = [*mix(rng, geom.rgba, amount), 1]


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Turns (T, T) each, 0 to 1 over the tile."""
    return tuple(np.meshgrid(*[np.arange(_TEXELS) / _TEXELS] * 2))


def _checks(rng: np.random.Generator) -> np.ndarray:
    """(T, T) in 0..1, as all patterns; every one meets itself at the tile's edges."""
    x, y = _grid()
    count = 2 * rng.integers(2, 5)
    return ((np.floor(count * x) + np.floor(count * y)) % 2).astype(float)


def _stripes(rng: np.random.Generator) -> np.ndarray:
    x, y = _grid()
    across, along = rng.choice([[6, 0], [0, 6], [4, 3], [3, -4], [8, 2]])
    return (np.sin(2 * np.pi * (across * x + along * y)) > 0).astype(float)


def _spots(rng: np.random.Generator) -> np.ndarray:
    count = rng.integers(4, 8)
    x, y = (count * values % 1 - 0.5 for values in _grid())
    return (np.hypot(x, y) < 0.3).astype(float)


def _clouds(rng: np.random.Generator) -> np.ndarray:
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(_TEXELS, 1 / _TEXELS)] * 2))
    spectrum = np.fft.fft2(rng.standard_normal((_TEXELS, _TEXELS))) * np.exp(-((frequency / 6) ** 2))
    smooth = np.fft.ifft2(spectrum).real
    return (smooth - smooth.min()) / np.ptp(smooth)


_PATTERNS = (_checks, _stripes, _spots, _clouds)
