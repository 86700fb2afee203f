"""An episode: what the arm saw, where its joints were, and which action followed, frame by frame."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from jepa_ros.errors import JepaError


@dataclass
class Episode:
    """L frames at the ActionSpec's rate.

    images: (L, h, w, 3) uint8 RGB.
    joint_positions: (L, A) float32 rad, measured, in ActionSpec order.
    actions: (L, A) float32 rad; actions[t] is the change of the commanded target from frame t to t + 1, the
    last is 0.
    stamps: (L,) float64 s, the source clock's.
    source: the bag it came from.  metadata: what the recorder wrote into the bag (task, seed, behaviour,
    ...).  share: of a data mixture, the one it belongs to; "" without a mixture.
    """

    images: np.ndarray
    joint_positions: np.ndarray
    actions: np.ndarray
    stamps: np.ndarray
    source: str = ""
    metadata: dict = field(default_factory=dict)
    share: str = ""

    def __len__(self) -> int:
        return len(self.stamps)


def of_behaviours(episodes: Sequence[Episode], behaviours: Sequence[str]) -> list[Episode]:
    """The episodes that `jepa collect` drove with one of ``behaviours``; JepaError where one of these has none."""
    there = {episode.metadata.get("behaviour") for episode in episodes}
    missing = [name for name in behaviours if name not in there]
    if missing:
        known = ", ".join(sorted(name for name in there if name)) or "none; only `jepa collect` notes them"
        raise JepaError(f"no episode with the behaviour {', '.join(missing)}; behaviours in these bags: {known}")
    return [episode for episode in episodes if episode.metadata.get("behaviour") in behaviours]
