"""What happens to the picture after the lens: (image, rng, frame_rng, amount) -> image, (H, W, 3) uint8 RGB.

rng draws the same for every frame of an episode, frame_rng anew for each. Lengths are shares of the picture's height,
so that a larger picture suffers alike.
"""

import cv2
import numpy as np

from jepa_ros.data.images import encode_compressed
from jepa_ros.simulation.held_out import held_out_colour


def noise(image: np.ndarray, rng, frame_rng, amount: float) -> np.ndarray:
    """Gaussian, independent in every pixel, channel and frame. amount: standard deviation, of 255."""
    noisy = image + amount * frame_rng.standard_normal(image.shape)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def blur(image: np.ndarray, rng, frame_rng, amount: float) -> np.ndarray:
    """Out of focus. amount: standard deviation of the Gaussian in percent of the height; the draw adds up to 10 %."""
    sigma = amount / 100 * rng.uniform(0.9, 1.1) * image.shape[0]
    return cv2.GaussianBlur(image, (0, 0), sigma)


def jpeg_quality(image: np.ndarray, rng, frame_rng, amount: float) -> np.ndarray:
    """Compressed and decompressed. amount: quality of 100; the draw changes it by up to 10 %."""
    quality = round(amount * rng.uniform(0.9, 1.1))
    data = np.frombuffer(encode_compressed(image, "jpeg", quality), np.uint8)
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def occlusion(image: np.ndarray, rng, frame_rng, amount: float) -> np.ndarray:
    """A round patch stuck before the lens at a drawn place. amount: percent of the picture's area."""
    height, width = image.shape[:2]
    colour = 255 * held_out_colour(rng)
    row, column = rng.uniform(0.25, 0.75, 2) * (height, width)
    radius = np.sqrt(amount / 100 * height * width / np.pi)
    rows, columns = np.ogrid[:height, :width]
    covered = np.clip(radius - np.hypot(rows - row, columns - column) + 0.5, 0, 1)[..., None]
    return np.round((1 - covered) * image + covered * colour).astype(np.uint8)
