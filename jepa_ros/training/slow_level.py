"""Training of the slow level: a variational code of what several blocks do (beta-VAE, Higgins et al., 2017), decoded to
where they lead; two steps in a chain, the second from where the first was predicted to lead."""

import numpy as np
import torch
from torch import Tensor

from jepa_ros.training.latent_episodes import LatentEpisodes
from jepa_ros.world_model.slow_level import SlowLevel


def macro_starts(episodes: LatentEpisodes, stride: int) -> np.ndarray:
    """(M,) frames from which their episode goes on for ``stride`` blocks at least."""
    return episodes.lasting(stride * episodes.block)


def slow_loss(
    slow: SlowLevel,
    episodes: LatentEpisodes,
    starts: np.ndarray,
    size: int,
    information: float,
    rng: np.random.Generator,
) -> Tensor:
    """Mean squared error of predicted latents, and ``information`` for every nat that a macro-action carries beyond the
    standard normal, over ``size`` of ``starts`` (M,)."""
    steps = slow.stride * episodes.block
    begin = starts[rng.integers(len(starts), size=size)]
    goes_on = begin + 2 * steps <= episodes.last[begin]
    noise = torch.from_numpy(rng.standard_normal((2, size, slow.size)).astype(np.float32))
    noise = noise.to(episodes.latents.device)

    def step(start: Tensor, frames: np.ndarray, noise: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = slow.infer(episodes.latents[frames], macro_blocks(episodes, frames, slow.stride))
        latents = slow.predict(start, mean + (0.5 * log_variance).exp() * noise)
        error = (latents - episodes.latents[frames + steps]).pow(2).mean()
        nats = 0.5 * (mean.pow(2) + log_variance.exp() - 1 - log_variance).sum(1).mean()
        return latents, error + information * nats

    predicted, loss = step(episodes.latents[begin], begin, noise[0])
    # Where the episode does not last for a second step, the first once more.
    chained = torch.from_numpy(goes_on[:, None]).to(noise.device)
    start = torch.where(chained, predicted, episodes.latents[begin])
    _, second = step(start, np.where(goes_on, begin + steps, begin), noise[1])
    return (loss + second) / 2


def macro_blocks(episodes: LatentEpisodes, frames: np.ndarray, stride: int) -> Tensor:
    """The blocks (B, stride, KA) rad that were executed from ``frames`` (B,) on."""
    return episodes.blocks(frames[:, None] + np.arange(stride) * episodes.block)


@torch.no_grad()
def slow_errors(slow: SlowLevel, episodes: LatentEpisodes, most: int = 2000) -> dict[str, float]:
    """On held-out episodes, mean squared errors after a step as shares of the mean squared change: with the macro-action of
    what was done ("known"), with the one that says least, 0 ("unknown"). Empty where no episode lasts for a step."""
    starts = macro_starts(episodes, slow.stride)
    if not len(starts):
        return {}
    frames = starts[np.linspace(0, len(starts) - 1, min(most, len(starts))).astype(int)]
    now, later = (episodes.latents[at] for at in (frames, frames + slow.stride * episodes.block))
    known, _ = slow.infer(now, macro_blocks(episodes, frames, slow.stride))
    return {
        name: float((slow.predict(now, macros) - later).pow(2).mean() / (now - later).pow(2).mean())
        for name, macros in (("known", known), ("unknown", torch.zeros_like(known)))
    }
