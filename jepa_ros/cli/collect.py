"""record simulated episodes as MCAP rosbags"""

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jepa collect`."""
    parser.add_argument("--task", choices=("reach", "push", "curtain"), default="reach", help="what is on the table")
    parser.add_argument(
        "--episodes", type=int, default=2800, help="how many; those already in DIR are not repeated"
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder of the bags, one per episode"
    )
    parser.add_argument("--frames", type=int, default=50, help="frames per episode, at 10 Hz")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the collection; evaluation has seeds of its own"
    )
    parser.add_argument("--image-size", type=int, default=64, help="square image size in pixels")
    parser.add_argument("--meshes", choices=("boxes", "full"), default="boxes", help="how the arm is drawn")
    parser.add_argument(
        "--random-scenes",
        type=int,
        default=0,
        metavar="N",
        help="let N random scenes see the same motion besides: colours, light, camera, distractors",
    )
    parser.add_argument("--workers", type=int, default=2, help="recording processes")


def run(args: argparse.Namespace) -> int:
    """Record what is missing in DIR and print how it went."""
    from jepa_ros.data.collect import CollectSettings, collect

    settings = CollectSettings(
        task=args.task,
        seed=args.seed,
        frames=args.frames,
        image_size=(args.image_size,) * 2,
        meshes=args.meshes,
        random_scenes=args.random_scenes,
    )
    result = collect(args.out, args.episodes, settings, workers=args.workers, progress=sys.stderr.isatty())
    print(f"{args.out}: {result}")
    return 0
