"""Which weights of a training are kept: the options of the commands that train."""

import argparse
from dataclasses import fields

from jepa_ros.training.selection import Selection


def add_selection_options(parser: argparse.ArgumentParser, default: str = "") -> None:
    """--select-tasks, --select-every, --select-episodes, --select-seed; what is not given is absent from what is parsed.

    default: what comes before Selection's own settings, in words.
    """

    def add(name: str, words: str, otherwise: object, **kind) -> None:
        shown = f"{words} (default: {default}{otherwise})"
        parser.add_argument(f"--select-{name}", default=argparse.SUPPRESS, help=shown, **kind)

    add(
        "tasks",
        "keep the weights on the way that reach most goals of these simulated tasks, and not the last ones; without a TASK "
        "nothing is chosen",
        "nothing is chosen",
        nargs="*",
        metavar="TASK",
    )
    add("every", "steps from one candidate to the next", Selection.every, type=int)
    add("episodes", "episodes of each task, for a candidate", Selection.episodes, type=int)
    parser.add_argument(
        "--select-seed",
        type=int,
        default=argparse.SUPPRESS,
        help=f"seed of the first of them, never one of demos or of reported evaluations (default: {Selection.seed})",
    )


def chosen_selection(args: argparse.Namespace, **otherwise) -> Selection:
    """What was given; else ``otherwise``, else Selection's own."""
    given = {
        f.name: getattr(args, f"select_{f.name}")
        for f in fields(Selection)
        if hasattr(args, f"select_{f.name}")
    }
    settings = otherwise | given
    return Selection(**settings | {"tasks": tuple(settings.get("tasks", ()))})
