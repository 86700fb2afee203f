"""What heads learn from: the latents of episodes, encoded once, and the futures imagined along what was done there."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from jepa_ros.data.dataset import ClipDataset
from jepa_ros.training.validation import encode_frames
from jepa_ros.world_model.model import WorldModel

_BATCH = 4096


@dataclass(frozen=True)
class LatentEpisodes:
    """Frames of episodes one after the other, on one device.

    latents (F, D), proprio (F, A) rad, actions (F, A) rad: the raw action from a frame on.
    offsets: (E + 1,) where episodes begin; the last one is F.  block: K.  context: T.
    motions: the episodes of every motion, of which the others are views.
    imagined_from: (M,) frames.  imagined: (M, H, D), what the model imagines 1 .. H blocks after each of them, along the
    recorded actions; all of it lies within the frame's episode.
    """

    latents: Tensor
    proprio: Tensor
    actions: Tensor
    offsets: np.ndarray
    block: int
    context: int
    imagined_from: np.ndarray
    imagined: Tensor
    motions: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self):
        if not self.motions:
            object.__setattr__(self, "motions", tuple((i,) for i in range(len(self.offsets) - 1)))

    @cached_property
    def first(self) -> np.ndarray:
        """(F,) the first frame of every frame's episode."""
        return np.repeat(self.offsets[:-1], np.diff(self.offsets))

    @cached_property
    def last(self) -> np.ndarray:
        """(F,) the last frame of every frame's episode."""
        return np.repeat(self.offsets[1:] - 1, np.diff(self.offsets))

    @cached_property
    def _lasting(self) -> dict[int, np.ndarray]:
        return {}

    def lasting(self, steps: int) -> np.ndarray:
        """The frames from which their episode goes on for ``steps`` raw actions at least; looked for once."""
        if steps not in self._lasting:
            self._lasting[steps] = np.flatnonzero(np.arange(len(self.last)) + steps <= self.last)
        return self._lasting[steps]

    def window(self, frames: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """The context that a planner has at ``frames`` (B,): latents (B, T, D), proprio (B, T, A), past blocks (B, T-1, KA).

        As in short-term memory, what lies before the episode is its oldest known frame, without motion.
        """
        back = np.arange(self.context)[::-1] * self.block
        wanted = frames[:, None] - back
        known = wanted >= self.first[frames][:, None]
        oldest = np.where(known, wanted, frames[:, None]).min(1, keepdims=True)
        seen = self._at(np.where(known, wanted, oldest))
        blocks = self.blocks(np.where(known, wanted, oldest)[:, :-1])
        moved = self._at(known[:, :-1, None])
        return self.latents[seen], self.proprio[seen], torch.where(moved, blocks, 0.0)

    def blocks(self, frames: np.ndarray) -> Tensor:
        """The blocks (..., KA) executed from ``frames`` (...) on."""
        steps = np.minimum(frames[..., None] + np.arange(self.block), len(self.actions) - 1)
        return self.actions[self._at(steps)].flatten(-2)

    def _at(self, index: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(index)).to(self.latents.device)


@torch.no_grad()
def latent_episodes(
    model: WorldModel, clips: ClipDataset, horizon: int, most_imagined: int = 60_000
) -> LatentEpisodes:
    """Encode every frame of ``clips`` and imagine ``horizon`` blocks from at most ``most_imagined`` of them; where the model has
    several futures one of them, by chance."""
    episodes = LatentEpisodes(
        encode_frames(model, clips.images).clone(),  # what inference mode made cannot be learned from
        *(torch.from_numpy(x).to(model.device) for x in (clips.proprio, clips.actions)),
        clips.offsets,
        clips.spec.block,
        model.context,
        np.zeros(0, int),
        torch.zeros(0),
        tuple(dict.fromkeys(map(tuple, clips.views))),
    )
    return with_imagined(
        episodes, _by_chance(model) if model.codes else model.imagine, horizon, most_imagined
    )


def with_imagined(episodes: LatentEpisodes, imagine: Callable, horizon: int, most: int) -> LatentEpisodes:
    """The same episodes with futures by ``imagine`` (see WorldModel.imagine) from frames spread evenly over them; less far
    where no episode is as long."""
    horizon = min(horizon, int((np.diff(episodes.offsets).max() - 1) // episodes.block))
    frames = episodes.lasting(max(1, horizon) * episodes.block)
    frames = frames[np.unique(np.linspace(0, max(0, len(frames) - 1), min(most, len(frames))).astype(int))]
    futures = []
    for begin in range(0, len(frames), _BATCH):
        part = frames[begin : begin + _BATCH]
        ahead = part[:, None] + np.arange(horizon) * episodes.block
        futures.append(imagine(*episodes.window(part), episodes.blocks(ahead))[0])
    width = episodes.latents.shape[1]
    imagined = torch.cat(futures) if futures else episodes.latents.new_zeros((0, horizon, width))
    return replace(episodes, imagined_from=frames, imagined=imagined)


def _by_chance(model: WorldModel) -> Callable:
    """WorldModel.imagine with draws of its own for every sequence, the same every time."""
    generator = torch.Generator().manual_seed(0)

    def imagine(latents: Tensor, proprio: Tensor, past_actions: Tensor, actions: Tensor):
        draws = torch.rand(actions.shape[:2], generator=generator).to(model.device)
        return model.imagine(latents, proprio, past_actions, actions, draws)

    return imagine
