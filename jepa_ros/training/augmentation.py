"""Photometric and geometric augmentation of clips: what a picture can suffer while the arm does the same.

A draw holds for all frames of a clip, only sensor noise is new in each: a clip that changed its colours on the way would
teach the predictor that actions do that. Hues are left nearly alone, so that those held out for evaluation stay rare: single
channels gain or lose 3 % at most, and patches have colours of training. (Gamma, and clipping in bright light, move some.)
"""

from collections.abc import Sequence

import cv2
import numpy as np

from jepa_ros.simulation.held_out import training_colour

SHARE = 0.35
"""Of clips that suffer a given change; noise and blur half as many."""
STOPS, CHANNEL, SATURATION, CONTRAST, GAMMA = 0.9, 0.03, 0.5, 0.3, 0.3
"""Greatest change of exposure (stops), single channels, saturation, contrast (shares) and gamma (powers of two)."""
TRANSLATION, ROTATION, ZOOM = 0.09, 3.0, 0.08
"""Greatest movement of the picture: share of its size, degrees, share of its size."""
NOISE = 20
"""Largest standard deviation, of 255."""
BLUR = 0.025
"""Largest standard deviation, of the height."""
PATCH = 0.08
"""Largest patch, of the picture's area."""


def augment(clips: np.ndarray, rngs: Sequence[np.random.Generator]) -> np.ndarray:
    """(B, L, h, w, 3) uint8 RGB -> as many, each clip changed in the way that its own generator gives."""
    return np.stack([_augmented(clip, rng) for clip, rng in zip(clips, rngs, strict=True)])


def _augmented(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    def some(share: float = SHARE) -> bool:
        return rng.random() < share

    height, width = clip.shape[1:3]
    if some():
        moved = _movement(height, width, rng)
        clip = [cv2.warpAffine(f, moved, (width, height), borderMode=cv2.BORDER_REPLICATE) for f in clip]
    clip = np.array(clip)
    if some():
        clip[:, _patch(height, width, rng)] = np.round(255 * training_colour(rng))
    if some():
        clip = cv2.transform(_as_picture(clip), _colours(clip, rng)).reshape(clip.shape)
    if some():
        curve = 255 * (np.arange(256) / 255) ** 2 ** rng.uniform(-GAMMA, GAMMA)
        clip = cv2.LUT(_as_picture(clip), np.round(curve).astype(np.uint8)).reshape(clip.shape)
    if some(SHARE / 2):
        sigma = rng.uniform(0.1, 1) * BLUR * height
        clip = np.stack([cv2.GaussianBlur(f, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) for f in clip])
    if some(SHARE / 2):
        noisy = rng.standard_normal(clip.shape, np.float32)
        noisy *= rng.uniform(0, NOISE)
        noisy += clip
        clip = np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)
    return clip


def _as_picture(clip: np.ndarray) -> np.ndarray:
    """(L, h, w, 3) as one picture (L * h, w, 3), for what treats all pixels alike."""
    return clip.reshape(-1, *clip.shape[2:])


def _movement(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """(2, 3): the picture shifted, turned and zoomed, as by a camera that was knocked."""
    turned = cv2.getRotationMatrix2D(
        (width / 2, height / 2), rng.uniform(-ROTATION, ROTATION), 1 + rng.uniform(-ZOOM, ZOOM)
    )
    turned[:, 2] += rng.uniform(-TRANSLATION, TRANSLATION, 2) * (width, height)
    return turned


def _patch(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """(h, w) bool: an ellipse somewhere in the picture, as of something stuck before the lens."""
    area, aspect = rng.uniform(0, PATCH) * height * width, rng.uniform(0.6, 1.6)
    semi = np.sqrt(area / np.pi * np.array([aspect, 1 / aspect])) + 0.5
    rows, columns = np.ogrid[:height, :width]
    row, column = rng.uniform(0, 1, 2) * (height, width)
    return ((rows - row) / semi[0]) ** 2 + ((columns - column) / semi[1]) ** 2 < 1


def _colours(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(3, 4), of homogeneous RGB: exposure and white balance, then saturation, then contrast about the clip's mean."""
    gain = 2 ** rng.uniform(-STOPS, STOPS) * (1 + rng.uniform(-CHANNEL, CHANNEL, 3))
    saturation = 1 + rng.uniform(-SATURATION, SATURATION)
    mixed = (saturation * np.eye(3) + (1 - saturation) / 3) @ np.diag(gain)
    contrast = 1 + rng.uniform(-CONTRAST, CONTRAST)
    middle = np.mean(mixed @ cv2.mean(_as_picture(clip))[:3])
    return np.hstack([contrast * mixed, np.full((3, 1), (1 - contrast) * middle)])
