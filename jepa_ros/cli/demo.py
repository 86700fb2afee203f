"""`jepa demo`: the whole ROS graph, a goal picture, and what came of it."""

import argparse
from pathlib import Path

from jepa_ros.cli.checkpoint_options import add_checkpoint_options
from jepa_ros.cli.checks import require_positive
from jepa_ros.errors import JepaError
from jepa_ros.nodes.bringup.files import shipped_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jepa demo`."""
    parser.epilog = (
        "Exit status: 0 if every goal was reached, 1 if not, 2 for an error, 130 after Ctrl-C. With several "
        "episodes, --require K makes K of them enough."
    )
    parser.add_argument("--task", default="reach", help="reach or push")
    parser.add_argument(
        "--seed", type=int, default=7, help="start and goal of the first episode; then upwards"
    )
    parser.add_argument("--episodes", type=int, default=1, help="how many goals, one after the other")
    parser.add_argument(
        "--require", type=int, metavar="K", help="successes needed for exit status 0 (default: all)"
    )
    parser.add_argument(
        "--composition",
        choices=("distributed", "single"),
        default="distributed",
        help="a process per node, or encoder, world model, cost and planner in one process",
    )
    parser.add_argument(
        "--goal-image",
        type=Path,
        metavar="FILE",
        help="a picture of how things should look, in place of a rendered goal; then the planner itself "
        "says whether it is reached",
    )
    parser.add_argument(
        "--sub-goals",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="pictures of how things should look on the way, in their order: each is passed before the next",
    )
    add_checkpoint_options(parser, default=None, note=" (default: reach; reach_push for push)")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds per goal")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo_output"),
        metavar="DIR",
        help="where filmstrip.png, plot.png, bag/, log/ and result.json go; an earlier demo's are replaced",
    )


def run(args: argparse.Namespace) -> int:
    """Bring up, drive, judge, tear down; see the epilog for the exit status."""
    require_positive(args, "episodes", "timeout")
    if args.seed < 0:
        raise JepaError(f"--seed is {args.seed}; it must not be negative")
    if args.require is not None and not 0 <= args.require <= args.episodes:
        raise JepaError(
            f"--require is {args.require}; it must lie in [0, {args.episodes}], the number of episodes"
        )
    from jepa_ros.cli.demo_session import run_demo

    if args.checkpoint is None:
        args.checkpoint = shipped_model(args.task)
    return run_demo(args)
