"""What a bag says of its origin: checkpoint, parameters, commit, ActionSpec. No ROS import here."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

import yaml

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.topics import absolute, base_of
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.provenance import source_commit
from jepa_ros.nodes.actor.model_card import read_card
from jepa_ros.nodes.bringup.graph import find_checkpoint
from jepa_ros.world_model.trust import HEADS, WEIGHTS, file_sha256, model_id_of

_SPEC_FIELDS = ("joint_names", "rate_hz", "block", "lower", "upper", "position_lower", "position_upper")


def origin(namespace: str, recorder: str) -> dict:
    """What is known before anything else: namespace, recorder, date (UTC), commit."""
    return {
        "namespace": base_of(namespace) or "/",
        "recorder": recorder,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": source_commit(),
    }


@cache
def describe_checkpoint(checkpoint: str) -> tuple[dict, ActionSpec | None]:
    """checkpoint (its path) and, as far as it lies on this machine, sha256 of the weights, model_id, heads_sha256 where it has
    heads; and the robot that it was trained for."""
    try:
        folder = find_checkpoint(checkpoint)
    except JepaError:
        return {"checkpoint": checkpoint}, None
    found, spec = {"checkpoint": str(folder)}, None
    try:
        sha256 = file_sha256(folder / WEIGHTS)
        found |= {"sha256": sha256, "model_id": model_id_of(sha256)}
        if (folder / HEADS).is_file():
            found["heads_sha256"] = file_sha256(folder / HEADS)
        spec = read_card(str(folder)).spec
    except (JepaError, OSError):
        pass  # the bag then says less
    return found, spec


def describe(parameters: Mapping[str, Mapping[str, object]], checkpoint: str = "") -> dict:
    """What the nodes' parameters (full node name to values) tell: parameters, the checkpoint, action_spec.

    checkpoint: "" takes the parameter of that name. action_spec is the robot's: that of `robot.*`, and the checkpoint's where
    it does not contradict that.
    """
    parameters = {node: dict(values) for node, values in sorted(parameters.items())}
    named = [values.get("checkpoint") for values in parameters.values()]
    checkpoints = [name for name in (checkpoint, *named) if isinstance(name, str) and name]
    found, trained_for = describe_checkpoint(checkpoints[0]) if checkpoints else ({}, None)
    spec = _robot_spec(parameters, trained_for)
    return {"parameters": parameters, **found, **({"action_spec": spec.to_dict()} if spec else {})}


def read_params_file(path: str | Path, namespace: str) -> dict[str, dict[str, object]]:
    """Node to flat parameters, from a ROS 2 parameter file; `/**` stays a key of its own."""
    try:
        content = yaml.safe_load(Path(path).read_text()) or {}
        nodes = {
            absolute(key.removeprefix("/**/"), namespace): _flat(values["ros__parameters"])
            for key, values in content.items()
        }
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise JepaError(f"params_file {path}: not a ROS 2 parameter file ({error!r})") from error
    return nodes


def _robot_spec(
    parameters: Mapping[str, Mapping[str, object]], trained_for: ActionSpec | None
) -> ActionSpec | None:
    """The contract of the recorded arm; None where `robot.*` says too little. A checkpoint for another arm may stand beside it:
    one that a launch file has by default, while an arm is recorded for which there is no model yet."""
    robot: dict[str, object] = {}
    for values in parameters.values():
        robot = {name: values[f"robot.{name}"] for name in _SPEC_FIELDS if f"robot.{name}" in values} | robot
    try:
        if trained_for and not replace(trained_for, **robot).differences(trained_for):
            return trained_for
    except (TypeError, ValueError, JepaError):
        pass  # of another number of joints
    try:
        return ActionSpec.from_dict(robot)
    except (TypeError, ValueError, JepaError):
        return None


def _flat(values: Mapping, prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
