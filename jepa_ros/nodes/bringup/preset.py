"""A robot's file in config/robots/: parameters of the nodes, and of the launch files. No ROS import here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from jepa_ros.errors import JepaError
from jepa_ros.nodes.bringup.files import find

BRINGUP = "/**/bringup"
"""The part for the launch files. No node is called so: the whole file is a parameter file of ROS."""
KEYS: dict[str, type] = {
    "based_on": str,
    "image_topic": str,
    "camera_info_topic": str,
    "joint_state_topic": str,
    "robot_description_topic": str,
    "command_topic": str,
    "driver_launch_package": str,
    "driver_launch_file": str,
    "driver_arguments": list,
}


@dataclass(frozen=True)
class Preset:
    """files: parameter files, the stronger ones later.  bringup: the launch arguments that it answers, by
    KEYS."""

    files: tuple[Path, ...]
    bringup: Mapping[str, str | list[str]]


def read_preset(robot: str) -> Preset:
    """The preset of a robot: a name in config/robots/, a YAML file, or "" for the simulated arm.

    ``based_on`` names another robot, or a file from where this one lies: that is read first, this adds to it.
    JepaError says what is wrong.
    """
    return _read(_path(robot, Path()) if robot else find("config/so101.yaml"), ())


def _path(robot: str, folder: Path) -> Path:
    if robot.endswith((".yaml", ".yml")):
        path = folder / robot
        if path.is_file():
            return path.resolve()
        raise JepaError(f"robot {robot}: there is no file {path}")
    try:
        return find(f"config/robots/{robot}.yaml")
    except JepaError:
        known = ", ".join(sorted(file.stem for file in find("config/robots").glob("*.yaml")))
        raise JepaError(
            f"robot {robot!r} has no preset; choose one of {known}, or give the path of a YAML file "
            "(docs/robots/your_own_arm.md)"
        ) from None


def _read(path: Path, above: tuple[Path, ...]) -> Preset:
    if path in above:
        raise JepaError(f"{path}: based_on leads back to this file")
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise JepaError(f"robot file {path}: cannot be read as YAML ({error})") from error
    if not isinstance(content, dict):
        raise JepaError(f"robot file {path}: expected a ROS parameter file, a map of node names")
    bringup = _bringup(path, content.get(BRINGUP))
    base = bringup.pop("based_on", None)
    if base is None:
        return Preset((path,), bringup)
    under = _read(_path(base, path.parent), (*above, path))
    return Preset((*under.files, path), {**under.bringup, **bringup})


def _bringup(path: Path, section) -> dict[str, str | list[str]]:
    if section is None:
        return {}
    values = section.get("ros__parameters") if isinstance(section, dict) else None
    if not isinstance(values, dict):
        raise JepaError(f"robot file {path}: {BRINGUP} needs a map under ros__parameters")
    for key, value in values.items():
        if key not in KEYS:
            raise JepaError(f"robot file {path}: {BRINGUP} has {key!r}; known: {', '.join(KEYS)}")
        words = value if KEYS[key] is list else [value]
        if not isinstance(value, KEYS[key]) or any(not isinstance(word, str) for word in words):
            kind = "a list of texts" if KEYS[key] is list else "a text"
            raise JepaError(f"robot file {path}: {key} is {value!r}; it must be {kind}")
    return dict(values)
