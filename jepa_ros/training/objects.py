"""Training of the object features, and of critic and policy towards them, on the latents of episodes.

Features: of two frames of one motion, whatever view they are seen in, they are to be alike, and over all motions of unit
variance and uncorrelated: what differs between episodes and stays within one. In the end the change counts by a small power
of its length: things stay for long and then move far, and a few pushes must not weigh more than all the rest, or the
features blur to make them less. It begins as the square, which has smooth solutions, and is a distance half-way; a small
power at once may settle on a step that is seldom crossed, by the arm as well.

Critic: as the plain one (heads.py), towards features. Policy: the recorded actions on the way to features seen later in the
episode, up to where things first were in place; ways on which nothing moves teach nothing and are not drawn.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from jepa_ros.training.head_losses import cloning_loss, expectile_loss, rests
from jepa_ros.training.latent_episodes import LatentEpisodes
from jepa_ros.world_model.heads import Heads
from jepa_ros.world_model.objects import Objects, are_near

FEATURE_STEPS, FEATURE_BATCH, FEATURE_LAG = 3000, 256, 12
"""Optimiser steps, pairs of frames in each, blocks between the two at most."""
_RATE, _WEIGHT_DECAY, _DECORRELATION = 2e-3, 1e-2, 5.0
_WHEN, _POWERS, _SOFT = (0.0, 0.5, 1.0), (2.0, 1.0, 0.3), 1e-2
"""At which shares of the training a change counts by which power of its length; the square up to which it does not count less."""
_NEAR_SHARE, _DRAWN = 0.3, 4
"""Share of ways drawn within the policy's horizon; how many ways are looked at for one that moves something."""
_REST_SHARE = 0.1
_JITTER = 0.15
"""Standard deviation added to a goal's features, which are never seen exactly."""
TOLD_BY_JOINTS = 0.5
"""Share of the features' variance that joint positions tell, from which on they are the arm and not things."""
_NEIGHBOURS = 8


@dataclass(frozen=True)
class Seen:
    """Features of all frames (F, M) and of imagined latents (N, H, M), computed once."""

    frames: Tensor
    imagined: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, objects: Objects, episodes: LatentEpisodes) -> "Seen":
        """With the features as they are now."""

        def all_of(latents: Tensor) -> Tensor:
            parts = [objects.features(part) for part in latents.flatten(0, -2).split(16384)]
            return torch.cat(parts).unflatten(0, latents.shape[:-1]) if parts else latents

        return cls(all_of(episodes.latents), all_of(episodes.imagined))


def fit_features(
    objects: Objects,
    episodes: LatentEpisodes,
    seed: int,
    steps: int = FEATURE_STEPS,
    progress: bool = True,
) -> float:
    """Train the features; returns how much of them joint positions tell (``told_by_joints``)."""
    optimiser = torch.optim.AdamW(objects.features.parameters(), _RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, _RATE, total_steps=steps, pct_start=0.3 if steps > 10 else 0.0
    )
    eye = torch.eye(objects.size, device=episodes.latents.device)
    for step in tqdm(range(steps), desc="objects", unit="step", mininterval=2, disable=not progress):
        first, second = _same_motion(episodes, FEATURE_BATCH, np.random.default_rng([seed, 3, step]))
        one, other = objects.features(episodes.latents[first]), objects.features(episodes.latents[second])
        power = float(np.interp(step / steps, _WHEN, _POWERS))
        change = ((one - other).pow(2).sum(1) + _SOFT).pow(power / 2).mean()
        both = torch.cat([one, other])
        both = both - both.mean(0)
        spread = both.T @ both / len(both)
        loss = change + _DECORRELATION * (spread - eye).pow(2).sum() / objects.size
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
    return told_by_joints(objects, episodes)


def _same_motion(
    episodes: LatentEpisodes, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Frames (size,) twice, of the same motion, at most FEATURE_LAG blocks apart, each in any of the motion's views.

    Every motion is as likely, however long it lasted.
    """
    begins, ends = episodes.offsets[:-1], episodes.offsets[1:]
    views = [episodes.motions[i] for i in rng.integers(len(episodes.motions), size=size)]
    one, other = (np.array([view[int(rng.random() * len(view))] for view in views]) for _ in range(2))
    length = (ends - begins)[one]
    at = (rng.random(size) * length).astype(int)
    later = np.minimum(at + rng.integers(1, FEATURE_LAG * episodes.block + 1, size=size), length - 1)
    return begins[one] + at, begins[other] + later


@torch.no_grad()
def told_by_joints(
    objects: Objects, episodes: LatentEpisodes, frames: int = 12_000, asked: int = 3000
) -> float:
    """Share of the features' variance that is foretold by the same joint positions in other motions: the mean features of
    the nearest frames there."""
    motion = np.empty(len(episodes.offsets) - 1, int)
    for number, views in enumerate(episodes.motions):
        motion[list(views)] = number
    chosen = np.unique(np.linspace(0, len(episodes.latents) - 1, frames).astype(int))
    motion = torch.from_numpy(np.repeat(motion, np.diff(episodes.offsets))[chosen])
    joints, features = episodes.proprio[chosen].cpu(), objects.features(episodes.latents[chosen]).cpu()
    joints = (joints - joints.mean(0)) / joints.std(0).clamp(min=1e-6)
    asking = torch.from_numpy(np.unique(np.linspace(0, len(chosen) - 1, asked).astype(int)))
    foretold = []
    for part in asking.split(500):
        apart = torch.cdist(joints[part], joints)
        apart[motion[part][:, None] == motion] = torch.inf
        foretold.append(features[apart.topk(min(_NEIGHBOURS, len(chosen)), largest=False).indices].mean(1))
    features, foretold = features[asking], torch.cat(foretold)
    error = (features - foretold).pow(2).sum()
    return float(1 - error / (features - features.mean(0)).pow(2).sum().clamp(min=1e-12))


def object_value_loss(
    objects: Objects,
    target,
    episodes: LatentEpisodes,
    seen: Seen,
    size: int,
    imagined: float,
    far: int,
    expectile: float,
    rng: np.random.Generator,
) -> Tensor:
    """Temporal differences towards features; target: the critic whose values are backed up."""
    block = episodes.block
    count = round(imagined * size) * bool(len(episodes.imagined_from))
    starts = episodes.lasting(block)
    start = starts[rng.integers(len(starts), size=size - count)]
    row = rng.integers(max(1, len(episodes.imagined_from)), size=count)
    step = torch.from_numpy(rng.integers(episodes.imagined.shape[1], size=count)) if count else None
    goal = _goals(
        np.concatenate([start, episodes.imagined_from[row]]) if count else start, episodes, far, rng
    )
    latents, following = episodes.latents[start], episodes.latents[start + block]
    here, after = seen.frames[start], seen.frames[start + block]
    if count:
        frames, every = episodes.imagined_from[row], torch.arange(count)
        chain = torch.cat([episodes.latents[frames][:, None], episodes.imagined[row]], 1)
        told = torch.cat([seen.frames[frames][:, None], seen.imagined[row]], 1)
        latents, following = (
            torch.cat([latents, chain[every, step]]),
            torch.cat([following, chain[every, step + 1]]),
        )
        here, after = torch.cat([here, told[every, step]]), torch.cat([after, told[every, step + 1]])
    there, gamma = seen.frames[goal], objects.critic.gamma
    with torch.no_grad():
        backup = torch.where(are_near(after, there), 1.0, target(following, there, after))
        aim = torch.where(are_near(here, there), 1.0, gamma * backup)
    return expectile_loss(aim - objects.critic(latents, there, here), expectile)


def _goals(starts: np.ndarray, episodes: LatentEpisodes, far: int, rng: np.random.Generator) -> np.ndarray:
    """Frames whose features are goals: later in the episode, the start itself, any frame."""
    last, size = episodes.last[starts], len(starts)
    later = np.minimum(starts + rng.integers(1, far * episodes.block + 1, size=size), last)
    kind = rng.random(size)
    return np.select(
        [kind < 0.6, kind < 0.65], [later, starts], rng.integers(len(episodes.latents), size=size)
    )


def object_policy_loss(
    heads: Heads,
    episodes: LatentEpisodes,
    seen: Seen,
    size: int,
    far: int,
    others: float,
    still: float,
    rng: np.random.Generator,
) -> Tensor:
    """``cloning_loss`` of what was done until things were in place.  others, still: see HeadTraining."""
    objects = heads.objects
    _, horizon, _ = objects.chunks.shape
    block, last = episodes.block, episodes.last
    start, goal = _ways(episodes, seen, size, far, horizon, rng)
    farthest = max(far, horizon) * block
    frames = np.minimum(start[:, None] + np.arange(farthest + 1), last[start][:, None])
    there = seen.frames[goal]
    arrived = are_near(seen.frames[frames], there[:, None]).cpu().numpy() | (frames >= goal[:, None])
    needed = arrived.argmax(1)  # raw actions until things are in place
    steps = np.arange(horizon * block)
    done = episodes.actions[np.minimum(start[:, None] + steps, last[start][:, None])]
    on_the_way = torch.from_numpy(steps < needed[:, None]).to(done.device)
    longer = torch.from_numpy(needed > block).to(done.device)
    actions = torch.where(on_the_way[..., None], done, 0.0)
    waits = longer & rests(actions[:, :block], objects.chunks.reach, still)
    latents, proprio, past = episodes.window(start)
    noise = torch.from_numpy(rng.standard_normal(there.shape).astype(np.float32)).to(there.device)
    towards = there + _JITTER * noise
    proposals = objects.chunks(latents, heads.joints(proprio), past, towards, seen.frames[start])
    actions = actions.unflatten(1, (horizon, block)).flatten(2)
    return cloning_loss(proposals, actions, objects.chunks.reach, others, (~waits).float())


def _ways(
    episodes: LatentEpisodes, seen: Seen, size: int, far: int, horizon: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Frames (size,) and the later ones that are their goals: ways on which something moved as far as there are any, and a
    few that are at their goal."""
    block, last = episodes.block, episodes.last
    candidates = episodes.lasting(1)
    rest = round(_REST_SHARE * size)
    start = candidates[rng.integers(len(candidates), size=_DRAWN * size)]
    most = np.where(rng.random(len(start)) < _NEAR_SHARE, horizon, far) * block
    goal = np.minimum(start + rng.integers(1, most + 1), last[start])
    moved = ~are_near(seen.frames[start], seen.frames[goal]).cpu().numpy()
    first = np.argsort(~moved, kind="stable")[: size - rest]
    still = start[-rest:] if rest else start[:0]
    return np.concatenate([start[first], still]), np.concatenate([goal[first], still])
