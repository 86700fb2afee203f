"""Which camera images need no encoding, because they hardly differ from the one that was encoded last."""

import numpy as np

CELLS = 16
"""Cells per side of the picture. Small cells see a small motion, large ones average more sensor noise: at 64x64 a cell
is 4x4 pixels. benchmarks/frame_skip.py measures what a threshold hides."""

THRESHOLD = 2.0
"""Of the encoder node, by default."""


def largest_change(before: np.ndarray, after: np.ndarray) -> float:
    """Between two ``cells``: how much the mean of a cell changed at most in one colour, 0 .. 255."""
    return float(np.abs(after - before).max())


def cells(image: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 RGB -> (CELLS, CELLS, 3) float32, mean colours."""
    import cv2

    return cv2.resize(image.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA)


class FrameSkip:
    """Compares images with the one that was encoded last, never with one that was skipped: changes do not add up unseen.

    The very same picture is skipped for ever: its latent is the same. One that changed less than the threshold is
    skipped for less than ``longest_s``, so that a slow change is not hidden for long, and so that two looks that lie
    further apart than that have the same latent only where the camera repeats its picture (the surprise gate takes that
    for a frozen image).

    same: whether the last image that may be skipped was the very same picture, so that its latent is its own.
    """

    def __init__(self, threshold: float, longest_s: float):
        """threshold: largest change, see ``largest_change``; 0: every image is encoded.  longest_s: by the stamps."""
        self.threshold, self.longest_s, self.same = threshold, longest_s, False
        self._encoded: tuple[np.ndarray, np.ndarray, float] | None = None  # image, its cells, stamp

    def may_skip(self, image: np.ndarray, stamp: float) -> bool:
        """Whether the latent of the last encoded image stands for ``image`` (h, w, 3) uint8 of time ``stamp``, s."""
        if not self.threshold or self._encoded is None:
            return False
        encoded, before, since = self._encoded
        self.same = np.array_equal(image, encoded)
        if self.same:
            return True
        recent = since < stamp < since + self.longest_s
        return recent and largest_change(before, cells(image)) < self.threshold

    def encoded(self, image: np.ndarray, stamp: float) -> None:
        """``image`` is the one that was encoded last."""
        if self.threshold:
            self._encoded = image, cells(image), stamp
