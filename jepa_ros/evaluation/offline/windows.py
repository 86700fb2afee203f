"""Where rollouts can start in tracks, and what they start from: every frame with enough recorded blocks around it."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.evaluation.offline.tracks import Track
from jepa_ros.world_model.model import WorldModel

BATCH = 1024


def longest_horizon(tracks: Sequence[Track], spec: ActionSpec, context: int) -> int:
    """The most blocks that a rollout from a full context can be compared over, in the longest track."""
    return max((max(0, (len(t) - 1) // spec.block - (context - 1)) for t in tracks), default=0)


class Windows:
    """Every frame t (stride 1) with T - 1 recorded blocks before it and ``blocks`` after it, in the same track.

    track, frame: (n,) number of the track and frame t in it. The T context frames are t - (T-1)K, ..., t - K, t.
    """

    def __init__(self, tracks: Sequence[Track], spec: ActionSpec, context: int, blocks: int):
        self.spec, self.size, self.ahead = spec, context, blocks
        before = (context - 1) * spec.block
        frames = [np.arange(before, len(t) - blocks * spec.block) for t in tracks]
        firsts = np.cumsum([0, *(len(t) for t in tracks)])[:-1]
        self.frame = np.concatenate([np.zeros(0, int), *frames])
        self.track = np.repeat(np.arange(len(tracks)), [len(f) for f in frames])
        self._at = firsts[self.track] + self.frame
        if len(self):
            self._latents = np.concatenate([t.latents for t in tracks])
            self._proprio = np.concatenate([t.proprio for t in tracks])
            self._actions = np.concatenate([t.actions for t in tracks])

    def __len__(self) -> int:
        return len(self.frame)

    def batches(self) -> Iterator[slice]:
        """The rows 0..n in pieces that fit a batch."""
        for begin in range(0, len(self), BATCH):
            yield slice(begin, begin + BATCH)

    def context(self, rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """latents (B, T, D), proprio (B, T, A) rad, recorded blocks between them (B, T-1, KA) rad."""
        steps = np.arange(1 - self.size, 1) * self.spec.block
        frames = self._at[rows, None] + steps
        return self._latents[frames], self._proprio[frames], self._blocks(rows, steps[:-1])

    def blocks(self, rows: slice) -> np.ndarray:
        """The recorded blocks that followed: (B, H, KA) rad."""
        return self._blocks(rows, np.arange(self.ahead) * self.spec.block)

    def seen(self, rows: slice) -> np.ndarray:
        """The latents that were seen after each of those blocks: (B, H, D)."""
        return self._latents[self._at[rows, None] + np.arange(1, self.ahead + 1) * self.spec.block]

    def now(self, rows: slice) -> np.ndarray:
        """The latents at the start: (B, D)."""
        return self._latents[self._at[rows]]

    def imagine(self, model: WorldModel, rows: slice, blocks: np.ndarray) -> np.ndarray:
        """Open loop from the context with blocks (B, H, KA) rad -> latents (B, H, D)."""
        latents, proprio, past = map(torch.from_numpy, self.context(rows))
        with torch.inference_mode():
            imagined, _ = model.unroll(
                latents,
                model.normalise_proprio(proprio),
                model.normalise_actions(past),
                model.normalise_actions(torch.from_numpy(blocks)),
            )
        return imagined.numpy()

    def _blocks(self, rows: slice, offsets: np.ndarray) -> np.ndarray:
        frames = self._at[rows, None, None] + offsets[:, None] + np.arange(self.spec.block)
        return self._actions[frames].reshape(len(frames), len(offsets), self.spec.block_dim)


def rms(differences: np.ndarray) -> np.ndarray:
    """Root mean square over the last axis, D: (..., D) -> (...)."""
    return np.sqrt(np.mean(np.square(differences), axis=-1))
