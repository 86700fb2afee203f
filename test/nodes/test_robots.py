"""Every robot preset: parameters are declared and in range, limits are the manufacturer's or stricter."""

import math

import numpy as np
import pytest
import yaml

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.nodes.action_publisher import ActionPublisherNode
from jepa_ros.nodes.base.robot import ROBOT_PARAMS
from jepa_ros.nodes.bringup.graph import Graph, find
from jepa_ros.nodes.bringup.preset import BRINGUP, read_preset
from jepa_ros.nodes.describe.reference import NODES
from jepa_ros.nodes.encoder import EncoderNode
from jepa_ros.simulation import arm

ROBOTS = sorted(path.stem for path in find("config/robots").glob("*.yaml"))
SO101 = {
    "joint_names": arm.JOINT_NAMES,
    "position_lower": arm.POSITION_LOWER,
    "position_upper": arm.POSITION_UPPER,
    "velocity": arm.VELOCITY,
    "acceleration": arm.ACCELERATION,
}
PUBLISHED = {
    "so101": SO101,
    "mock_hardware": SO101,
    "ur5e": {  # user manual; ur_description (elbow); acceleration: ur_moveit_config
        "joint_names": tuple(
            f"{joint}_joint"
            for joint in ("shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3")
        ),
        "position_lower": np.radians([-360, -360, -180, -360, -360, -360]),
        "position_upper": np.radians([360, 360, 180, 360, 360, 360]),
        "velocity": np.full(6, math.pi),
        "acceleration": np.full(6, 5.0),
    },
    "panda": {  # Franka: limits for Franka Emika Robot
        "joint_names": tuple(f"panda_joint{i}" for i in range(1, 8)),
        "position_lower": np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973]),
        "position_upper": np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973]),
        "velocity": np.array([2.175] * 4 + [2.61] * 3),
        "acceleration": np.array([15, 7.5, 10, 12.5, 15, 20, 20]),
    },
}


def flat(values, prefix=""):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def parameters(robot, node):
    """What the preset's files say to a node, the later ones stronger."""
    found = {}
    for path in read_preset(robot).files:
        content = yaml.safe_load(path.read_text())
        for key in ("/**", f"/**/{node}"):
            found |= dict(flat(content.get(key, {"ros__parameters": {}})["ros__parameters"]))
    return found


def spec(robot):
    given = parameters(robot, "action_publisher")
    names = ("joint_names", "rate_hz", "block", "lower", "upper", "position_lower", "position_upper")
    return ActionSpec(**{name: given[f"robot.{name}"] for name in names})


@pytest.mark.parametrize("robot", ROBOTS)
def test_every_parameter_is_declared_and_in_range(robot):
    tables = {node.NAME: {param.name: param for param in node.PARAMS} for node in NODES}
    tables[""] = {param.name: param for param in ROBOT_PARAMS}
    for path in read_preset(robot).files:
        for key, section in yaml.safe_load(path.read_text()).items():
            if key != BRINGUP:
                table = tables[key.removeprefix("/**").removeprefix("/")]
                for name, value in flat(section["ros__parameters"]):
                    assert name in table, f"{path.name}, {key}: {name}"
                    table[name].coerce(value)


@pytest.mark.parametrize("robot", ROBOTS)
def test_limits_are_the_manufacturers_or_stricter_and_hold_the_actions(robot):
    given, published, actions = parameters(robot, "action_publisher"), PUBLISHED[robot], spec(robot)
    assert actions.joint_names == published["joint_names"]
    rounding = 1e-3
    assert np.all(np.array(actions.position_lower) >= published["position_lower"] - rounding)
    assert np.all(np.array(actions.position_upper) <= published["position_upper"] + rounding)
    velocity = np.array(given["limits.velocity"])
    assert np.all(velocity <= published["velocity"] + rounding)
    assert np.all(np.array(given["limits.acceleration"]) <= published["acceleration"] + 0.1)
    fastest = np.maximum(np.abs(actions.lower), actions.upper) * actions.rate_hz
    assert np.all(fastest <= velocity), f"an action asks for {fastest} rad/s, the limit is {velocity}"


@pytest.mark.parametrize("robot", ROBOTS)
def test_a_preset_is_a_dry_run_of_its_own_and_names_its_topics(robot):
    assert parameters(robot, "action_publisher")["dry_run"] is True
    bringup = read_preset(robot).bringup
    for topic in ("image_topic", "camera_info_topic", "joint_state_topic", "command_topic"):
        assert bringup[topic].startswith("/")


@pytest.mark.parametrize("robot", ROBOTS)
def test_the_guard_configures_with_it(robot, world, checkpoint, tmp_path, monkeypatch):
    warnings = []
    monkeypatch.setattr(
        "rclpy.impl.rcutils_logger.RcutilsLogger.warning", lambda self, text, **_: warnings.append(text)
    )
    graph = Graph(namespace=world.namespace, robot=robot, checkpoint=checkpoint, simulator=False)
    (process,) = (p for p in graph.processes(tmp_path) if p.executable == "action_publisher")
    node = world.make(ActionPublisherNode, cli_args=process.arguments)
    assert tuple(node.param("robot.joint_names")) == PUBLISHED[robot]["joint_names"]
    assert node.param("dry_run") is True and node.param("auto_arm") is False
    assert not warnings


def test_a_checkpoint_of_another_arm_is_refused_with_both_sides_printed(world, tmp_path):
    graph = Graph(namespace=world.namespace, robot="ur5e", simulator=False)
    (process,) = (p for p in graph.processes(tmp_path) if p.executable == "encoder")
    node = world.make(EncoderNode, start=False, cli_args=process.arguments)
    assert not node.start()
    for words in ("ActionSpec", "shoulder_lift_joint", "elbow_flex", "checkpoint", "robot of node encoder"):
        assert words in node.failure


def test_a_file_of_your_own_builds_on_a_preset(tmp_path):
    mine = tmp_path / "my_ur5e.yaml"
    mine.write_text(
        f"{BRINGUP}: {{ros__parameters: {{based_on: ur5e, image_topic: /wrist/image}}}}\n"
        "/**/action_publisher: {ros__parameters: {limits: {position_margin: [0.2]}}}\n"
    )
    preset = read_preset(str(mine))
    assert preset.files == (find("config/robots/ur5e.yaml"), mine)
    assert preset.bringup["image_topic"] == "/wrist/image"
    assert preset.bringup["command_topic"] == "/scaled_joint_trajectory_controller/joint_trajectory"
    assert parameters(str(mine), "action_publisher")["limits.position_margin"] == [0.2]


@pytest.mark.parametrize(
    "text, says",
    [
        ("[1, 2]", "map of node names"),
        ("a: [", "cannot be read as YAML"),
        (f"{BRINGUP}: {{image_topic: /a}}", "ros__parameters"),
        (f"{BRINGUP}: {{ros__parameters: {{image_topik: /a}}}}", "image_topik.*image_topic"),
        (f"{BRINGUP}: {{ros__parameters: {{driver_arguments: a:=b}}}}", "list of texts"),
        (f"{BRINGUP}: {{ros__parameters: {{image_topic: 3}}}}", "must be a text"),
        (f"{BRINGUP}: {{ros__parameters: {{based_on: arm.yaml}}}}", "leads back"),
        (f"{BRINGUP}: {{ros__parameters: {{based_on: ur6}}}}", "ur5e"),
    ],
)
def test_a_mistake_in_a_robot_file_is_named(text, says, tmp_path):
    (tmp_path / "arm.yaml").write_text(text)
    with pytest.raises(JepaError, match=says):
        read_preset(str(tmp_path / "arm.yaml"))
