"""The training loop: clips in, a checkpoint directory out, resumable at any time.

Every random draw comes from a generator seeded with (seed, step), so that a run that was stopped and resumed is the
run that was not.
"""

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.dataset import ClipDataset, clip_span, motions, statistics
from jepa_ros.data.episodes import Episode
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.provenance import source_commit
from jepa_ros.training.augmentation import augment
from jepa_ros.training.calibration import calibrate
from jepa_ros.training.config import TrainingConfig
from jepa_ros.training.plots import plot_training
from jepa_ros.training.validation import goal_tolerance, validate
from jepa_ros.world_model.baselines import Baselines, save_baselines
from jepa_ros.world_model.checkpoint import save_calibration, save_checkpoint
from jepa_ros.world_model.collapse import latent_health
from jepa_ros.world_model.losses import TargetEncoder, jepa_loss
from jepa_ros.world_model.model import WorldModel

METRICS = "metrics.jsonl"
STATE = "training_state.pt"


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
    stats = statistics(kept)
    spec = spec.with_statistics(stats["action_mean"], stats["action_std"])
    return Split(
        ClipDataset(kept, spec, config.clip),
        ClipDataset(held_out, spec, config.clip),
        stats,
        spec,
        reference_view([e for e in kept if not e.metadata.get("scene")] or kept),
    )


def train(
    episodes: Sequence[Episode], spec: ActionSpec, out: Path, config: TrainingConfig, data: dict
) -> dict:
    """Train world model and baselines into the checkpoint directory ``out``; returns its metrics.

    data: what the bags were (digest, episode counts), kept in config.json. A run that finds its own unfinished state
    in ``out`` goes on from there; a state of other settings or data is refused.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    out = make_folder(out)
    commit = source_commit()
    split = split_episodes(episodes, spec, config)
    fingerprint = hashlib.sha256(json.dumps([config.to_dict(), data], sort_keys=True).encode()).hexdigest()

    model = WorldModel(config.model, split.spec)
    _set_statistics(model, split)
    model.to(config.device)
    seconds = fit_world_model(model, split, out, config, fingerprint)
    metrics = validate(model, split.validation, config)
    metrics["training_seconds"] = round(seconds, 1)
    started = time.monotonic()
    if config.baseline_steps:
        baselines = Baselines(config.model, split.spec)
        _set_statistics(baselines, split)
        metrics |= fit_baselines(baselines.to(config.device), split, config)
        save_baselines(out, baselines)
    metrics["total_seconds"] = round(seconds + time.monotonic() - started, 1)
    save_checkpoint(
        out,
        model,
        {
            "goal_tolerance": goal_tolerance(model, split.validation),
            "metrics": metrics,
            "data": data,
            "training": config.to_dict(),
            "commit": commit,
        },
        split.reference_view,
    )
    plot_training(out / METRICS, out / "training.png")
    save_calibration(out, calibrate(model, split.train, split.validation, data.get("digest", "")))
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


def fit_world_model(
    model: WorldModel, split: Split, out: Path, config: TrainingConfig, fingerprint: str
) -> float:
    """Optimise the JEPA loss; writes metrics and a resumable state; returns the seconds it took, resumptions included."""
    optimiser = _optimiser(model, config)
    target = (
        TargetEncoder(model.encoder, config.loss.ema_decay) if config.loss.anti_collapse == "ema" else None
    )
    step, spent = _resume(out, fingerprint, model, optimiser, target)
    started = time.monotonic()
    model.train()
    _cut_metrics(out / METRICS, step)
    with (
        open(out / METRICS, "a") as log,
        tqdm(total=config.steps, initial=step, desc="world model", unit="step", mininterval=2) as bar,
    ):
        while step < config.steps:
            rng = np.random.default_rng([config.seed, step])
            batch = training_batch(split.train, config, rng)
            torch.manual_seed(int(rng.integers(2**62)))
            two_views = config.augmentation == "views"
            loss, terms, latents = jepa_loss(
                model, *batch, config.loss, target, autocast=config.autocast, two_views=two_views
            )
            if not torch.isfinite(loss):
                raise JepaError(
                    f"the loss is {loss.item()} at step {step}: lower --learning-rate, or look for broken "
                    f"values in the bags; the state before is kept in {out / STATE}"
                )
            _descend(loss, model, optimiser, learning_rate(step, config.steps, config))
            if target is not None:
                target.update(model.encoder)
            step += 1
            bar.update()
            if step % config.log_every == 0 or step == config.steps:
                row = {
                    "step": step,
                    "loss": loss.item(),
                    **{k: v.item() for k, v in terms.items()},
                    **latent_health(latents),
                }
                log.write(json.dumps({k: round(v, 6) for k, v in row.items()}) + "\n")
                log.flush()
                bar.set_postfix(loss=f"{row['loss']:.3f}", rank=f"{row['effective_rank']:.1f}", refresh=False)
            if step % config.save_every == 0 and step < config.steps:
                _save_state(
                    out, fingerprint, step, spent + time.monotonic() - started, model, optimiser, target
                )
                plot_training(out / METRICS, out / "training.png")
    model.eval()
    spent += time.monotonic() - started
    _save_state(out, fingerprint, step, spent, model, optimiser, target)
    return spent


def training_batch(clips: ClipDataset, config: TrainingConfig, rng: np.random.Generator) -> list[Tensor]:
    """``config.batch`` clips as ``jepa_loss`` takes them, on the training device; of two views one after the other, the
    second augmented."""
    if config.augmentation == "none":
        batch = clips.sample(config.batch, rng)
    else:
        (seen, otherwise), proprio, actions = clips.sample_views(config.batch // 2, rng)
        images = torch.cat([seen, torch.from_numpy(augment(otherwise.numpy(), rng))])
        batch = images, proprio.repeat(2, 1, 1), actions.repeat(2, 1, 1)
    return [x.to(config.device, non_blocking=True) for x in batch]


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
            images = torch.from_numpy(augment(images.numpy(), rng))
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


def _descend(loss: Tensor, module: nn.Module, optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimiser.step()


def _set_statistics(module: nn.Module, split: Split) -> None:
    module.proprio_mean.copy_(torch.from_numpy(split.statistics["proprio_mean"]))
    module.proprio_std.copy_(torch.from_numpy(split.statistics["proprio_std"]))


def _save_state(out, fingerprint, step, seconds, model, optimiser, target) -> None:
    partial = (out / STATE).with_suffix(".partial")
    torch.save(
        {
            "fingerprint": fingerprint,
            "step": step,
            "seconds": seconds,
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
            "target": None if target is None else target.state_dict(),
        },
        partial,
    )
    partial.replace(out / STATE)


def _cut_metrics(path: Path, step: int) -> None:
    """Keep the rows up to ``step``: what was logged after the state was saved is logged again."""
    rows = path.read_text().splitlines(keepends=True) if step and path.is_file() else []
    path.write_text("".join(row for row in rows if json.loads(row)["step"] <= step))


def _resume(out, fingerprint, model, optimiser, target) -> tuple[int, float]:
    if not (out / STATE).is_file():
        return 0, 0.0
    state = torch.load(out / STATE, weights_only=True, map_location=model.proprio_mean.device)
    if state["fingerprint"] != fingerprint:
        raise JepaError(
            f"{out / STATE} is of a run with other settings or other bags: repeat that command to go on "
            "with it, or choose another --out, or delete the file to start over"
        )
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    if target is not None:
        target.load_state_dict(state["target"])
    return state["step"], state["seconds"]
