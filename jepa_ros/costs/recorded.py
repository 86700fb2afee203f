"""Rollout and energy on a GPU as one recorded CUDA graph: an iteration is one launch, and one wait for its costs."""

import threading
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from jepa_ros.costs.energy import Energy
from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.world_model.model import WorldModel

_WARM_UP = 3
"""Calls before a recording, in which libraries set themselves up: what a recording may not contain."""


class RecordedEnergies:
    """Energies of candidates of one shape, by one model and energy, for one reduction. Recorded when it is made; any
    thread may call it.

    A call copies its inputs through pinned memory into the graph's own, replays the graph and waits once, for the costs.
    shapes: of latents (T, D), proprio (T, A), past_actions (T-1, KA), goal (D,), actions (S, H, KA).
    """

    def __init__(self, model: WorldModel, energy: Energy, reduction: str, shapes: Sequence[tuple[int, ...]]):
        self._device, self._lock = model.device, threading.Lock()
        self._inputs = [torch.zeros(shape, device=self._device) for shape in shapes]
        self._staged = [torch.zeros(shape, pin_memory=True) for shape in shapes]
        samples, horizon = shapes[-1][:2]
        self._energies = torch.zeros(
            1 + horizon, samples, pin_memory=True
        )  # totals, energy after every block
        *context, goal, actions = self._inputs

        def compute() -> tuple[Tensor, Tensor, Tensor]:
            latents, proprio = model.rollout(*context, actions)
            result = energy.evaluate(Rollouts(latents, proprio, actions), goal, reduction)
            energies = torch.cat((result.totals[None], result.steps.T))
            return energies, torch.stack(tuple(result.terms.values())), latents[..., 0, :]

        with torch.cuda.device(self._device):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UP):
                    compute()
            torch.cuda.current_stream().wait_stream(side)
            self._graph, self._done = torch.cuda.CUDAGraph(), torch.cuda.Event()
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self._outputs = compute()

    def __call__(self, *arrays: np.ndarray) -> tuple[np.ndarray, Tensor, Tensor]:
        """Float32 arrays of the shapes -> totals and energies after every block (1 + H, S) in host memory; on the GPU the
        terms' weighted shares (terms, S) and the latents after the first block ([F,] S, D)."""
        with self._lock, torch.cuda.device(self._device):
            for own, staged, given in zip(self._inputs, self._staged, arrays, strict=True):
                staged.copy_(torch.from_numpy(given))
                own.copy_(staged, non_blocking=True)
            self._graph.replay()
            energies, terms, following = self._outputs
            self._energies.copy_(energies, non_blocking=True)
            kept = terms.clone(), following.clone()  # the next replay writes over the graph's own
            self._done.record()
            self._done.synchronize()
            return self._energies.numpy().copy(), *kept


_recordings: WeakKeyDictionary[WorldModel, dict] = WeakKeyDictionary()


def recorded(
    model: WorldModel, energy: Energy, reduction: str, arrays: Sequence[np.ndarray]
) -> RecordedEnergies:
    """The recording for arrays of these shapes and the model's futures, made at the first call and kept for as long as the
    model lives."""
    shapes = tuple(array.shape for array in arrays)
    kept = _recordings.setdefault(model, {})
    key = energy, reduction, shapes, model.futures
    if key not in kept:
        kept[key] = RecordedEnergies(model, energy, reduction, shapes)
    return kept[key]
