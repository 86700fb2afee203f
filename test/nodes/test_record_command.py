"""What is recorded, what a bag says of its origin, and which command does it."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import yaml
from node_bench import add_heads

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.nodes.bags import record_command as module
from jepa_ros.nodes.bags.record_command import record_command
from jepa_ros.nodes.bags.record_metadata import describe, read_params_file
from jepa_ros.nodes.bringup.graph import find
from jepa_ros.nodes.bringup.record_topics import RecordTopic, read_record_topics, resolve


def test_the_list_has_all_that_evaluation_and_training_need():
    topics = {entry.topic: entry for entry in resolve(read_record_topics(), "jepa")}
    wanted = [
        "image",
        "image/compressed",
        "camera_info",
        "joint_states",
        "joint_trajectory",
        "embedding",
        "goal",
    ]
    wanted += ["plan", "costs", "planner/status", "action_publisher/safety_status", "simulator/cube"]
    absolute = {"/tf", "/tf_static", "/clock", "/diagnostics", "/parameter_events"}
    assert {f"/jepa/{name}" for name in wanted} | absolute <= set(topics)
    assert topics["/jepa/image/compressed"].unless == "/jepa/image"


def test_names_are_resolved_once():
    given = [RecordTopic("image", note="first"), RecordTopic("/a/image"), RecordTopic("/clock")]
    assert resolve(given, "/a/") == [RecordTopic("/a/image", note="first"), RecordTopic("/clock")]
    assert resolve(given, "")[0].topic == "/image"


@pytest.mark.parametrize(
    "content, says",
    [
        ("topics: [{topic: image, rate: 3}]", r"entry 1: unknown keys \['rate'\]; known"),
        ("topics: [{topic: image}, {type: a/msg/B}]", "entry 2.*expected a map with the key topic"),
        ("topics: [{topic: 'my image'}]", "'my image' is not a topic's name"),
        ("topics: [{topic: image, type: Image}]", "'Image'; expected one like"),
        ("topic: [image]", "expected one key, topics"),
        ("topics: [", "cannot be read as YAML"),
    ],
)
def test_a_bad_list_is_named(content, says, tmp_path):
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(JepaError, match=rf"mine\.yaml(.|\n)*{says}"):
        read_record_topics(tmp_path / "mine.yaml")
    with pytest.raises(JepaError, match="nowhere.yaml"):
        read_record_topics(tmp_path / "nowhere.yaml")


def test_the_robot_file_gives_parameters_and_action_spec():
    parameters = read_params_file(find("config/so101.yaml"), "arm")
    assert parameters["/arm/planner"]["deadline_s"] == 0.3
    found = describe(parameters)
    assert ActionSpec.from_dict(found["action_spec"]).rate_hz == 10.0 and "checkpoint" not in found


def test_a_checkpoint_gives_identity_and_action_spec(checkpoint):
    weights = Path(checkpoint, "model.safetensors").read_bytes()
    found = describe({"/jepa/encoder": {"checkpoint": checkpoint}})
    assert found["sha256"] == hashlib.sha256(weights).hexdigest()
    assert found["model_id"] == found["sha256"][:12] and found["checkpoint"] == checkpoint
    assert found["action_spec"]["std"] == [0.05] * 6
    assert json.loads(json.dumps(found)) == found


def test_an_arm_beside_a_checkpoint_of_another_is_recorded_as_itself(checkpoint):
    """As where a launch file's default checkpoint stands beside the first bags of a new arm."""
    parameters = read_params_file(find("config/robots/ur5e.yaml"), "arm")
    found = describe(parameters, checkpoint)
    assert (
        found["checkpoint"] == checkpoint and found["action_spec"]["joint_names"][0] == "shoulder_pan_joint"
    )
    del parameters["/**"]["robot.lower"]
    assert "action_spec" not in describe(parameters, checkpoint)
    slower = {"/jepa/planner": {"robot.lower": [-0.05] * 6}, "/jepa/encoder": {"robot.rate_hz": 10.0}}
    assert "action_spec" not in describe(slower, checkpoint)
    same = {"/jepa/planner": {"robot.lower": [-0.12] * 6}, "/jepa/encoder": {"robot.rate_hz": 10.0}}
    assert describe(same, checkpoint)["action_spec"]["std"] == [0.05] * 6


def test_heads_are_told_by_their_digest(checkpoint, tmp_path):
    assert "heads_sha256" not in describe({}, checkpoint)
    folder = shutil.copytree(checkpoint, tmp_path / "with_heads")
    add_heads(folder)
    heads = (folder / "heads.safetensors").read_bytes()
    assert describe({}, str(folder))["heads_sha256"] == hashlib.sha256(heads).hexdigest()


def test_a_checkpoint_of_another_machine_is_named_only():
    assert describe({}, "/far/away") == {"parameters": {}, "checkpoint": "/far/away"}


def test_rosbag2_is_told_all_that_the_arguments_say(checkpoint):
    words = record_command(
        "rosbag2", "arm", "run=1", "", checkpoint, str(find("config/so101.yaml")), use_sim_time=True
    )
    assert words[:3] == ["ros2", "bag", "record"] and "--use-sim-time" in words
    assert words[words.index("--output") + 1] == "run=1" and words[words.index("--storage") + 1] == "mcap"
    topics = words[words.index("--topics") + 1 :]
    assert "/arm/image" in topics and "/clock" in topics and all(name.startswith("/") for name in topics)
    (custom,) = [word for word in words if word.startswith("jepa_ros=")]
    assert custom.count("=") == 1  # ros2 bag splits at each
    metadata = json.loads(custom.split("=")[1])
    assert metadata["model_id"] and metadata["recorder"] == "rosbag2" and metadata["namespace"] == "/arm"
    assert metadata["parameters"]["/arm/planner"]["deadline_s"] == 0.3


def test_an_equals_sign_survives_rosbag2(tmp_path):
    (tmp_path / "p.yaml").write_text("cam:\n  ros__parameters:\n    url: 'a=b=c'\n")
    words = record_command("rosbag2", params_file=str(tmp_path / "p.yaml"))
    custom = words[words.index("--custom-data") + 1].split("=")
    assert len(custom) == 2 and json.loads(custom[1])["parameters"]["/jepa/cam"] == {"url": "a=b=c"}


def test_without_rosbag2_it_is_jepa_record(checkpoint, monkeypatch, tmp_path):
    topics = tmp_path / "topics.yaml"
    topics.write_text(yaml.safe_dump({"topics": [{"topic": "image"}]}))
    monkeypatch.setattr(module, "rosbag2_is_installed", lambda: False)
    words = record_command("auto", "arm", "run", str(topics), checkpoint, use_sim_time=True)
    assert words[1:4] == ["-m", "jepa_ros.cli.main", "record"]
    options = dict(zip(words[4:-1:2], words[5:-1:2], strict=True))
    assert options == {
        "--namespace": "arm",
        "--out": "run",
        "--topics": str(topics),
        "--checkpoint": checkpoint,
    }
    assert words[-1] == "--use-sim-time"
    monkeypatch.setattr(module, "rosbag2_is_installed", lambda: True)
    assert record_command("auto")[0] == "ros2" and record_command("jepa")[0] != "ros2"


@pytest.mark.parametrize(
    "bad, says",
    [
        ({"recorder": "tape"}, "auto, rosbag2, jepa"),
        ({"checkpoint": "/nowhere"}, "/nowhere"),
        ({"topics_file": "/nowhere.yaml"}, "/nowhere.yaml"),
        ({"params_file": "/nowhere.yaml", "recorder": "rosbag2"}, "/nowhere.yaml"),
    ],
)
def test_a_bad_argument_is_named(bad, says):
    with pytest.raises(JepaError, match=says):
        record_command(**bad)
