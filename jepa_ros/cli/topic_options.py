"""Options of every command that reads bags: which topic plays which role."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jepa_ros.data.topics import Topics

SINGLE = {
    "image": "full name, where bags hold several cameras",
    "joint_states": "full name, where bags hold several",
    "command": "full name of the JointTrajectory topic, where bags hold several",
}


def add_topic_options(parser: argparse.ArgumentParser) -> None:
    """--topics FILE, and --image-topic, --joint-states-topic, --command-topic, which go before it."""
    parser.add_argument("--topics", type=Path, metavar="FILE", help="YAML with the topic of each role")
    for role, words in SINGLE.items():
        parser.add_argument(f"--{role.replace('_', '-')}-topic", metavar="NAME", help=words)


def chosen_topics(args: argparse.Namespace) -> Topics:
    """The Topics that the options name."""
    from jepa_ros.data.topics import Topics

    topics = Topics.from_yaml(args.topics) if args.topics else Topics()
    given = {role: getattr(args, f"{role}_topic") for role in SINGLE}
    return replace(topics, **{role: name for role, name in given.items() if name})
