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
    """The contract in a JSON file, or under `robot` in a robot's parameter file and those that it is based on; None for
    None."""
    if path is None:
        return None
    import yaml

    try:
        values = yaml.safe_load(path.read_text())  # JSON too
        if isinstance(values, dict) and any(str(key).startswith("/**") for key in values):
            values = _robot(path)
        return ActionSpec.from_dict(values)
    except JepaError as error:
        text = str(error)
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        text = repr(error)
    raise JepaError(f"--action-spec {path}: {text}; see docs/train_on_your_bags.md for the format")


def _robot(path: Path) -> dict:
    """`robot` of a robot's parameter file, over that of the files that it is based on."""
    from jepa_ros.nodes.bags.record_metadata import read_params_file
    from jepa_ros.nodes.bringup.preset import read_preset

    values: dict = {}
    for file in read_preset(str(path.resolve())).files:
        values |= read_params_file(file, "").get("/**", {})
    return {name.removeprefix("robot."): value for name, value in values.items() if name.startswith("robot.")}
