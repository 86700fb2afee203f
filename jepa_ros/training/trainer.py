"""The training loop: clips in, a checkpoint directory out, resumable at any time.

Every random draw comes from a generator seeded with (seed, step), so that a run that was stopped and resumed is the
run that was not, and one in several processes is the one in one.
"""

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.dataset import ClipDataset, clip_span, motions, statistics
from jepa_ros.data.episodes import Episode
from jepa_ros.data.heap import keep_for_reuse
from jepa_ros.data.mixture import require_every_share
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.provenance import source_commit
from jepa_ros.evaluation.trial import ClosedLoopTrial
from jepa_ros.training.augmentation import augment
from jepa_ros.training.batches import batches
from jepa_ros.training.calibration import calibrate
from jepa_ros.training.config import TrainingConfig
from jepa_ros.training.distributed import ALONE, Ranks
from jepa_ros.training.heads import HeadTraining, train_heads
from jepa_ros.training.journal import STATE, Journal
from jepa_ros.training.selection import Candidates, Selection
from jepa_ros.training.validation import goal_tolerance, validate
from jepa_ros.world_model.baselines import Baselines, save_baselines
from jepa_ros.world_model.checkpoint import save_calibration, save_checkpoint, save_heads, save_metrics
from jepa_ros.world_model.collapse import latent_health
from jepa_ros.world_model.losses import TargetEncoder, jepa_loss
from jepa_ros.world_model.model import WorldModel


@dataclass(frozen=True)
class Split:
    """Training and validation clips, with the statistics of the training part.

    reference_view: the camera's still background, (h, w, 3) uint8 RGB; of the standard scene where others were recorded.
    """

    train: ClipDataset
    validation: ClipDataset
    statistics: dict[str, np.ndarray]
    spec: ActionSpec
    reference_view: np.ndarray


def split_episodes(episodes: Sequence[Episode], spec: ActionSpec, config: TrainingConfig) -> Split:
    """Hold out every n-th motion with all its views. Episodes shorter than a clip are left out."""
    span = clip_span(config.clip, spec)
    episodes = [episode for episode in episodes if len(episode) >= span]
    groups = motions(episodes)
    if len(groups) < 2:
        raise JepaError(
            f"{len(groups)} different episode(s) of at least {span} frames at {spec.rate_hz:g} Hz (a clip of "
            f"{config.clip} frames, {spec.block} actions apart): at least 2 are needed, one of them for "
            "validation; record more or longer episodes"
        )
    every = max(2, round(1 / config.validation))
    apart = {i for group in groups[every - 1 :: every] or groups[-1:] for i in group}
    held_out = [e for i, e in enumerate(episodes) if i in apart]
    kept = [e for i, e in enumerate(episodes) if i not in apart]
    require_every_share(kept, config.mixture)
    stats = statistics(kept)
    spec = spec.with_statistics(stats["action_mean"], stats["action_std"])
    return Split(
        ClipDataset(kept, spec, config.clip, config.mixture),
        ClipDataset(held_out, spec, config.clip, config.mixture),
        stats,
        spec,
        reference_view([e for e in kept if not e.metadata.get("scene")] or kept),
    )


def train(
    episodes: Sequence[Episode],
    spec: ActionSpec,
    out: Path,
    config: TrainingConfig,
    data: dict,
    ranks: Ranks = ALONE,
) -> dict:
    """Train world model and baselines into the checkpoint directory ``out``; returns its metrics.

    data: what the bags were (digest, episode counts), kept in config.json. A run that finds its own unfinished state
    in ``out`` goes on from there; a state of other settings or data is refused. The world model is saved before baselines
    and heads are trained: where that fails, it is there, and the run may be repeated with other steps for them.
    ranks: the processes that fit the world model together, ``config.batch`` clips a step among them. All but the first are
    done then, and return nothing.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    out = make_folder(out) if ranks.first else Path(out)
    commit = source_commit()
    split = split_episodes(episodes, spec, config)
    # Of baselines and heads nothing is in it: they may be trained in another way when the run is repeated.
    selection = config.selection.without_heads
    later = ("baseline_steps", "head_steps", "objects", "head_select_every")
    fitted = {k: v for k, v in config.to_dict().items() if k not in later} | {"selection": asdict(selection)}
    fingerprint = hashlib.sha256(json.dumps([fitted, data], sort_keys=True).encode()).hexdigest()

    model = WorldModel(config.model, split.spec)
    _set_statistics(model, split)
    model.to(config.device)
    with trial_of(config.selection, model, ranks) as trial:
        candidates = Candidates(selection.every, trial) if selection.tasks else None
        speed = fit_world_model(model, split, out, config, fingerprint, ranks, candidates)
    ranks.leave()
    if not ranks.first:
        return {}
    if candidates is not None:
        model.load_state_dict(candidates.weights)
        speed["chosen_step"] = candidates.best["step"]
    torch.manual_seed(config.seed)  # what follows is the same after a stop
    metrics = validate(model, split.validation, config) | {k: round(v, 4) for k, v in speed.items()}
    started, tolerance = time.monotonic(), goal_tolerance(model, split.validation)
    save_checkpoint(
        out,
        model,
        {
            "goal_tolerance": tolerance,
            "metrics": metrics,
            "data": data,
            "training": config.to_dict(),
            **({"candidates": candidates.tried} if candidates is not None else {}),
            "commit": commit,
        },
        split.reference_view,
    )
    save_calibration(out, calibrate(model, split.train, split.validation, data.get("digest", "")))
    if config.baseline_steps:
        baselines = Baselines(config.model, split.spec)
        _set_statistics(baselines, split)
        metrics |= fit_baselines(baselines.to(config.device), split, config)
        save_baselines(out, baselines)
    if config.head_steps:
        by = replace(config.selection, every=config.head_select_every)
        how = HeadTraining(steps=config.head_steps, seed=config.seed, objects=config.objects, selection=by)
        with trial_of(by, model) as trial:
            of_heads = Candidates(by.every, trial and trial.of_heads(model, tolerance))
            heads, found = train_heads(model, split.train, split.validation, how, candidates=of_heads)
        metrics |= found
        save_heads(out, heads, {**how.to_dict(), "candidates": of_heads.tried})
        started += of_heads.seconds  # trials are no part of the training's time
    metrics["total_seconds"] = round(speed["training_seconds"] + time.monotonic() - started, 1)
    save_metrics(out, metrics)
    (out / STATE).unlink(missing_ok=True)
    return metrics


def make_folder(out: Path) -> Path:
    """The folder ``out``, made where it was not; JepaError where that cannot be, before hours are spent."""
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ".writable").touch()
        (out / ".writable").unlink()
    except OSError as error:
        raise JepaError(
            f"checkpoint folder {out}: cannot write there ({error.strerror}); choose another"
        ) from error
    return out


@contextmanager
def trial_of(
    selection: Selection, model: WorldModel, ranks: Ranks = ALONE
) -> Iterator[ClosedLoopTrial | None]:
    """What candidates are tried by in this process; None where there are no tasks, or another process tries them."""
    if not (selection.tasks and ranks.first):
        yield None
        return
    with closing(ClosedLoopTrial(selection.tasks, selection.seeds, model.spec, model.image_size)) as trial:
        yield trial


def fit_world_model(
    model: WorldModel,
    split: Split,
    out: Path,
    config: TrainingConfig,
    fingerprint: str,
    ranks: Ranks = ALONE,
    candidates: Candidates | None = None,
) -> dict[str, float]:
    """Optimise the JEPA loss; writes metrics and a resumable state; returns the seconds that took, resumptions included,
    and how fast it went. The weights on the way are tried as ``candidates``, in time that does not count."""
    optimiser = _optimiser(model, config)
    target = (
        TargetEncoder(model.encoder, config.loss.ema_decay) if config.loss.anti_collapse == "ema" else None
    )
    parts = {"model": model, "optimiser": optimiser, "target": target, "candidates": candidates}
    journal = Journal(out, fingerprint, config, ranks, **parts)
    coming = batches(split.train, config, range(journal.step, config.steps), ranks)
    keep_for_reuse()
    model.train()
    with journal, closing(coming):
        while journal.step < config.steps:
            batch, seed = journal.pace.next(coming)
            torch.manual_seed(seed)
            loss, terms, latents = jepa_loss(
                model,
                *batch,
                config.loss,
                target,
                autocast=config.autocast,
                two_views=config.augmentation == "views",
                across=ranks.mean,
            )
            values = ranks.mean(torch.stack([loss.detach(), *terms.values()])).tolist()
            if not math.isfinite(values[0]):
                raise JepaError(
                    f"the loss is {values[0]} at step {journal.step}: lower --learning-rate, or look for broken "
                    f"values in the bags; the state before is kept in {out / STATE}"
                )
            _descend(loss, model, optimiser, learning_rate(journal.step, config.steps, config), ranks)
            if target is not None:
                target.update(model.encoder)
            step = journal.stepped()
            if step % config.log_every == 0 or step == config.steps:
                names = ("loss", *terms)
                journal.row(dict(zip(names, values, strict=True)) | latent_health(ranks.gather(latents)))
            tried = candidates is not None and candidates.are_due(step, config.steps)
            if tried:
                with journal.pace.stopped():
                    journal.candidate(candidates.consider(step, model))
            if tried or step % config.save_every == 0 or step == config.steps:
                journal.save()
    model.eval()
    return {"training_seconds": journal.pace.seconds, **journal.pace.total()}


def fit_baselines(baselines: Baselines, split: Split, config: TrainingConfig) -> dict[str, float]:
    """Train the joint decoder and the behaviour-cloning policy on the same clips; returns their last mean losses.

    The policy's goal is a later frame of the same episode (hindsight goals), 1 .. L-1 blocks ahead.
    """
    optimiser = _optimiser(baselines, config)
    spec, losses = split.spec, []
    mean, std = (
        torch.tensor(x, dtype=torch.float32, device=config.device).repeat(spec.block)
        for x in (spec.mean, spec.std)
    )
    baselines.train()
    for step in tqdm(range(config.baseline_steps), desc="baselines", unit="step", mininterval=2):
        rng = np.random.default_rng([config.seed, 1, step])
        images, proprio, actions = split.train.sample(2 * config.batch, rng)
        if config.augmentation != "none":
            images = torch.from_numpy(augment(images.numpy(), rng.spawn(len(images))))
        images, proprio, actions = (x.to(config.device) for x in (images, proprio, actions))
        goals = images[torch.arange(len(images)), torch.from_numpy(rng.integers(1, config.clip, len(images)))]
        with torch.autocast(
            config.device.split(":")[0], dtype=config.autocast, enabled=config.autocast is not None
        ):
            joints = baselines.decode(images[:, 0])
            block = baselines.act(images[:, 0], goals, proprio[:, 0])
        decoding = F.mse_loss(
            joints.float(), (proprio[:, 0] - baselines.proprio_mean) / baselines.proprio_std
        )
        cloning = F.mse_loss(block.float(), (actions[:, 0] - mean) / std)
        _descend(decoding + cloning, baselines, optimiser, learning_rate(step, config.baseline_steps, config))
        losses.append((decoding.item(), cloning.item()))
    baselines.eval()
    decoding, cloning = np.mean(losses[-100:], axis=0)
    return {"baseline_decoding_loss": float(decoding), "baseline_cloning_loss": float(cloning)}


def reference_view(episodes: Sequence[Episode], frames: int = 101) -> np.ndarray:
    """The camera's still background: the median of frames spread over the episodes, (h, w, 3) uint8 RGB."""
    ends = np.cumsum([len(episode) for episode in episodes])
    spread = np.linspace(0, ends[-1] - 1, min(frames, ends[-1])).astype(int)
    places = [(int(np.searchsorted(ends, frame, side="right")), frame) for frame in spread]
    return np.median([episodes[e].images[frame - ends[e]] for e, frame in places], axis=0).astype(np.uint8)


def learning_rate(step: int, steps: int, config: TrainingConfig) -> float:
    """Linear warm-up, then a cosine to zero."""
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    return config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))


def _optimiser(module: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(module.parameters(), config.learning_rate, weight_decay=config.weight_decay)


def _descend(
    loss: Tensor, module: nn.Module, optimiser: torch.optim.Optimizer, rate: float, ranks: Ranks = ALONE
) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    ranks.average_gradients(module)
    nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimiser.step()


def _set_statistics(module: nn.Module, split: Split) -> None:
    module.proprio_mean.copy_(torch.from_numpy(split.statistics["proprio_mean"]))
    module.proprio_std.copy_(torch.from_numpy(split.statistics["proprio_std"]))
