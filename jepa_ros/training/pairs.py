"""Pairs of a latent and a goal latent, drawn from recorded and imagined episodes, with what is known between them."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from jepa_ros.training.latent_episodes import LatentEpisodes

REAL_GOALS = {"later": 0.6, "self": 0.1, "any": 0.3}
IMAGINED_GOALS = {"later": 0.4, "imagined": 0.25, "self": 0.1, "any": 0.25}
"""Shares of the pairs by where their goal is: later in the same episode, the latent itself, any frame of the data, or what
is imagined later on."""


@dataclass(frozen=True)
class Pairs:
    """start, following, goal (B, D): where a motion begins, where it is one block later, what it is judged by.

    blocks: (B,) from start to goal as recorded; infinite where the goal is any frame, and not known to be on the way.
    """

    start: Tensor
    following: Tensor
    goal: Tensor
    blocks: Tensor

    def __add__(self, other: "Pairs") -> "Pairs":
        return Pairs(*(torch.cat([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))


def real_pairs(episodes: LatentEpisodes, size: int, far: int, rng: np.random.Generator) -> Pairs:
    """Recorded latents. far: blocks to the latest goal."""
    block, last = episodes.block, episodes.last
    starts = _draw(episodes.lasting(block), size, rng)
    kind = _kinds(REAL_GOALS, size, rng)
    ahead = _ahead(np.minimum(far * block, last[starts] - starts), rng)
    goal = np.select(
        [kind == "later", kind == "self"], [starts + ahead, starts], rng.integers(len(last), size=size)
    )
    blocks = np.select([kind == "later", kind == "self"], [ahead / block, np.zeros(size)], np.inf)
    latents = episodes.latents
    return Pairs(latents[starts], latents[starts + block], latents[goal], _on(latents, blocks))


def imagined_pairs(episodes: LatentEpisodes, size: int, far: int, rng: np.random.Generator) -> Pairs:
    """Latents that the model imagines, after 0 .. H-1 blocks, for goals recorded or imagined; their time is that of the
    recording along which they were imagined."""
    block, horizon, latents = episodes.block, episodes.imagined.shape[1], episodes.latents
    row = rng.integers(len(episodes.imagined_from), size=size)
    frames, step = episodes.imagined_from[row], rng.integers(horizon, size=size)
    kind = _kinds(IMAGINED_GOALS, size, rng)
    # chains (B, H + 1, D): the recorded latent, then the imagined ones
    chains = torch.cat([latents[frames][:, None], episodes.imagined[row]], 1)
    every = torch.arange(size, device=chains.device)
    later_step = step + rng.integers(1, horizon + 1 - step)
    ahead = _ahead(np.minimum(far * block, episodes.last[frames] - frames - step * block), rng)
    recorded = np.where(kind == "later", frames + step * block + ahead, rng.integers(len(latents), size=size))
    in_chain = np.where(kind == "imagined", later_step, step)
    goal = torch.where(
        torch.from_numpy((kind == "later") | (kind == "any")).to(latents.device)[:, None],
        latents[recorded],
        chains[every, in_chain],
    )
    blocks = np.select(
        [kind == "later", kind == "imagined", kind == "self"],
        [ahead / block, later_step - step, np.zeros(size)],
        np.inf,
    )
    return Pairs(chains[every, step], chains[every, step + 1], goal, _on(latents, blocks))


@dataclass(frozen=True)
class Chunks:
    """latents (B, T, D), proprio (B, T, A), past (B, T-1, KA): contexts.  goal (B, D).  blocks (B,): to the goal.

    actions: (B, H, KA) rad, what was done on the way there, and no motion after it.
    """

    latents: Tensor
    proprio: Tensor
    past: Tensor
    goal: Tensor
    blocks: Tensor
    actions: Tensor


def chunks(
    episodes: LatentEpisodes, size: int, far: int, horizon: int, imagined: float, rng: np.random.Generator
) -> Chunks:
    """Contexts as they were, with goals seen later in the episode (hindsight goals): half of them within ``horizon``
    blocks, half within ``far``, some where the arm is.

    imagined: the share of goals that are what the model imagines there in place of what was seen.
    """
    block, last, latents = episodes.block, episodes.last, episodes.latents
    imagine = np.arange(size) < round(imagined * size) * bool(len(episodes.imagined_from))
    row = rng.integers(max(1, len(episodes.imagined_from)), size=size)
    starts = _draw(episodes.lasting(1), size, rng)
    starts = np.where(imagine, episodes.imagined_from[row] if imagine.any() else starts, starts)
    most = np.where(rng.random(size) < 0.5, horizon, far) * block
    ahead = _ahead(np.minimum(most, last[starts] - starts), rng) * (rng.random(size) >= 0.05)
    step = rng.integers(1, episodes.imagined.shape[1] + 1, size=size) if imagine.any() else ahead
    ahead = np.where(imagine, step * block, ahead)
    goal = latents[starts + ahead]
    if imagine.any():
        goal[: imagine.sum()] = episodes.imagined[row[imagine], step[imagine] - 1]
    steps = np.arange(horizon * block)
    done = episodes.actions[np.minimum(starts[:, None] + steps, last[starts][:, None])]
    on_the_way = torch.from_numpy(steps < ahead[:, None]).to(latents.device)
    actions = torch.where(on_the_way[..., None], done, 0.0).unflatten(1, (horizon, block)).flatten(2)
    return Chunks(*episodes.window(starts), goal, _on(latents, ahead / block), actions)


def _draw(candidates: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    return candidates[rng.integers(len(candidates), size=size)]


def _kinds(shares: dict[str, float], size: int, rng: np.random.Generator) -> np.ndarray:
    return rng.choice(list(shares), size=size, p=list(shares.values()))


def _ahead(most: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Raw steps to a goal, 1 .. most."""
    return rng.integers(1, most + 1)


def _on(like: Tensor, values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32)).to(like.device)
