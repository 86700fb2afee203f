"""The statistics that LeRobot keeps of every feature, of an episode and of the dataset."""

from collections.abc import Sequence

import numpy as np

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
MAX_IMAGES, MAX_PIXELS = 100, 150
Statistics = dict[str, np.ndarray]


def column_statistics(values: np.ndarray) -> Statistics:
    """min, max, mean, std and quantiles (n,) over the rows of (L,) or (L, n); count (1,) is L."""
    values = np.asarray(values, np.float64).reshape(len(values), -1)
    return _statistics(values, len(values))


def image_statistics(images: Sequence[np.ndarray]) -> Statistics:
    """The same of each channel (3, 1, 1) in 0..1, over some (h, w, 3) uint8 images; count is their number."""
    step = [max(1, round(max(image.shape[:2]) / MAX_PIXELS)) for image in images]
    pixels = [image[::s, ::s].reshape(-1, 3) for image, s in zip(images, step, strict=True)]
    found = _statistics(np.concatenate(pixels) / 255.0, len(images))
    return {name: v if name == "count" else v.reshape(3, 1, 1) for name, v in found.items()}


def image_samples(frames: int) -> set[int]:
    """The frames whose images the statistics are of, spread evenly."""
    return set(np.linspace(0, frames - 1, min(frames, MAX_IMAGES)).astype(int).tolist())


def combine(parts: Sequence[Statistics]) -> Statistics:
    """Of all the data, from its parts; exact but for the quantiles, which are means weighted by count."""
    counts = np.array([part["count"][0] for part in parts], np.float64)
    share = counts / counts.sum()

    def mean_of(values: list[np.ndarray]) -> np.ndarray:
        return np.tensordot(share, np.stack(values), 1)

    mean = mean_of([p["mean"] for p in parts])
    variance = mean_of([p["std"] ** 2 + (p["mean"] - mean) ** 2 for p in parts])
    return {
        "min": np.min([p["min"] for p in parts], axis=0),
        "max": np.max([p["max"] for p in parts], axis=0),
        "mean": mean,
        "std": np.sqrt(variance),
        "count": np.array([int(counts.sum())]),
        **{name: mean_of([p[name] for p in parts]) for name in QUANTILES},
    }


def _statistics(rows: np.ndarray, count: int) -> Statistics:
    quantiles = np.quantile(rows, list(QUANTILES.values()), axis=0)
    return {
        "min": rows.min(0),
        "max": rows.max(0),
        "mean": rows.mean(0),
        "std": rows.std(0),
        "count": np.array([count]),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }
