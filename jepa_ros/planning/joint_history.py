"""Measured joint positions of the last seconds: an image is matched with the positions of its own moment."""

import threading
from collections import deque
from collections.abc import Sequence

import numpy as np

from jepa_ros.errors import JepaError

DEFAULT_TOLERANCE_S = 0.1
"""How far joint states may lie from an image's stamp, s."""


class JointHistory:
    """Thread-safe. Positions come by name, in any order and among other joints, and leave in the order of
    ``names``."""

    def __init__(self, names: Sequence[str], tolerance_s: float, length: int = 200):
        """tolerance_s: how far from a stamp the nearest sample may lie."""
        self._names, self._tolerance_ns = tuple(names), int(tolerance_s * 1e9)
        self._samples: deque[tuple[int, np.ndarray]] = deque(maxlen=length)
        self._lock = threading.Lock()

    def add(self, stamp_ns: int, names: Sequence[str], positions: Sequence[float]) -> np.ndarray:
        """Store one sample and return it, (A,) rad. JepaError where a joint is missing or a position is not
        finite."""
        index = {name: i for i, name in enumerate(names)}
        missing = [name for name in self._names if name not in index or index[name] >= len(positions)]
        if missing:
            raise JepaError(
                f"joint_states lacks {', '.join(missing)}; it has {', '.join(names) or 'no joint'}"
            )
        values = np.array([positions[index[name]] for name in self._names])
        if not np.all(np.isfinite(values)):
            raise JepaError(
                f"joint_states holds NaN or Inf: {dict(zip(self._names, values.tolist(), strict=True))}"
            )
        with self._lock:
            if self._samples and stamp_ns < self._samples[-1][0]:
                self._samples.clear()  # the clock was set back
            self._samples.append((stamp_ns, values))
        return values

    def at(self, stamp_ns: int) -> np.ndarray | None:
        """(A,) rad at a stamp: interpolated, or the nearest sample; None where that is farther than the
        tolerance."""
        with self._lock:
            samples = list(self._samples)
        after = next((i for i, (stamp, _) in enumerate(samples) if stamp >= stamp_ns), len(samples))
        near = samples[max(after - 1, 0) : after + 1]
        if not near or min(abs(stamp - stamp_ns) for stamp, _ in near) > self._tolerance_ns:
            return None
        (t0, q0), (t1, q1) = near[0], near[-1]
        share = np.clip((stamp_ns - t0) / (t1 - t0), 0.0, 1.0) if t1 > t0 else 0.0
        return (1.0 - share) * q0 + share * q1  # at a sample's own stamp exactly that sample
