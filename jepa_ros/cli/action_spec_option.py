"""`--action-spec`: the contract of a robot whose recordings do not carry one."""

import argparse
from pathlib import Path

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError


def add_action_spec_option(parser: argparse.ArgumentParser, words: str) -> None:
    """--action-spec FILE. words: what it is for."""
    shown = f"{words}: JSON, or a robot's parameter file"
    parser.add_argument("--action-spec", type=Path, metavar="FILE", help=shown)


def read_action_spec(path: Path | None) -> ActionSpec | None:
    """The contract in a JSON file, or under `robot` in a robot's parameter file; None for None."""
    if path is None:
        return None
    import yaml

    try:
        values = yaml.safe_load(path.read_text())  # JSON too
        if isinstance(values, dict) and "/**" in values:
            values = values["/**"]["ros__parameters"]["robot"]
        return ActionSpec.from_dict(values)
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise JepaError(
            f"--action-spec {path}: {error!r}; see docs/train_on_your_bags.md for the format"
        ) from error
