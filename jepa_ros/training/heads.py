"""Training of the heads on a frozen world model's latents.

- distance: expectile regression of the recorded time between two latents, recorded or imagined. The lower expectile
  leans towards the quickest of the ways that were taken; the quasimetric's triangle inequality joins ways that were taken
  apart.
- value: temporal differences with an upper expectile, the action-free backup of IQL (Kostrikov et al., arXiv 2110.06169)
  and HIQL (Park et al., arXiv 2307.11949): V(s, g) towards gamma V(s', g), 1 at the goal. It joins ways by its bootstrap.
- objects: see objects.py.
- policy: the recorded actions towards a goal of the same episode, ways with detours counted less (advantage-weighted
  regression, Peng et al., arXiv 1910.00177, with the distance as critic). Of N hypotheses the best learns (multiple choice
  learning, Guzman-Rivera et al., 2012), so that they come to differ where several ways lead there.
- slow level: see slow_level.py.

They are trained at once, by losses that do not say how well they drive: of the weights on the way those may be kept that reach
most goals (selection.py).
"""

import copy
import math
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from jepa_ros.data.dataset import ClipDataset
from jepa_ros.errors import JepaError
from jepa_ros.training.head_losses import cloning_loss, expectile_loss, rests
from jepa_ros.training.head_ranks import head_ranks
from jepa_ros.training.latent_episodes import LatentEpisodes, latent_episodes
from jepa_ros.training.objects import (
    FEATURE_STEPS,
    TOLD_BY_JOINTS,
    Seen,
    fit_features,
    object_policy_loss,
    object_value_loss,
)
from jepa_ros.training.pairs import Chunks, Pairs, chunks, imagined_pairs, real_pairs
from jepa_ros.training.selection import Candidates, Selection, in_words
from jepa_ros.training.slow_level import macro_starts, slow_errors, slow_loss
from jepa_ros.world_model.checkpoint import halved
from jepa_ros.world_model.heads import Heads, HeadsConfig
from jepa_ros.world_model.model import WorldModel

_LEAST_BATCH = 16
"""Of fewer pairs it happens that none has a known time, which leaves the distance nothing to learn from."""


@dataclass(frozen=True)
class HeadTraining:
    """steps: optimiser steps, of ``batch`` pairs for distance and value and as many chunks for the policy.

    far: blocks to the latest hindsight goal.  imagined: share of pairs and chunks with imagined latents.
    distance_expectile: below 0.5 leans to the quickest way.  value_expectile: above 0.5 too.
    target_rate: of the critic's slow copy that its targets come from.
    others: weight of the hypotheses that are not the best.  detour: blocks more than the distance that make a way count
    1 / e.  still: the most that a joint moves in a block without motion, as a share of what it can; a way that begins with
    one, and does not end there, does not count: what waits teaches waiting.
    objects: features of what stays while the arm moves; 0, or where nothing does: none.
    stride: blocks of a step of the slow level; 0, or where no episode lasts as long: no slow level.  macro: U, the width of
    its actions.  information: weight of a nat that a macro-action carries beyond the standard normal, against the latents'
    mean squared error; the evidence bound's own is 2 * v / D for latents that are predicted to v of their variance.
    selection: what the weights that become the heads are chosen by.
    """

    steps: int = 3000
    batch: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    seed: int = 0
    far: int = 20
    imagined: float = 0.25
    distance_expectile: float = 0.2
    value_expectile: float = 0.7
    target_rate: float = 0.02
    others: float = 0.05
    detour: float = 2.0
    still: float = 1 / 12
    objects: int = 6
    stride: int = 5
    macro: int = 8
    information: float = 0.002
    selection: Selection = field(default_factory=Selection)

    def to_dict(self) -> dict:
        """A JSON-serialisable dict."""
        return asdict(self)

    def __post_init__(self):
        for name, least in (
            ("steps", 1),
            ("batch", _LEAST_BATCH),
            ("far", 1),
            ("seed", 0),
            ("objects", 0),
            ("stride", 0),
        ):
            if getattr(self, name) < least:
                raise JepaError(
                    f"training of heads: {name} is {getattr(self, name)}; it must be at least {least}"
                )
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise JepaError(
                f"training of heads: learning_rate is {self.learning_rate}; it must be positive and finite"
            )
        for name in (
            "imagined",
            "distance_expectile",
            "value_expectile",
            "target_rate",
            "others",
            "information",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise JepaError(f"training of heads: {name} is {getattr(self, name)}; it must be in [0, 1]")


def fit_heads(
    heads: Heads,
    episodes: LatentEpisodes,
    config: HeadTraining,
    progress: bool = True,
    candidates: Candidates | None = None,
) -> dict[str, float]:
    """Train all heads at once, each by its own loss; returns their mean losses at the end. With ``candidates`` the best of the
    weights on the way become the heads, and the losses are those on the way to them."""
    if config.imagined and not len(episodes.imagined_from):
        raise JepaError(
            "training of heads: no episode is long enough to imagine along it; record longer ones, or imagine less far"
        )
    candidates = candidates or Candidates(config.steps, None)
    starts = macro_starts(episodes, heads.slow.stride) if heads.slow else None
    target = copy.deepcopy(heads.critic).requires_grad_(False)
    slow_copies = [(target, heads.critic)]
    if heads.objects:
        seen, object_target = Seen.of(heads.objects, episodes), copy.deepcopy(heads.objects.critic)
        slow_copies.append((object_target.requires_grad_(False), heads.objects.critic))
    optimiser = torch.optim.AdamW(heads.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    # Ten steps or fewer do not warm up: a warm-up that ends with the first step divides by zero in OneCycleLR.
    warm_up = min(0.1, 100 / config.steps) if config.steps > 10 else 0.0
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=config.steps, pct_start=warm_up
    )
    heads.train()
    imagined, losses = round(config.imagined * config.batch), []
    steps = tqdm(range(config.steps), desc="heads", unit="step", mininterval=2, disable=not progress)
    for step in steps:
        rng = np.random.default_rng([config.seed, 2, step])
        pairs = real_pairs(episodes, config.batch - imagined, config.far, rng)
        if imagined:
            pairs += imagined_pairs(episodes, imagined, config.far, rng)
        ways = chunks(episodes, config.batch, config.far, heads.config.horizon, config.imagined, rng)
        terms = {
            "distance": distance_loss(heads, pairs, config.distance_expectile),
            "value": value_loss(heads, target, pairs, config.value_expectile),
            "policy": policy_loss(heads, ways, config),
        }
        if heads.objects:
            drawn = episodes, seen, config.batch
            terms["object_value"] = object_value_loss(
                heads.objects, object_target, *drawn, config.imagined, config.far, config.value_expectile, rng
            )
            terms["object_policy"] = object_policy_loss(
                heads, *drawn, config.far, config.others, config.still, rng
            )
        if heads.slow:
            terms["slow"] = slow_loss(heads.slow, episodes, starts, config.batch, config.information, rng)
        optimiser.zero_grad(set_to_none=True)
        sum(terms.values()).backward()
        trained = heads.quasimetric, heads.critic, heads.chunks, heads.slow
        if heads.objects:
            trained += heads.objects.critic, heads.objects.chunks
        for head in filter(None, trained):
            torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            for copied, critic in slow_copies:
                for slow, fast in zip(copied.parameters(), critic.parameters(), strict=True):
                    slow.lerp_(fast, config.target_rate)
        losses.append([value.item() for value in terms.values()])
        if not np.isfinite(losses[-1]).all():
            raise JepaError(f"training of heads: the losses are {losses[-1]} at step {step}")
        if candidates.are_due(step + 1, config.steps):
            found = candidates.consider(step + 1, heads)
            if progress:
                steps.write(f"heads, {in_words(found)}")
    heads.eval()
    kept = config.steps
    if candidates.tried:
        heads.load_state_dict(candidates.weights)
        kept = candidates.best["step"]
    last = np.mean(losses[max(0, kept - 100) : kept], 0)
    return {f"heads_{name}_loss": float(v) for name, v in zip(terms, last, strict=True)}


def distance_loss(heads: Heads, pairs: Pairs, expectile: float) -> Tensor:
    """On pairs of known time, in log(1 + blocks): an error of a tenth of the way counts as much near as far."""
    known = pairs.blocks.isfinite()
    found = heads.distance(pairs.start[known], pairs.goal[known])
    return expectile_loss(torch.log1p(pairs.blocks[known]) - torch.log1p(found), expectile)


def value_loss(heads: Heads, target, pairs: Pairs, expectile: float) -> Tensor:
    """target: the critic whose values are backed up. Where the goal lies within the block that follows, it is reached."""
    gamma = heads.config.gamma
    with torch.no_grad():
        backup = gamma * target(pairs.following, pairs.goal)
        aim = torch.where(pairs.blocks <= 1, gamma**pairs.blocks, backup)
    return expectile_loss(aim - heads.value(pairs.start, pairs.goal), expectile)


def policy_loss(heads: Heads, ways: Chunks, config: HeadTraining) -> Tensor:
    """``cloning_loss`` on recorded ways, those with detours counted less, those that only wait not at all."""
    proposals = heads.policy(ways.latents, ways.proprio, ways.past, ways.goal)
    with torch.no_grad():
        detour = ways.blocks - heads.distance(ways.latents[:, -1], ways.goal)
        weight = torch.exp(-detour.clamp(min=0) / config.detour) * (~waits(ways, heads, config.still))
    return cloning_loss(proposals, ways.actions, heads.chunks.reach, config.others, weight)


def waits(ways: Chunks, heads: Heads, still: float) -> Tensor:
    """(B,) whether the first block of a way is one without motion (see HeadTraining), and the goal lies after it."""
    first = ways.actions[:, 0].unflatten(1, (heads.spec.block, heads.spec.dim))
    return rests(first, heads.chunks.reach, still) & (ways.blocks > 1)


def train_heads(
    model: WorldModel,
    train: ClipDataset,
    validation: ClipDataset,
    config: HeadTraining,
    progress: bool = True,
    candidates: Candidates | None = None,
) -> tuple[Heads, dict[str, float]]:
    """Heads of a finished world model, trained on the clips' episodes and the best of ``candidates`` where there are some, with
    their losses and what ``head_ranks`` and ``slow_errors`` say on the held-out ones."""
    horizon = HeadsConfig.horizon
    episodes = latent_episodes(model, train, horizon)
    stride = config.stride if len(macro_starts(episodes, config.stride)) else 0
    architecture = HeadsConfig(
        horizon=horizon,
        proprioception=model.config.proprioception,
        stride=stride,
        macro=config.macro,
        objects=config.objects,
    )
    heads, told = untrained(architecture, model, config.seed), {}
    if heads.objects:
        steps = min(config.steps, FEATURE_STEPS)
        told["objects_told_by_joints"] = fit_features(heads.objects, episodes, config.seed, steps, progress)
        if told["objects_told_by_joints"] > TOLD_BY_JOINTS:
            heads = untrained(replace(architecture, objects=0), model, config.seed)
    losses = fit_heads(heads, episodes, config, progress, candidates)
    heads.load_state_dict(halved(heads))  # what follows is of the heads as they are kept
    if candidates is not None and candidates.tried:
        told["chosen_step"] = candidates.best["step"]
    held_out = latent_episodes(model, validation, 1)
    ranks = {name: rank for name, rank in head_ranks(heads, held_out).items() if rank is not None}
    errors = slow_errors(heads.slow, held_out) if heads.slow else {}
    found = told | {f"rank_{name}": rank for name, rank in ranks.items()}
    found |= {f"slow_error_{name}": error for name, error in errors.items()}
    return heads, losses | {f"heads_{name}": value for name, value in found.items()}


def untrained(config: HeadsConfig, model: WorldModel, seed: int) -> Heads:
    """Heads for a world model, where it is."""
    torch.manual_seed(seed)
    heads = Heads(config, model.latent_dim, model.context, model.spec)
    heads.proprio_mean.copy_(model.proprio_mean)
    heads.proprio_std.copy_(model.proprio_std)
    return heads.to(model.device)
