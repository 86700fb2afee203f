"""Open-loop predictions along tracks: what the model expects 1 to H blocks ahead of every frame, and how wrong it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from jepa_ros.evaluation.offline.tracks import Track
from jepa_ros.world_model.model import WorldModel

_BATCH = 2048


@dataclass(frozen=True)
class Errors:
    """Root mean square over D of predicted - observed latent, of one track's n start frames.

    starts: (n,) frames.  model, copy_last, shuffled: (n, H), NaN where the track ends before: with the
    recorded actions; the start frame in place of a prediction; with blocks of other start frames.
    """

    track: Track
    starts: np.ndarray
    model: np.ndarray
    copy_last: np.ndarray
    shuffled: np.ndarray


def start_frames(track: Track, model: WorldModel, ahead: int) -> np.ndarray:
    """(n,) frames with a full context before them and ``ahead`` blocks after them."""
    block = model.spec.block
    return np.arange((model.context - 1) * block, max(0, len(track) - ahead * block))


def open_loop(tracks: Sequence[Track], model: WorldModel, horizon: int, seed: int) -> list[Errors]:
    """Errors of every track, from every frame with a context and a block after it. horizon: H, in blocks.

    Deterministic: ``seed`` decides how blocks are shuffled among all start frames of all tracks.
    """
    spec = model.spec
    found = []
    for track in tracks:
        starts = start_frames(track, model, 1)
        if len(starts):
            found.append((track, starts, *_windows(track, starts, model, horizon)))
    if not found:
        return []
    contexts = [np.concatenate([row[i] for row in found]) for i in (2, 3, 4)]
    blocks = np.concatenate([row[5] for row in found])
    order = np.random.default_rng(seed).permutation(len(blocks))
    predicted, misled = (_unroll(model, *contexts, b) for b in (blocks, blocks[order]))
    errors, begin = [], 0
    steps = (1 + np.arange(horizon)) * spec.block
    for track, starts, *_ in found:
        rows = slice(begin, begin + len(starts))
        begin += len(starts)
        ahead = starts[:, None] + steps
        beyond = ahead >= len(track)
        seen = track.latents[np.minimum(ahead, len(track) - 1)]
        errors.append(
            Errors(
                track,
                starts,
                *(
                    np.where(beyond, np.nan, np.sqrt(np.mean((guess - seen) ** 2, axis=-1)))
                    for guess in (predicted[rows], track.latents[starts][:, None], misled[rows])
                ),
            )
        )
    return errors


def _windows(track: Track, starts: np.ndarray, model: WorldModel, horizon: int) -> tuple[np.ndarray, ...]:
    """Context latents (n, T, D), proprio (n, T, A), blocks between (n, T-1, KA), blocks ahead (n, H, KA)."""
    block, dim = model.spec.block, model.spec.block_dim
    frames = starts[:, None] + (np.arange(model.context) - model.context + 1) * block
    padded = np.concatenate([track.actions, np.zeros(((horizon + 1) * block, model.spec.dim), np.float32)])

    def blocks(first: np.ndarray) -> np.ndarray:
        return padded[first[..., None] + np.arange(block)].reshape(*first.shape, dim)

    ahead = starts[:, None] + np.arange(horizon) * block
    return track.latents[frames], track.proprio[frames], blocks(frames[:, :-1]), blocks(ahead)


@torch.inference_mode()
def _unroll(model: WorldModel, latents, proprio, past, ahead) -> np.ndarray:
    """Predicted latents (n, H, D)."""
    parts = []
    for i in range(0, len(latents), _BATCH):
        z, q, a, b = (
            torch.from_numpy(np.ascontiguousarray(x[i : i + _BATCH], np.float32)).to(model.device)
            for x in (latents, proprio, past, ahead)
        )
        future, _ = model.imagine(z, q, a, b)
        parts.append(torch.as_tensor(future).cpu().numpy())
    return np.concatenate(parts)
