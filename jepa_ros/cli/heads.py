"""`jepa heads`: a checkpoint and bags in, heads.safetensors beside the checkpoint's weights out."""

import argparse

from jepa_ros.cli.checkpoint_data import add_checkpoint_data, read_split
from jepa_ros.cli.selection_options import add_selection_options, chosen_selection


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jepa heads`."""
    add_checkpoint_data(parser)
    parser.add_argument("--steps", type=int, default=3000, help="optimiser steps")
    parser.add_argument("--batch", type=int, default=256, help="pairs, and chunks, per step")
    parser.add_argument("--far", type=int, default=20, help="blocks to the latest hindsight goal")
    parser.add_argument(
        "--imagined", type=float, default=0.25, help="share of pairs whose latents are imagined, 0 for none"
    )
    parser.add_argument(
        "--objects",
        type=int,
        default=6,
        help="features of what stays while the arm moves, such as where a cube lies; 0 for none",
    )
    parser.add_argument(
        "--stride", type=int, default=5, help="blocks of a step of the slow level, 0 for no slow level"
    )
    parser.add_argument("--macro", type=int, default=8, help="width of the slow level's actions")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=0, help="of every random draw")
    add_selection_options(parser)


def run(args: argparse.Namespace) -> int:
    """Read the bags, train, write heads.safetensors, print how well they rank."""
    from jepa_ros.training.heads import HeadTraining, train_heads
    from jepa_ros.training.selection import Candidates
    from jepa_ros.training.trainer import make_folder, trial_of
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
        objects=args.objects,
        stride=args.stride,
        macro=args.macro,
        selection=chosen_selection(args),
    )
    checkpoint = load_checkpoint(args.checkpoint, str(require_device(args.device)))
    make_folder(args.checkpoint)
    model = checkpoint.model
    with trial_of(config.selection, model) as trial:
        split, report = read_split(checkpoint, args)
        candidates = Candidates(
            config.selection.every, trial and trial.of_heads(model, checkpoint.goal_tolerance)
        )
        heads, metrics = train_heads(model, split.train, split.validation, config, candidates=candidates)
    how = {**config.to_dict(), "data": report.digest, "metrics": metrics, "candidates": candidates.tried}
    save_heads(args.checkpoint, heads, how)
    for name, value in metrics.items():
        print(f"{name:36s} {value:.4g}")
    if heads.objects is None:
        print(
            "objects: none (--objects 0, or nothing that stays while the arm moves was found in these bags)"
        )
    if heads.slow is None:
        print(f"slow level: none (--stride {args.stride}; an episode must last as long)")
    print(f"heads: {args.checkpoint / HEADS}")
    return 0
