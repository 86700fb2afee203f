"""An episode: what the arm saw, where its joints were, and which action followed, frame by frame."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Episode:
    """L frames at the ActionSpec's rate.

    images: (L, h, w, 3) uint8 RGB.
    joint_positions: (L, A) float32 rad, measured, in ActionSpec order.
    actions: (L, A) float32 rad; actions[t] is the change of the commanded target from frame t to t + 1, the
    last is 0.
    stamps: (L,) float64 s, the source clock's.
    source: the bag it came from.  metadata: what the recorder wrote into the bag (task, seed, behaviour,
    ...).
    """

    images: np.ndarray
    joint_positions: np.ndarray
    actions: np.ndarray
    stamps: np.ndarray
    source: str = ""
    metadata: dict = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.stamps)
