"""Clips of frames one action block apart, cut from episodes held in memory; the torch side of the data room."""

import copy
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.episodes import Episode
from jepa_ros.data.heap import give_back
from jepa_ros.errors import JepaError

_PARTS = 16
"""In which pictures are held once: what is copied of the last two parts may lie in memory twice."""


def clip_span(length: int, spec: ActionSpec) -> int:
    """Raw frames that a clip of ``length`` frames, one block apart, reaches over."""
    return (length - 1) * spec.block + 1


class ClipDataset(Dataset):
    """Clips of L frames at a stride of K raw actions, at every raw offset of every episode.

    An item: images (L, h, w, 3) uint8, proprio (L, A) float32 rad, actions (L-1, KA) float32 rad.
    Episodes of the same motion to the bit are views of it: another camera, or another scene.
    Pictures are held once: those of the episodes are from then on parts of ``images``.
    views: of every episode all episodes of its motion, the standard scene's first.
    mixture: weight of every share; one that has no clip here is left out. Empty: all clips are drawn alike.
    """

    def __init__(
        self,
        episodes: Sequence[Episode],
        spec: ActionSpec,
        length: int,
        mixture: Mapping[str, float] | None = None,
    ):
        self.spec, self._mixture = spec, dict(mixture or {})
        span = clip_span(length, spec)
        self.offsets = np.cumsum([0, *map(len, episodes)])
        starts = [
            begin + np.arange(max(0, len(episode) - span + 1))
            for begin, episode in zip(self.offsets, episodes, strict=False)
        ]
        self.starts = np.concatenate(starts) if starts else np.zeros(0, int)
        if not len(self.starts):
            raise JepaError(
                f"no episode is long enough: a clip of {length} frames at a block of {spec.block} needs "
                f"{span} frames at {spec.rate_hz:g} Hz; record longer episodes"
            )
        self.images = _held_once(episodes, self.offsets)
        self.proprio = np.concatenate([e.joint_positions for e in episodes]).astype(np.float32)
        self.actions = np.concatenate([e.actions for e in episodes]).astype(np.float32)
        self.views = _views(episodes)
        self._shares = np.array([e.share for e in episodes])
        self._set_length(length)

    def _set_length(self, length: int) -> None:
        self.length = length
        self.frame_offsets = np.arange(length) * self.spec.block
        self.action_offsets = np.arange((length - 1) * self.spec.block)
        self._chances = self._cumulated() if self._mixture else None

    def _cumulated(self) -> np.ndarray:
        """(number of clips,) the chance that a draw is this clip or one before it."""
        shares = self._shares[self._episode_of(self.starts)]
        weights = np.zeros(len(shares))
        for name, weight in self._mixture.items():
            own = shares == name
            weights[own] = weight / max(1, own.sum())
        chances = np.cumsum(weights)
        return chances / chances[-1]

    def _episode_of(self, frames: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.offsets, frames, side="right") - 1

    def ends_of(self, frames: np.ndarray) -> np.ndarray:
        """(N,) of frames (N,): the first frame after each one's episode."""
        return self.offsets[1:][self._episode_of(frames)]

    def shortened(self, length: int) -> "ClipDataset":
        """Every clip of ``length`` frames, at most the length here, of the same episodes; arrays shared."""
        clips = copy.copy(self)
        spare = clip_span(self.length, self.spec) - clip_span(length, self.spec)
        clips.starts = np.unique(self.starts[:, None] + np.arange(spare + 1))
        clips._set_length(length)
        return clips

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        images, proprio, actions = self.batch(np.array([index]))
        return images[0], proprio[0], actions[0]

    def batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Items at ``indices`` (B,) stacked: one gather for each array."""
        return self._gather(self.starts[indices])

    def _draw(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """Indices (size,) of random clips."""
        if self._chances is None:
            return rng.integers(len(self.starts), size=size)
        return np.searchsorted(self._chances, rng.random(size), side="right")

    def _gather(self, starts: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Clips that begin at frames ``starts`` (B,)."""
        frames = starts[:, None] + self.frame_offsets
        blocks = self.actions[starts[:, None] + self.action_offsets]
        return (
            self._frames(starts),
            torch.from_numpy(self.proprio[frames]),
            torch.from_numpy(blocks.reshape(len(starts), self.length - 1, self.spec.block_dim)),
        )

    def _frames(self, starts: np.ndarray) -> Tensor:
        return torch.from_numpy(self.images[starts[:, None] + self.frame_offsets])

    def sample(
        self, size: int, rng: np.random.Generator, part: slice = slice(None)
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of a random batch of ``size`` clips those in ``part``."""
        return self.batch(self._draw(size, rng)[part])

    def sample_views(
        self, size: int, rng: np.random.Generator, part: slice = slice(None)
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of a random batch of ``size`` clips those in ``part``, in two views each: images (2, B, L, h, w, 3), proprio and
        actions as in ``batch``.

        The first is the motion's first view, the second any of its views, which may be the same.
        """
        starts = self.starts[self._draw(size, rng)]
        episodes = self._episode_of(starts)
        within = starts - self.offsets[episodes]
        views = [self.views[episode] for episode in episodes]
        first = within + self.offsets[[v[0] for v in views]]
        second = within + self.offsets[[rng.choice(v) for v in views]]
        images, proprio, actions = self._gather(first[part])
        return torch.stack([images, self._frames(second[part])]), proprio, actions


def _held_once(episodes: Sequence[Episode], offsets: np.ndarray) -> np.ndarray:
    """All pictures (F, h, w, 3), each episode's own given back soon after it is copied: together they may fill the memory."""
    joined = np.empty((offsets[-1], *episodes[0].images.shape[1:]), np.uint8)
    part = max(1, len(joined) // _PARTS)
    for episode, begin, end in zip(episodes, offsets, offsets[1:], strict=False):
        joined[begin:end] = episode.images
        episode.images = joined[begin:end]
        if begin // part != end // part:  # by itself the C library keeps what is freed
            give_back()
    return joined


def motions(episodes: Sequence[Episode]) -> list[list[int]]:
    """Indices of episodes, those of the same joint positions and actions together, in the order of their first."""
    found: dict[bytes, list[int]] = {}
    for index, episode in enumerate(episodes):
        key = hashlib.sha256()
        for values in (episode.joint_positions, episode.actions):
            key.update(np.ascontiguousarray(values, np.float32).tobytes())
        found.setdefault(key.digest(), []).append(index)
    return list(found.values())


def _views(episodes: Sequence[Episode]) -> list[list[int]]:
    """Of every episode all episodes of its motion, the standard scene's first."""
    views: list[list[int]] = [[] for _ in episodes]
    for motion in motions(episodes):
        ordered = sorted(motion, key=lambda index: episodes[index].metadata.get("scene", 0))
        for index in motion:
            views[index] = ordered
    return views


def statistics(episodes: Sequence[Episode]) -> dict[str, np.ndarray]:
    """Means and standard deviations (A,) of raw actions and of joint positions over all frames.

    A joint that never moves gets standard deviation 1e-3 rad, so that its z-score stays finite.
    """
    actions = np.concatenate([e.actions[:-1] for e in episodes])
    proprio = np.concatenate([e.joint_positions for e in episodes])
    return {
        "action_mean": actions.mean(0),
        "action_std": np.maximum(actions.std(0), 1e-3),
        "proprio_mean": proprio.mean(0),
        "proprio_std": np.maximum(proprio.std(0), 1e-3),
    }
