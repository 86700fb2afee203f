"""`jepa train`: bags in, a checkpoint directory out."""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jepa_ros.cli.action_spec_option import add_action_spec_option, read_action_spec
from jepa_ros.cli.reading_options import add_reading_options, chosen_cache
from jepa_ros.cli.selection_options import add_selection_options, chosen_selection
from jepa_ros.cli.topic_options import add_topic_options, chosen_topics
from jepa_ros.data.mixture import mixture_table, read_mixture, shared_out
from jepa_ros.errors import JepaError
from jepa_ros.training.presets import NAMES, PRESETS, Preset, chosen

if TYPE_CHECKING:
    from jepa_ros.data.episodes import Episode
    from jepa_ros.training.config import TrainingConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jepa train`."""
    parser.add_argument("--bags", nargs="+", required=True, metavar="DIR", help="bags, or folders of bags")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="CKPT", help="the checkpoint directory to write"
    )
    add_preset_options(parser)
    parser.add_argument("--learning-rate", type=float, default=1.5e-3, help="peak learning rate")
    parser.add_argument(
        "--encoder",
        choices=("conv", "vit_tiny"),
        default="conv",
        help="conv for small images, vit_tiny for larger ones",
    )
    parser.add_argument("--image-size", type=int, default=64, help="square image size in pixels")
    add_action_spec_option(parser, "ActionSpec of bags that do not carry one (bags not made by `jepa`)")
    add_topic_options(parser)
    add_reading_options(parser)
    parser.add_argument(
        "--block", type=int, help="raw actions per block, K (default: what the ActionSpec says)"
    )
    parser.add_argument(
        "--anti-collapse",
        choices=("sigreg", "vicreg", "ema"),
        default="sigreg",
        help="what keeps latents from collapsing",
    )
    parser.add_argument(
        "--unroll",
        type=int,
        default=0,
        help="blocks that the multi-step loss imagines open loop; 0: to the clip's end, 1: no such loss",
    )
    parser.add_argument(
        "--no-proprioception",
        dest="proprioception",
        action="store_false",
        help="the predictor and the policy do not see joint positions",
    )
    parser.add_argument(
        "--codes",
        type=int,
        default=0,
        metavar="Z",
        help="of a latent variable: so many futures of one action, for what happens by chance; 0: one future",
    )
    parser.add_argument(
        "--objects",
        type=int,
        default=6,
        help="features that the heads learn of what stays while the arm moves, such as where a cube lies; 0 for none",
    )
    parser.add_argument(
        "--behaviours",
        type=lambda text: text.split(","),
        metavar="LIST",
        help="train on what `jepa collect` drove with these alone, such as scripted,noisy (default: on all)",
    )
    parser.add_argument(
        "--baseline-steps",
        type=int,
        default=2000,
        help="steps for the baselines that `jepa evaluate` compares with; 0 for none",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of each process")
    parser.add_argument("--seed", type=int, default=0, help="of every random draw")


def add_preset_options(parser: argparse.ArgumentParser) -> None:
    """`--preset`, and the options that one may set."""
    parser.add_argument(
        "--preset",
        default="",
        metavar="NAME",
        help=f"begin with the settings of {', '.join(PRESETS)}; options that are given win over them",
    )
    plain = Preset()

    def add(name: str, words: str, **kind) -> None:
        shown = f"{words} (default: the preset's, else {getattr(plain, name)})"
        parser.add_argument(f"--{name.replace('_', '-')}", default=argparse.SUPPRESS, help=shown, **kind)

    add("steps", "optimiser steps", type=int)
    add("batch", "clips per step, of all processes together", type=int)
    add("clip", "frames per clip, one block apart", type=int)
    add("latent_dim", "latent width D", type=int)
    add(
        "augmentation",
        "views: see every clip once more with other light, colours, camera, and learn that it is the same",
        choices=("none", "views"),
    )
    add(
        "precision",
        "the encoder's arithmetic in training; bfloat16 is faster on CPUs that have it",
        choices=("float32", "bfloat16"),
    )
    add(
        "head_steps",
        "steps for the heads: temporal distance, value critic, policy; 0 for none (`jepa heads` trains them later)",
        type=int,
    )
    add(
        "slow_dims",
        "the first N dimensions of the latent hold what stays while the arm moves, such as where a cube lies; 0 for none",
        type=int,
        metavar="N",
    )
    parser.add_argument(
        "--loss-weight",
        action="append",
        default=[],
        metavar="TERM=W",
        help="weight of a term of the loss (default: the preset's, else its own); may be repeated",
    )
    parser.add_argument(
        "--mixture",
        nargs="*",
        default=argparse.SUPPRESS,
        metavar="NAME=WEIGHT",
        help="draw clips by weight, and not by how many each has; NAME is a folder of --bags, or a task that bags name "
        "(default: the preset's, else all clips alike, as --mixture without a NAME)",
    )
    add_selection_options(parser, default="the preset's, else ")
    add("head_select_every", "steps from one candidate of the heads to the next", type=int)


def chosen_preset(args: argparse.Namespace) -> Preset:
    """The settings of `--preset` with what was given in their place."""
    given = {name: getattr(args, name) for name in NAMES if hasattr(args, name)}
    weights = loss_weights(args.loss_weight)
    if "mixture" in given:
        given["mixture"] = read_mixture(given["mixture"])
    if "select_tasks" in given:
        given["select_tasks"] = tuple(given["select_tasks"])
    preset = chosen(args.preset, given)
    return replace(preset, loss_weights=preset.loss_weights | weights)


def with_recorded_tasks(config: TrainingConfig, episodes: list[Episode], told: bool) -> TrainingConfig:
    """Of the tasks that weights are to be chosen by those that the bags are of: who drives another robot is not tried in the
    simulator. told: say which are left out."""
    recorded = {episode.metadata.get("task") for episode in episodes}
    left_out = [task for task in config.selection.tasks if task not in recorded]
    if left_out and told:
        print(
            f"weights are not chosen by {', '.join(left_out)}: the bags are of other tasks, or of a robot "
            f"(--select-tasks {' '.join(left_out)} does it all the same)"
        )
    tasks = tuple(task for task in config.selection.tasks if task in recorded)
    return replace(config, selection=replace(config.selection, tasks=tasks))


def chosen_by(config: TrainingConfig) -> str:
    """What weights are chosen by, in words."""
    tasks, alone = config.selection.tasks, config.selection.without_heads.tasks
    needy = ", ".join(task for task in tasks if task not in alone)
    lines = [
        f"world model: chosen by {', '.join(alone)}" if alone else "world model: its last weights are taken"
    ]
    if needy:
        lines[0] += f"; {needy} cannot be driven without heads"
    if config.head_steps:
        lines.append(f"heads: chosen by {', '.join(tasks)}")
    elif needy:
        lines.append(f"heads: none are trained (--head-steps 0), so that nothing is chosen by {needy}")
    return "\n".join(lines)


def run(args: argparse.Namespace) -> int:
    """Read the bags, train, write the checkpoint."""
    from jepa_ros.data.bag_reader import read_episodes
    from jepa_ros.data.episodes import of_behaviours
    from jepa_ros.training.config import TrainingConfig
    from jepa_ros.training.distributed import join
    from jepa_ros.training.trainer import make_folder, train
    from jepa_ros.world_model.losses import LossConfig
    from jepa_ros.world_model.model import ModelConfig

    ranks = join(args.device)
    preset = asdict(chosen_preset(args))
    if ranks.first and args.preset:
        print(f"preset {args.preset}: {', '.join(f'{name} {value}' for name, value in preset.items())}")
    latent_dim, slow_dims, weights = (
        preset.pop(name) for name in ("latent_dim", "slow_dims", "loss_weights")
    )
    selection = {name: preset.pop(f"select_{name}") for name in ("tasks", "every", "episodes")}
    settings = {f.name: getattr(args, f.name) for f in fields(TrainingConfig) if hasattr(args, f.name)}
    config = TrainingConfig(
        **settings | preset,
        selection=chosen_selection(args, **selection),
        loss=LossConfig(
            anti_collapse=args.anti_collapse,
            unroll=args.unroll,
            slow_dims=slow_dims,
            **weights,
        ),
        model=ModelConfig(
            encoder=args.encoder,
            image_size=(args.image_size,) * 2,
            latent_dim=latent_dim,
            proprioception=args.proprioception,
            codes=args.codes,
        ),
    )
    spec = read_action_spec(args.action_spec)
    if ranks.first:
        make_folder(args.out)
    cache = chosen_cache(args)
    episodes, report = read_episodes(
        args.bags,
        spec,
        config.model.image_size,
        topics=chosen_topics(args),
        boundaries=args.boundaries,
        cache=cache,
        progress=ranks.first,
    )
    if ranks.first:
        print(report)
        if cache is not None:
            print(f"cache: {cache.folder}, {cache.size() / 1e6:.0f} MB (--no-cache keeps nothing)")
    data = {"digest": report.digest}
    if args.behaviours:
        episodes = of_behaviours(episodes, args.behaviours)
        data["behaviours"] = args.behaviours
    data |= {"episodes": len(episodes), "frames": sum(map(len, episodes))}
    episodes = shared_out(episodes, config.mixture, args.bags)
    if ranks.first and config.mixture:
        print(mixture_table(episodes, config.mixture))
    if not hasattr(args, "select_tasks"):
        config = with_recorded_tasks(config, episodes, ranks.first)
    if ranks.first and config.selection.tasks:
        print(chosen_by(config))
    spec = report.spec if args.block is None else replace(report.spec, block=args.block)
    metrics = train(episodes, spec, args.out, config, data, ranks)
    if not ranks.first:
        return 0
    for name, value in metrics.items():
        print(f"{name:32s} {value:.4g}")
    print(export(args.out))
    print(f"checkpoint: {args.out}")
    return 0


def loss_weights(words: list[str]) -> dict[str, float]:
    """What `--loss-weight TERM=W` replaces, by term."""
    from jepa_ros.world_model.losses import LOSS_TERMS

    weights = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in LOSS_TERMS:
            raise JepaError(f"--loss-weight {word}: unknown term {name!r}; known: {', '.join(LOSS_TERMS)}")
        try:
            weights[name] = float(value)
        except ValueError as error:
            raise JepaError(
                f"--loss-weight {word}: {value!r} is not a number; write it as {name}=1.0"
            ) from error
    return weights


def export(folder: Path) -> str:
    """Put an export beside the weights, so that ONNX Runtime computes them wherever they are used; says how that went.
    A checkpoint without one is as good, and slower."""
    from jepa_ros.export.writer import export_checkpoint
    from jepa_ros.world_model.checkpoint import load_checkpoint

    try:
        reached = export_checkpoint(load_checkpoint(folder))["verified"]["reached"]
    except JepaError as error:
        return f"not exported, so that torch will compute it: {error}"
    return f"exported for ONNX Runtime, equal to torch within {max(reached.values()):.0e}"
