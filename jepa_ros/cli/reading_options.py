"""Options of commands that read bags into episodes: where episodes begin, where the result is kept."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jepa_ros.data.boundaries import KINDS

if TYPE_CHECKING:
    from jepa_ros.data.cache import BagCache


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """--boundaries, --cache, --no-cache."""
    add_boundary_option(parser)
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep what the bags give there, for the next run; default: jepa_ros/bags in $XDG_CACHE_HOME or "
        "~/.cache, the newest 20 GB",
    )
    parser.add_argument("--no-cache", action="store_true", help="read every bag, keep nothing")


def add_boundary_option(parser: argparse.ArgumentParser) -> None:
    """--boundaries."""
    parser.add_argument(
        "--boundaries",
        nargs="+",
        choices=KINDS,
        default=["gaps"],
        help="what begins an episode: a gap in the data (always), a new goal, a message on the marker topic",
    )


def chosen_cache(args: argparse.Namespace) -> BagCache | None:
    """The cache that the options name; None for --no-cache."""
    from jepa_ros.data.cache import BagCache, default_folder

    return None if args.no_cache else BagCache(args.cache or default_folder())
