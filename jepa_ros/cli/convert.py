"""`jepa convert`: bags to a LeRobot v3 dataset, or such a dataset to bags."""

import argparse
import sys
from pathlib import Path

from jepa_ros.cli.action_spec_option import add_action_spec_option, read_action_spec
from jepa_ros.cli.reading_options import add_boundary_option
from jepa_ros.cli.topic_options import add_topic_options, chosen_topics
from jepa_ros.errors import JepaError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jepa convert`."""
    parser.add_argument("--to", choices=("lerobot", "bags"), required=True, help="what to make")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to make")
    parser.add_argument(
        "--image-size",
        type=int,
        nargs="+",
        metavar="PIXELS",
        help="of images: one number for a square, or height and width; default: as they are",
    )
    add_action_spec_option(
        parser, "ActionSpec (default: what bags or dataset carry, else made from the dataset)"
    )
    to_lerobot = parser.add_argument_group("--to lerobot")
    to_lerobot.add_argument("--bags", nargs="+", metavar="DIR", help="bags, or folders of bags")
    pixels = to_lerobot.add_mutually_exclusive_group()
    pixels.add_argument(
        "--video", action="store_true", help="keep video, H.264 (the default): small, not exact"
    )
    pixels.add_argument(
        "--images", action="store_true", help="keep PNG images: exact, and best for small ones"
    )
    to_lerobot.add_argument("--task", metavar="TEXT", help="what the arm does, in words")
    add_boundary_option(to_lerobot)
    add_topic_options(to_lerobot)
    to_bags = parser.add_argument_group("--to bags")
    to_bags.add_argument("--lerobot", type=Path, metavar="DIR", help="the dataset's folder")
    to_bags.add_argument("--camera", metavar="KEY", help="which camera, where there are several")
    to_bags.add_argument("--degrees", action="store_true", help="states and actions are in degrees")
    to_bags.add_argument(
        "--joint-names", nargs="+", metavar="NAME", help="our names of the dataset's joints, in its order"
    )
    to_bags.add_argument(
        "--rate-hz",
        type=float,
        metavar="HZ",
        help="of the ActionSpec made from data; default: its frame rate",
    )


def run(args: argparse.Namespace) -> int:
    """Convert and print what was made."""
    source = {"lerobot": args.bags, "bags": args.lerobot}[args.to]
    if source is None:
        raise JepaError(f"--to {args.to} needs {'--bags' if args.to == 'lerobot' else '--lerobot'}")
    common = {
        "spec": read_action_spec(args.action_spec),
        "image_size": _size(args.image_size),
        "progress": sys.stderr.isatty(),
    }
    if args.to == "lerobot":
        from jepa_ros.data.lerobot.export_bags import export_bags

        report = export_bags(
            args.bags,
            args.out,
            topics=chosen_topics(args),
            boundaries=args.boundaries,
            video=not args.images,
            task=args.task,
            **common,
        )
    else:
        from jepa_ros.data.lerobot.import_bags import import_dataset

        report = import_dataset(
            args.lerobot,
            args.out,
            camera=args.camera,
            degrees=args.degrees,
            joint_names=args.joint_names,
            rate_hz=args.rate_hz,
            **common,
        )
    print(report)
    return 0


def _size(numbers: list[int] | None) -> tuple[int, int] | None:
    if numbers is None:
        return None
    if len(numbers) > 2 or min(numbers) < 1:
        raise JepaError(f"--image-size {numbers}: give one number, or height and width")
    return numbers[0], numbers[-1]
