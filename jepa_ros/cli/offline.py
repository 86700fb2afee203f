"""`jepa offline`: recorded bags and checkpoints in, figures and a report out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from jepa_ros.cli.checkpoint_options import add_runtime_option
from jepa_ros.cli.reading_options import add_boundary_option
from jepa_ros.cli.topic_options import add_topic_options, chosen_topics
from jepa_ros.errors import JepaError

_MARKS = {"good": "+", "bad": "!", "note": "-"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jepa offline`."""
    parser.add_argument("--bags", nargs="+", required=True, metavar="BAG", help="bags, or folders of bags")
    parser.add_argument(
        "--checkpoint",
        action="append",
        required=True,
        metavar="CKPT",
        help="a directory that `jepa train --out` wrote, or the name of a model in models/; give it twice to compare two",
    )
    add_runtime_option(parser)
    parser.add_argument("--report", type=Path, metavar="DIR", help="write report.html and plots/ there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    add_topic_options(parser)
    add_boundary_option(parser)
    parser.add_argument(
        "--horizon", type=int, default=5, metavar="H", help="blocks to predict and to plan ahead"
    )
    parser.add_argument(
        "--plan-every", type=float, default=2.0, metavar="S", help="recorded seconds between two plans"
    )
    parser.add_argument("--no-plans", action="store_true", help="leave out what needs planning")
    parser.add_argument("--seed", type=int, default=0, help="of every random draw")


def run(args: argparse.Namespace) -> int:
    """Evaluate, write what was asked for, say what was found."""
    import torch

    from jepa_ros.evaluation.offline.offline import Settings, run_offline
    from jepa_ros.evaluation.report import require_writable, write_json
    from jepa_ros.export.choose import with_runtime
    from jepa_ros.nodes.bringup.graph import find_checkpoint
    from jepa_ros.world_model.checkpoint import load_checkpoint

    if len(args.checkpoint) > 2:
        raise JepaError(f"--checkpoint was given {len(args.checkpoint)} times; one, or two to compare")
    settings = Settings(args.horizon, args.plan_every, seed=args.seed, plans=not args.no_plans)
    if args.json:
        require_writable(args.json)
    if args.report:
        require_folder(args.report)

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    torch.set_num_threads(1)  # as the live nodes: the arithmetic is the same, to the bit
    checkpoints = [
        with_runtime(load_checkpoint(find_checkpoint(name)), args.runtime, say=say)
        for name in args.checkpoint
    ]
    outcome = run_offline(
        args.bags,
        checkpoints,
        settings,
        topics=chosen_topics(args),
        boundaries=args.boundaries,
        progress=sys.stderr.isatty(),
    )
    result = outcome.result
    if args.json:
        write_json(args.json, result)
    if args.report:
        from jepa_ros.evaluation.offline_report.report import write_report

        print(f"report: {write_report(args.report, result, outcome.thumbnails)}")
    for finding in sorted(result["findings"], key=lambda f: ("bad", "note", "good").index(f["tone"])):
        print(f" {_MARKS[finding['tone']]} {finding['text']} {finding['todo']}".rstrip())
    if result["comparison"]:
        print(result["comparison"]["verdict"])
    speed = result["speed"]
    print(
        f"{speed['recorded_s']:.1f} s recorded, evaluated in {speed['spent_s']:.1f} s: "
        f"{speed['times_real_time']:.1f} times real time"
    )
    return 0


def require_folder(folder: Path) -> None:
    """Make the report's folder now; JepaError where that cannot be, before the bags are read."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JepaError(f"--report {folder}: {error.strerror or error}; choose another folder") from error
