"""The doctor's checks as pure functions: what was heard in, findings out. No ROS graph."""

import json
from dataclasses import replace
from hashlib import sha256
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from node_bench import make_checkpoint, make_spec
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.nodes.bringup.graph import Graph, find_checkpoint
from jepa_ros.nodes.doctor.clock import check_clock
from jepa_ros.nodes.doctor.contract import check_contract
from jepa_ros.nodes.doctor.examine import judge
from jepa_ros.nodes.doctor.expected import expect
from jepa_ros.nodes.doctor.finding import Level
from jepa_ros.nodes.doctor.heard import Endpoint, Heard, Stream
from jepa_ros.nodes.doctor.joints import check_joints
from jepa_ros.nodes.doctor.latency import Budget, check_latency, measure
from jepa_ros.nodes.doctor.topics import check_topics
from jepa_ros.nodes.wire import images
from jepa_ros.simulation import arm
from jepa_ros.world_model.checkpoint import load_checkpoint

IMAGE, JOINTS, COMMAND = "/jepa/image", "/jepa/joint_states", "/jepa/joint_trajectory"
START = 1_700_000_000 * 10**9


def stream(rate_hz=25.0, age_s=0.01, seconds=2.0, ahead_of_clock_s=0.0, **kwargs):
    """Messages at a rate, stamped age_s before they came; /clock is the system clock less ahead_of_clock_s."""
    since = np.arange(0, seconds, 1 / rate_hz)
    system = [START + int(1e9 * t) for t in since]
    return Stream(
        received=list(since),
        stamp=[t - int(1e9 * age_s) for t in system],
        system=system,
        simulated=[t - int(1e9 * ahead_of_clock_s) for t in system],
        **{"size_bytes": 12_000, **kwargs},
    )


def joint_state(positions=(0.0,) * 6, names=arm.JOINT_NAMES):
    return JointState(name=list(names), position=[float(p) for p in positions])


def heard(**changes):
    """A healthy robot without the graph."""
    picture = images.to_msg(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8), Header())
    well = Heard(
        seconds=2.0,
        publishers={
            IMAGE: [Endpoint("/camera", "sensor_msgs/msg/Image")],
            JOINTS: [Endpoint("/driver", "sensor_msgs/msg/JointState")],
        },
        subscribers={COMMAND: [Endpoint("/driver", "trajectory_msgs/msg/JointTrajectory")]},
        streams={IMAGE: stream(newest=picture), JOINTS: stream(100.0, newest=joint_state())},
        topics={IMAGE: ["sensor_msgs/msg/Image"], JOINTS: ["sensor_msgs/msg/JointState"]},
        nodes=("/camera", "/driver"),
    )
    for name, value in changes.items():
        setattr(well, name, value)
    return well


def expected(tmp_path, parameters=None, **graph):
    """Of the simulated arm with these parameters (node to values) on top."""
    if parameters:
        path = tmp_path / "params.yaml"
        path.write_text(
            yaml.safe_dump({node: {"ros__parameters": values} for node, values in parameters.items()})
        )
        graph["params_file"] = str(path)
    return expect(Graph(simulator=False, **graph))


def bad(findings, level=Level.ERROR):
    """ "where: what -> do" of the findings of a level; every one says what to do."""
    assert all(f.do for f in findings if f.level > Level.OK)
    return [f"{f.where}: {f.what} -> {f.do}" for f in findings if f.level == level]


def one(findings, *words, level=Level.ERROR):
    """The one finding of this level has these words; none is worse."""
    found = bad(findings, level)
    assert len(found) == 1 and all(word in found[0] for word in words), found
    assert level == Level.ERROR or not bad(findings)


def test_a_healthy_robot_has_no_complaint(tmp_path):
    want = expected(tmp_path)
    for check in (check_topics, check_clock, check_joints):
        found = check(want, heard())
        assert found and not [f for f in found if f.level], found
    found = check_latency(want, heard(), Budget(0.002, 0.1))
    assert not [f for f in found if f.level], found


# Topics


def test_nothing_at_all_is_one_finding_that_names_the_domain(tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "42")
    found = check_topics(expected(tmp_path), Heard(seconds=5.0))
    assert len(found) == 1
    one(found, "ROS domain 42", "nothing is publishing at all", "ROS_DOMAIN_ID")


def test_a_missing_topic_names_the_option_and_what_is_there_instead(tmp_path):
    one(check_topics(expected(tmp_path, image_topic="/cam"), heard()), "/cam: nobody", "--image-topic", IMAGE)


def test_a_wrong_type_names_both_types(tmp_path):
    wrong = [Endpoint("/camera", "sensor_msgs/msg/CompressedImage")]
    publishers = {**heard().publishers, IMAGE: wrong}
    found = check_topics(expected(tmp_path), heard(publishers=publishers))
    one(
        found,
        "/camera publishes sensor_msgs/msg/CompressedImage",
        "expected is sensor_msgs/msg/Image",
        "image_transport",
    )


def best_effort(size_bytes):
    offers = [Endpoint("/camera", "sensor_msgs/msg/Image", reliable=False)]
    return heard(
        publishers={**heard().publishers, IMAGE: offers},
        streams={**heard().streams, IMAGE: stream(size_bytes=size_bytes)},
    )


def test_a_best_effort_camera_never_meets_a_reliable_reader(tmp_path):
    one(
        check_topics(expected(tmp_path), best_effort(12_000)),
        "encoder and action_publisher",
        "image_reliability",
    )


def test_large_best_effort_images_are_warned_of_and_small_ones_are_fine(tmp_path):
    readers = dict.fromkeys(("/**/encoder", "/**/action_publisher"), {"image_reliability": "best_effort"})
    want = expected(tmp_path, readers)
    one(check_topics(want, best_effort(921_700)), "922 kB", "most are lost", "compressed", level=Level.WARN)
    assert not bad(check_topics(want, best_effort(12_000)), Level.WARN)


def test_a_silent_publisher_two_publishers_and_a_second_commander_are_told(tmp_path):
    silent = heard(streams={JOINTS: heard().streams[JOINTS]})
    one(check_topics(expected(tmp_path), silent), "/camera offers it, but no message came")
    joints = heard().publishers[JOINTS]
    twice = heard(publishers={**heard().publishers, JOINTS: [*joints, Endpoint("/other", joints[0].kind)]})
    one(check_topics(expected(tmp_path), twice), "2 publishers: /driver, /other", level=Level.WARN)
    moveit = {COMMAND: [Endpoint("/moveit", "trajectory_msgs/msg/JointTrajectory")]}
    other = heard(publishers={**heard().publishers, **moveit})
    one(check_topics(expected(tmp_path), other), "/moveit commands the arm too", level=Level.WARN)


def test_a_missing_or_wrong_controller_is_an_error_and_missing_in_a_dry_run_a_warning(tmp_path):
    deaf = heard(subscribers={})
    one(check_topics(expected(tmp_path), deaf), COMMAND, "no controller listens")
    dry = expected(tmp_path, {"/**/action_publisher": {"dry_run": True}})
    one(check_topics(dry, deaf), "it is a dry run", level=Level.WARN)
    wrong = {COMMAND: [Endpoint("/driver", "std_msgs/msg/Float64MultiArray")]}
    one(check_topics(expected(tmp_path), heard(subscribers=wrong)), "takes std_msgs/msg/Float64MultiArray")


def test_a_graph_that_runs_is_asked_and_must_read_the_same_topics(tmp_path):
    names = [f"/jepa/{n}" for n in ("encoder", "world_model", "cost", "planner", "action_publisher")]
    running = {
        "nodes": (*heard().nodes, *names),
        "said": {name: (0, "active") for name in names},
        "parameters": {name: {"robot.block": 4} for name in names},
    }
    reads = {
        **heard().subscribers,
        IMAGE: [Endpoint("/jepa/encoder", "sensor_msgs/msg/Image")],
        JOINTS: [Endpoint("/jepa/action_publisher", "sensor_msgs/msg/JointState")],
    }
    found = check_topics(expected(tmp_path), heard(**running, subscribers=reads))
    assert not [f for f in found if f.level] and "the graph runs" in found[-1].what
    found = check_topics(expected(tmp_path), heard(**running, subscribers={**reads, IMAGE: []}))
    one(found, "the encoder that runs does not read it")
    ill = running | {"said": {**running["said"], names[0]: (2, "could not configure")}}
    one(check_topics(expected(tmp_path), heard(**ill, subscribers=reads)), names[0], "could not configure")


# Clock


@pytest.mark.parametrize(
    "ticks, words",
    [([], "no /clock comes"), ([(0.1 * i, 5 * 10**9) for i in range(9)], "stands still at 5.000 s")],
)
def test_use_sim_time_needs_a_clock_that_runs(tmp_path, ticks, words):
    want = expected(tmp_path, use_sim_time=True)
    one(check_clock(want, heard(clock=ticks)), "/clock", words)
    assert not bad(check_clock(expected(tmp_path), heard(clock=ticks)))


@pytest.mark.parametrize(
    "stamps, level, words",
    [
        (dict(age_s=0.7), Level.ERROR, "700 ms behind the system clock; the guard holds above 0.5 s"),
        (dict(age_s=0.3), Level.WARN, "300 ms old on arrival"),
        (dict(age_s=-3.0), Level.ERROR, "3.0 s ahead of the system clock"),
        (dict(age_s=9999.0, ahead_of_clock_s=9999.0), Level.ERROR, "launch with use_sim_time:=true"),
    ],
)
def test_stamps_must_agree_with_the_clock(tmp_path, stamps, level, words):
    streams = {**heard().streams, IMAGE: stream(**stamps)}
    one(check_clock(expected(tmp_path), heard(streams=streams)), IMAGE, words, level=level)


def test_zero_and_frozen_stamps_are_told(tmp_path):
    for stamp, words in ((0, "stamps are zero"), (START, "have the same stamp")):
        frozen = stream()
        frozen.stamp = [stamp] * len(frozen.stamp)
        found = check_clock(expected(tmp_path), heard(streams={**heard().streams, IMAGE: frozen}))
        one(found, IMAGE, words)


# Joints


def with_joints(message):
    return heard(streams={**heard().streams, JOINTS: stream(100.0, newest=message)})


@pytest.mark.parametrize(
    "message, words",
    [
        (joint_state(names=("a", *arm.JOINT_NAMES[1:])), "['shoulder_pan'] are missing"),
        (joint_state((0.0,) * 7, (*arm.JOINT_NAMES, "gripper")), "named twice"),
        (joint_state((0.0,) * 5), "5 positions for 6 joint names"),
        (joint_state((np.nan, *(0.0,) * 5)), "nan"),
        (joint_state((2.5, *(0.0,) * 5)), "2.500 rad, outside its limits -1.920 to 1.920"),
        (joint_state((90.0, *(10.0,) * 5)), "look like degrees"),
    ],
)
def test_names_and_positions_of_joints(tmp_path, message, words):
    one(check_joints(expected(tmp_path), with_joints(message)), words)


def test_another_order_is_fine_and_a_margin_is_kept(tmp_path):
    turned = joint_state((0.1, *(0.0,) * 5), arm.JOINT_NAMES[::-1])
    found = check_joints(expected(tmp_path), with_joints(turned))
    assert not [f for f in found if f.level] and "another order" in found[0].what
    near = with_joints(joint_state((1.91, *(0.0,) * 5)))
    assert not bad(check_joints(expected(tmp_path), near), Level.WARN)
    want = expected(tmp_path, {"/**/action_publisher": {"limits": {"position_margin": [0.05]}}})
    one(check_joints(want, near), "within the margin 0.05", level=Level.WARN)


@pytest.mark.parametrize("name", ["velocity", "acceleration"])
def test_limits_must_be_complete(tmp_path, name):
    want = expected(tmp_path, {"/**/action_publisher": {"limits": {name: [0.0]}}})
    one(check_joints(want, heard()), f"limits.{name} is not given")


def test_actions_faster_than_the_limit_are_warned_of(tmp_path):
    want = expected(tmp_path, {"/**/action_publisher": {"limits": {"velocity": [1.0] * 6}}})
    one(check_joints(want, heard()), "1.20 > 1.00", level=Level.WARN)


def test_a_workspace_needs_its_urdf(tmp_path):
    box = {"workspace": {"lower": [-1.0] * 3, "upper": [1.0] * 3, "tip_link": "tool"}}
    one(check_joints(expected(tmp_path, {"/**/action_publisher": box}), heard()), "no robot_description came")


# Checkpoint


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A checkpoint of a robot with other joints and another rate."""
    spec = make_spec().to_dict() | {"joint_names": list("abcdef"), "rate_hz": 5.0}
    return make_checkpoint(tmp_path_factory.mktemp("other"), ActionSpec.from_dict(spec))


def test_a_checkpoint_of_another_robot_names_what_differs(tmp_path, other):
    found, checkpoint = check_contract(expected(tmp_path, checkpoint=other), heard(), None)
    errors = bad(found)
    assert checkpoint is None and len(errors) == 2
    assert "trained for [a, b, c, d, e, f], the robot has [shoulder_pan" in errors[0]
    assert "rate_hz: the checkpoint was trained for 5.0, the robot has 10.0" in errors[1]


def test_a_damaged_checkpoint_is_a_finding(tmp_path, other):
    (tmp_path / "config.json").write_text("{")
    found, checkpoint = check_contract(expected(tmp_path, checkpoint=str(tmp_path)), heard(), None)
    assert checkpoint is None
    one(found, "model.safetensors", "--checkpoint")


def test_a_checkpoint_that_is_not_the_pinned_one_is_refused(tmp_path, checkpoint):
    want = expected(tmp_path, checkpoint=checkpoint, checkpoint_sha256="0" * 64)
    found, usable = check_contract(want, heard(), None)
    assert usable is None
    one(found, "sha256", "--checkpoint")


def test_image_size_and_a_missing_calibration(tmp_path, checkpoint):
    want = expected(tmp_path, checkpoint=checkpoint)
    found, _ = check_contract(want, heard(), np.zeros((32, 32, 3), np.uint8))
    assert any(
        "32x32 pixels for a model that sees 64x64: it is enlarged" in w for w in bad(found, Level.WARN)
    )
    assert any("no calibration.json" in w for w in bad(found, Level.WARN))
    found, _ = check_contract(want, heard(), np.zeros((480, 640, 3), np.uint8))
    assert any("25 % of the width is cut off" in f.what for f in found if not f.level)


def test_a_graph_with_another_checkpoint_is_told(tmp_path):
    other = heard(parameters={"/jepa/encoder": {"checkpoint": "/runs/mine"}})
    found, _ = check_contract(expected(tmp_path), other, None)
    one(found, "/jepa/encoder: it runs with checkpoint /runs/mine", level=Level.WARN)


# Latency


@pytest.mark.parametrize(
    "budget, level, words",
    [
        (Budget(0.002, 0.35), Level.WARN, "longer than its deadline of 300 ms"),
        (Budget(0.9, 0.1), Level.ERROR, "the guard refuses it above 800 ms"),
    ],
)
def test_the_budget_is_held_against_deadline_and_guard(tmp_path, budget, level, words):
    found = check_latency(expected(tmp_path), heard(), budget)
    assert any(words in text for text in bad(found, level))


def test_a_pinned_checkpoint_is_measured_with_what_pinned_nodes_compute_it(tmp_path):
    checkpoint = load_checkpoint(find_checkpoint("reach"))
    pin = sha256((checkpoint.path / "model.safetensors").read_bytes()).hexdigest()
    look = np.full((*checkpoint.model.image_size, 3), 90, np.uint8), np.zeros(checkpoint.spec.dim)
    free, pinned = expected(tmp_path), expected(tmp_path, checkpoint_sha256=pin)
    assert measure(checkpoint, *look, free).runtime == "onnx"
    budget = measure(checkpoint, *look, pinned)
    assert budget.runtime == "torch"
    found = check_latency(pinned, heard(), replace(budget, encode_s=0.002, plan_s=0.1))
    one(found, "the checkpoint is pinned", "-> runtime: onnx", "or set runtime: torch", level=Level.WARN)


def test_a_slow_or_interrupted_camera_is_told(tmp_path):
    def rate(images):
        return check_latency(expected(tmp_path), heard(streams={IMAGE: images}), None)

    one(rate(stream(3.0)), "3.0 images a second", level=Level.WARN)
    gap = stream()
    gap.received = [t + (0.8 if t > 1 else 0.0) for t in gap.received]
    one(rate(gap), "without an image; the guard holds after 0.5 s")


# Together


def test_parameters_of_running_nodes_are_stronger_than_the_files():
    live = {"/jepa/action_publisher": {"watchdog.image_s": 2.0, "use_sim_time": True}}
    want = expect(Graph(simulator=False), live)
    assert want.use_sim_time and want.guard.param("watchdog.image_s") == 2.0
    assert expect(Graph(simulator=False)).guard.param("watchdog.image_s") == 0.5


@pytest.mark.parametrize("robot", ["so101", "ur5e", "panda", "mock_hardware"])
def test_every_preset_has_complete_limits(tmp_path, robot):
    want = expected(tmp_path, robot=robot)
    found = check_joints(want, Heard())
    assert [f.what for f in found if f.level] == [] and any("complete" in f.what for f in found)


def test_a_bad_value_in_a_params_file_is_an_error_of_the_user(tmp_path):
    with pytest.raises(JepaError, match="publish_rate_hz"):
        expected(tmp_path, {"/**/action_publisher": {"publish_rate_hz": "fast"}})


def test_a_diagnosis_is_json_and_counts(tmp_path, checkpoint):
    want = expected(tmp_path, checkpoint=checkpoint)
    ordered = []
    found = judge(want, heard(), tmp_path / "view.png", lambda findings: ordered.append(findings.check))
    assert ordered == ["topics", "clock", "joints", "checkpoint", "view", "latency"]
    content = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert content["errors"] == 0 == found.count(Level.ERROR) and content["latency"]["plan_s"] > 0
    assert content["warnings"] >= 2  # neither calibration nor reference view
    assert content["picture"] is None and not (tmp_path / "view.png").exists()


def test_an_image_that_cannot_be_read_is_a_finding(tmp_path, checkpoint):
    broken = SimpleNamespace(encoding="x9", height=1, width=1, step=1, data=b"0", is_bigendian=0)
    streams = {**heard().streams, IMAGE: stream(newest=broken)}
    found = judge(expected(tmp_path, checkpoint=checkpoint), heard(streams=streams), tmp_path / "view.png")
    assert any("encoding 'x9' is not supported" in text for text in bad(found.findings))
