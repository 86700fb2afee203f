"""`jepa doctor` over real DDS: the simulator as the robot, drivers with faults, a graph that runs."""

import json
import os

import numpy as np
import pytest
import yaml
from node_bench import make_checkpoint, make_spec
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory

from jepa_ros.cli.main import main
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.images import read_image
from jepa_ros.nodes.action_publisher import ActionPublisherNode
from jepa_ros.nodes.bringup.graph import Graph, find_checkpoint
from jepa_ros.nodes.cost import CostNode
from jepa_ros.nodes.doctor import listening
from jepa_ros.nodes.doctor.expected import expect
from jepa_ros.nodes.encoder import EncoderNode
from jepa_ros.nodes.planner import PlannerNode
from jepa_ros.nodes.simulator import SimulatorNode
from jepa_ros.nodes.wire import images
from jepa_ros.nodes.world_model import WorldModelNode
from jepa_ros.simulation import arm

# A busy test machine may be slow; what is tested is not its speed.
PATIENT = {
    "/**/planner": {"deadline_s": 0.0},
    "/**/action_publisher": {
        "max_plan_age": 60.0,
        "watchdog": {"plan_s": 60.0, "image_s": 10.0, "joint_state_s": 10.0},
    },
}


@pytest.fixture
def doctor(world, tmp_path, capsys, monkeypatch):
    """(*words, parameters) -> exit status, what --json wrote, standard output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(listening, "_ENOUGH_S", 1.0)  # twelve calls in this file

    def call(*words, parameters=None):
        (tmp_path / "params.yaml").write_text(
            yaml.safe_dump({k: {"ros__parameters": v} for k, v in (PATIENT | (parameters or {})).items()})
        )
        code = main(
            [
                "doctor",
                "--namespace",
                world.namespace,
                "--params-file",
                "params.yaml",
                "--json",
                "d.json",
                *words,
            ]
        )
        return code, json.loads((tmp_path / "d.json").read_text()), capsys.readouterr().out

    return call


def said(diagnosis, check, *levels):
    """ "where: what" of the findings of a check."""
    wanted = [
        f
        for f in diagnosis["findings"]
        if f["check"] == check and f["level"] in (levels or ("warn", "error"))
    ]
    assert all(f["do"] for f in wanted if f["level"] != "ok")
    return [f"{f['where']}: {f['what']}" for f in wanted]


class Driver:
    """Publishes messages of the bench, again and again."""

    def __init__(self, world):
        self.world = world

    def publish(self, kind, topic, make, period_s=0.05, reliable=True):
        """make: () -> message, with a header stamped now where it has one."""
        policy = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        node = self.world.bench
        publisher = node.create_publisher(kind, topic, QoSProfile(depth=5, reliability=policy))

        def send():
            message = make()
            if hasattr(message, "header"):
                message.header.stamp = node.get_clock().now().to_msg()
            publisher.publish(message)

        node.create_timer(period_s, send)

    def joints(self, topic="joint_states", names=arm.JOINT_NAMES):
        self.publish(JointState, topic, lambda: JointState(name=list(names), position=[0.0] * len(names)))


@pytest.fixture
def driver(world):
    return Driver(world)


def test_the_simulated_arm_is_well_until_its_camera_is_moved(world, doctor, tmp_path):
    simulator = world.make(SimulatorNode)
    code, well, out = doctor()
    assert code == 0 and well["errors"] == 0, out
    assert said(well, "view") == [] and said(well, "topics") == [] and said(well, "joints") == [], out
    shown = read_image(tmp_path / "doctor_view.png")
    assert shown.shape[1] > 900 and shown.shape[0] > 400
    assert well["latency"]["plan_s"] > 0 and "as in training" in out

    simulator.set_parameters([Parameter("disturbance", value="camera_moved")])
    _, moved, out = doctor("--picture", "moved/view.png")
    assert moved["view"]["similarity"] < well["view"]["similarity"] - 0.03
    assert moved["view"]["joint_error"] > well["view"]["joint_error"]
    (finding,) = said(moved, "view")
    assert "the picture has moved" in finding and "% left" in finding, out
    assert (read_image(tmp_path / "moved" / "view.png") != shown).any()


def test_a_checkpoint_of_another_robot_and_swapped_joints(world, driver, doctor, tmp_path_factory):
    world.make(SimulatorNode)
    spec = make_spec().to_dict() | {"block": 2, "upper": [0.05] * 6}
    other = make_checkpoint(tmp_path_factory.mktemp("other"), ActionSpec.from_dict(spec))
    code, found, out = doctor("--checkpoint", other)
    assert code == 1 and found["view"] is None and "Traceback" not in out
    assert [text.split(": ")[0].split()[-1] for text in said(found, "checkpoint", "error")] == [
        "upper",
        "block",
    ]

    newest = world.listen(JointState, "joint_states")
    newest.wait()
    names = list(arm.JOINT_NAMES)
    names[1], names[3] = names[3], names[1]
    driver.publish(
        JointState, "swapped", lambda: JointState(name=names, position=newest.messages[-1].position), 0.02
    )
    code, found, out = doctor("--joint-state-topic", "swapped")
    assert any("rad off joint_states" in text for text in said(found, "view")), out


def test_faulty_drivers_are_told_apart(world, driver, doctor):
    picture = images.to_msg(np.zeros((480, 640, 3), np.uint8), Header())
    driver.publish(Image, "image", lambda: picture, 0.1, reliable=False)
    driver.joints(names=(*arm.JOINT_NAMES[:5], "finger"))
    driver.publish(Clock, "/clock", lambda: Clock())
    code, found, out = doctor("--use-sim-time")
    assert code == 1, out
    topics = said(found, "topics", "error")
    assert any("publishes best effort, encoder and action_publisher read reliable" in text for text in topics)
    assert any("no controller listens" in text for text in topics)
    assert any("/clock: it stands still at 0.000 s" in text for text in said(found, "clock", "error"))
    assert any("joints ['gripper'] are missing" in text for text in said(found, "joints", "error"))

    readers = {"image_reliability": "best_effort"}
    fitting = {"/**/encoder": readers, "/**/action_publisher": PATIENT["/**/action_publisher"] | readers}
    _, found, out = doctor(parameters=fitting)
    assert any("most are lost" in text for text in said(found, "topics", "warn")), out
    assert not any("read reliable" in text for text in said(found, "topics")), out


def test_a_wrong_type_and_a_missing_driver_name_what_is_there(world, driver, doctor):
    compressed = images.to_compressed_msg(np.zeros((64, 64, 3), np.uint8), Header())
    driver.publish(CompressedImage, "image", lambda: compressed)
    driver.joints("arm/joint_states")
    code, found, out = doctor("--timeout", "1")
    assert code == 1
    topics = "\n".join(said(found, "topics", "error"))
    assert "publishes sensor_msgs/msg/CompressedImage; expected is sensor_msgs/msg/Image" in topics
    assert "joint_states: nobody publishes it" in topics
    assert f"{world.namespace}/arm/joint_states" in out  # what it could be instead


def test_the_graph_that_runs_is_what_is_checked(world, doctor):
    checkpoint = {"checkpoint": str(find_checkpoint("reach"))}
    limits = {"limits.velocity": [4.7] * 6, "limits.acceleration": [38.0] * 6}
    world.make(SimulatorNode)
    world.make(ActionPublisherNode, parameters=limits | {"dry_run": True, "watchdog.image_s": 7.0})
    for kind in (EncoderNode, WorldModelNode, PlannerNode):
        world.make(kind, parameters=checkpoint)
    world.make(CostNode)
    commands = world.listen(JointTrajectory, "joint_trajectory")
    _, found, out = doctor("--timeout", "20")
    assert "the graph runs: encoder, cost, planner, action_publisher, world_model" in out, out
    assert "at most 4.7 rad/s" in out  # the running guard's, not the file's
    assert not said(found, "checkpoint", "error") and not commands.messages
    _, found, _ = doctor("--image-topic", "elsewhere")
    assert any("encoder that runs does not read it" in text for text in said(found, "topics", "error"))


def test_nothing_at_all_is_said_clearly_and_the_rest_is_still_checked(doctor, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(int(os.environ["ROS_DOMAIN_ID"]) + 100))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF")
    code, found, out = doctor("--timeout", "0.5")
    assert code == 1 and len(said(found, "topics")) == 1
    assert "nothing is publishing at all" in out and "ROS_AUTOMATIC_DISCOVERY_RANGE" in out
    assert any("fits the robot" in text for text in said(found, "checkpoint", "ok"))
    assert found["latency"]["encode_s"] > 0 and found["view"] is None


def test_it_publishes_nothing_of_its_own_and_only_asks(world):
    world.make(SimulatorNode)
    with listening.Listener(world.namespace) as listener:
        want = expect(Graph(world.namespace, simulator=False), listener.discover(5.0))
        heard = listener.listen(want, 5.0)
        node = listener.node
        assert [p.topic_name for p in node.publishers] == ["/parameter_events"]
        assert {c.srv_name.rsplit("/", 1)[-1] for c in node.clients} <= {"list_parameters", "get_parameters"}
    assert (
        heard.stream(want.image.name).rate_hz > 1 and heard.stream(want.joint_states.name).newest is not None
    )


@pytest.mark.parametrize(
    "words",
    [
        ["--timeout", "0"],
        ["--robot", "r2d2"],
        ["--checkpoint", "/nowhere"],
        ["--params-file", "/nowhere.yaml"],
    ],
)
def test_a_wrong_command_line_is_exit_2(words, capsys):
    assert main(["doctor", *words]) == 2
    assert "error: " in capsys.readouterr().err
