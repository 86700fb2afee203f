"""The robot's side of the ActionSpec contract, as parameters under `robot.`. They are the same in every node of a
graph, so they are given at start and stay."""

from dataclasses import replace

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.nodes.base.parameters import Param
from jepa_ros.simulation import arm

_A = len(arm.JOINT_NAMES)

_PARAMS = (
    Param(
        "robot.joint_names", list(arm.JOINT_NAMES), "Joints in the order of every action and joint vector."
    ),
    Param("robot.rate_hz", 10.0, "Raw actions per second.", 0.1, 1000.0),
    Param("robot.block", 4, "K, raw actions per block: what is executed between two looks.", 1, 1000),
    Param("robot.lower", [-0.12] * _A, "Lowest raw action of every joint, rad.", -100.0, 0.0),
    Param("robot.upper", [0.12] * _A, "Highest raw action of every joint, rad.", 0.0, 100.0),
    Param("robot.position_lower", arm.POSITION_LOWER.tolist(), "Lower position limits, rad.", -100.0, 100.0),
    Param("robot.position_upper", arm.POSITION_UPPER.tolist(), "Upper position limits, rad.", -100.0, 100.0),
)
ROBOT_PARAMS = tuple(replace(param, read_only=True) for param in _PARAMS)


def robot_spec(node) -> ActionSpec:
    """The ActionSpec that a node's `robot.*` parameters describe; JepaError where they contradict each
    other."""
    names = ("joint_names", "rate_hz", "block", "lower", "upper", "position_lower", "position_upper")
    return ActionSpec(**{name: node.param(f"robot.{name}") for name in names})
