"""`jepa heads`: a checkpoint and bags in, heads.safetensors beside the checkpoint's weights out."""

from __future__ import annotations

import argparse
from pathlib import Path

from jepa_ros.cli.reading_options import add_reading_options, chosen_cache
from jepa_ros.cli.topic_options import add_topic_options, chosen_topics


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jepa heads`."""
    parser.add_argument(
        "--checkpoint", required=True, type=Path, metavar="CKPT", help="the checkpoint directory"
    )
    parser.add_argument(
        "--bags",
        nargs="+",
        required=True,
        metavar="DIR",
        help="bags, or folders of bags; best those of the training, so that its held-out episodes are held out",
    )
    add_topic_options(parser)
    add_reading_options(parser)
    parser.add_argument("--steps", type=int, default=3000, help="optimiser steps")
    parser.add_argument("--batch", type=int, default=256, help="pairs, and chunks, per step")
    parser.add_argument("--far", type=int, default=20, help="blocks to the latest hindsight goal")
    parser.add_argument(
        "--imagined", type=float, default=0.5, help="share of pairs whose latents are imagined, 0 for none"
    )
    parser.add_argument(
        "--stride", type=int, default=5, help="blocks of a step of the slow level, 0 for no slow level"
    )
    parser.add_argument("--macro", type=int, default=8, help="width of the slow level's actions")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="peak learning rate")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--seed", type=int, default=0, help="of every random draw")


def run(args: argparse.Namespace) -> int:
    """Read the bags, train, write heads.safetensors, print how well they rank."""
    import torch

    from jepa_ros.cli.calibrate import compare_data, split_settings
    from jepa_ros.data.bag_reader import read_episodes
    from jepa_ros.training.config import TrainingConfig
    from jepa_ros.training.heads import HeadTraining, train_heads
    from jepa_ros.training.trainer import make_folder, split_episodes
    from jepa_ros.world_model.checkpoint import load_checkpoint, save_heads
    from jepa_ros.world_model.device import require_device
    from jepa_ros.world_model.trust import HEADS

    config = HeadTraining(
        steps=args.steps,
        batch=args.batch,
        learning_rate=args.learning_rate,
        seed=args.seed,
        far=args.far,
        imagined=args.imagined,
        stride=args.stride,
        macro=args.macro,
    )
    checkpoint = load_checkpoint(args.checkpoint, str(require_device(args.device)))
    model = checkpoint.model
    data = TrainingConfig(
        model=model.config, device=args.device, threads=args.threads, **split_settings(checkpoint.config)
    )
    make_folder(args.checkpoint)
    torch.set_num_threads(data.threads)
    episodes, report = read_episodes(
        args.bags,
        checkpoint.spec,
        model.image_size,
        topics=chosen_topics(args),
        boundaries=args.boundaries,
        cache=chosen_cache(args),
        progress=True,
    )
    print(report)
    print(compare_data(report, checkpoint.config.get("data") or {}))
    split = split_episodes(episodes, checkpoint.spec, data)
    heads, metrics = train_heads(model, split.train, split.validation, config)
    save_heads(args.checkpoint, heads, {**config.to_dict(), "data": report.digest, "metrics": metrics})
    for name, value in metrics.items():
        print(f"{name:36s} {value:.3f}")
    if heads.slow is None:
        print(f"slow level: none (--stride {args.stride}; an episode must last as long)")
    print(f"heads: {args.checkpoint / HEADS}")
    return 0
