"""`jepa train`: bags in, a checkpoint directory out."""

import argparse
import json
from dataclasses import fields, replace
from pathlib import Path

from jepa_ros.cli.reading_options import add_reading_options, chosen_cache
from jepa_ros.cli.topic_options import add_topic_options, chosen_topics
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jepa train`."""
    parser.add_argument("--bags", nargs="+", required=True, metavar="DIR", help="bags, or folders of bags")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="CKPT", help="the checkpoint directory to write"
    )
    parser.add_argument("--steps", type=int, default=3000, help="optimiser steps")
    parser.add_argument("--batch", type=int, default=96, help="clips per step, of all processes together")
    parser.add_argument("--clip", type=int, default=6, help="frames per clip, one block apart")
    parser.add_argument("--learning-rate", type=float, default=1.5e-3, help="peak learning rate")
    parser.add_argument("--latent-dim", type=int, default=64, help="latent width D")
    parser.add_argument(
        "--encoder",
        choices=("conv", "vit_tiny"),
        default="conv",
        help="conv for small images, vit_tiny for larger ones",
    )
    parser.add_argument("--image-size", type=int, default=64, help="square image size in pixels")
    parser.add_argument(
        "--action-spec",
        type=Path,
        metavar="FILE",
        help="JSON with the ActionSpec of bags that do not carry one (bags not made by `jepa`)",
    )
    add_topic_options(parser)
    add_reading_options(parser)
    parser.add_argument("--block", type=int, default=4, help="raw actions per block, K")
    parser.add_argument(
        "--anti-collapse",
        choices=("sigreg", "vicreg", "ema"),
        default="sigreg",
        help="what keeps latents from collapsing",
    )
    parser.add_argument(
        "--regulariser", type=float, default=1.0, help="weight of what keeps them from collapsing"
    )
    parser.add_argument(
        "--slow-dims",
        type=int,
        default=0,
        metavar="N",
        help="the first N dimensions of the latent hold what stays while the arm moves, such as where a cube lies; 0 for none",
    )
    parser.add_argument(
        "--augmentation",
        choices=("none", "views"),
        default="none",
        help="views: see every clip once more with other light, colours, camera, and learn that it is the same",
    )
    parser.add_argument(
        "--baseline-steps",
        type=int,
        default=2000,
        help="steps for the baselines that `jepa evaluate` compares with; 0 for none",
    )
    parser.add_argument(
        "--head-steps",
        type=int,
        default=3000,
        help="steps for the heads: temporal distance, value critic, policy; 0 for none (`jepa heads` trains them later)",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="the encoder's arithmetic in training; bfloat16 is faster on CPUs that have it",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of each process")
    parser.add_argument("--seed", type=int, default=0, help="of every random draw")


def run(args: argparse.Namespace) -> int:
    """Read the bags, train, write the checkpoint."""
    from jepa_ros.data.bag_reader import read_episodes
    from jepa_ros.training.config import TrainingConfig
    from jepa_ros.training.distributed import join
    from jepa_ros.training.trainer import make_folder, train
    from jepa_ros.world_model.losses import LossConfig
    from jepa_ros.world_model.model import ModelConfig

    ranks = join(args.device)
    settings = {f.name: getattr(args, f.name) for f in fields(TrainingConfig) if hasattr(args, f.name)}
    config = TrainingConfig(
        **settings,
        loss=LossConfig(
            anti_collapse=args.anti_collapse, regulariser=args.regulariser, slow_dims=args.slow_dims
        ),
        model=ModelConfig(
            encoder=args.encoder, image_size=(args.image_size,) * 2, latent_dim=args.latent_dim
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
    spec = replace(report.spec, block=args.block)
    metrics = train(
        episodes,
        spec,
        args.out,
        config,
        {"digest": report.digest, "episodes": len(episodes), "frames": sum(map(len, episodes))},
        ranks,
    )
    if not ranks.first:
        return 0
    for name, value in metrics.items():
        print(f"{name:32s} {value:.4g}")
    print(export(args.out))
    print(f"checkpoint: {args.out}")
    return 0


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


def read_action_spec(path: Path | None) -> ActionSpec | None:
    """The contract in a JSON file; None for None."""
    if path is None:
        return None
    try:
        return ActionSpec.from_dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise JepaError(
            f"--action-spec {path}: {error}; see docs/train_on_your_bags.md for the format"
        ) from error
