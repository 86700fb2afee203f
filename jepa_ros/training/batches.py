"""The batches of a training run: drawn, augmented, on the device in time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from jepa_ros.data.dataset import ClipDataset
from jepa_ros.training.augmentation import augment
from jepa_ros.training.config import TrainingConfig
from jepa_ros.training.distributed import ALONE, Ranks

AHEAD = 4
"""Batches that are made ahead for a GPU, each on a thread of its own: one takes about as long as a few steps there."""

Made = TypeVar("Made")


def batches(
    clips: ClipDataset, config: TrainingConfig, steps: range, ranks: Ranks = ALONE
) -> Iterator[tuple[list[Tensor], int]]:
    """For every step this process's part of the batch, on the training device, and the seed of what the loss draws.

    Both depend on the seed and the step alone. On a CPU, where making a batch takes a few hundredths of a step and
    threads would only take turns with the trainer's, each is made when it is asked for; for a GPU, ahead.
    """

    def drawn(step: int) -> tuple[tuple[Tensor, ...], int]:
        rng = np.random.default_rng([config.seed, step])
        return training_batch(clips, config, rng, ranks), int(rng.integers(2**62))

    for batch, seed in map(drawn, steps) if config.device == "cpu" else made_ahead(drawn, steps):
        yield [x.to(config.device) for x in batch], seed


def training_batch(
    clips: ClipDataset, config: TrainingConfig, rng: np.random.Generator, ranks: Ranks = ALONE
) -> tuple[Tensor, Tensor, Tensor]:
    """This process's part of ``config.batch`` clips, as ``jepa_loss`` takes them; of two views one after the other, the
    second augmented."""
    if config.augmentation == "none":
        return clips.sample(config.batch, rng, ranks.part(config.batch))
    motions = config.batch // 2
    part = ranks.part(motions)
    (seen, otherwise), proprio, actions = clips.sample_views(motions, rng, part)
    changed = augment(otherwise.numpy(), rng.spawn(motions)[part])
    return torch.cat([seen, torch.from_numpy(changed)]), proprio.repeat(2, 1, 1), actions.repeat(2, 1, 1)


def made_ahead(make: Callable[[int], Made], steps: Iterable[int], ahead: int = AHEAD) -> Iterator[Made]:
    """``make(step)`` for every step, in order, up to ``ahead`` of them made on threads while one is used."""
    with ThreadPoolExecutor(ahead, "batches") as threads:
        coming: deque = deque()
        try:
            for step in steps:
                coming.append(threads.submit(make, step))
                if len(coming) > ahead:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()
