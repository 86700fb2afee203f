"""Records real topics over real DDS; ends by a signal, by a kill, by an error."""

import array
import json
import os
import signal
import subprocess
import sys

import pytest
from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String

from jepa_ros.cli import main
from jepa_ros.data.bag_files import BagFile
from jepa_ros.nodes.bags.recorder import Recorder, RecordSettings
from jepa_ros.nodes.bringup.record_topics import RecordTopic
from jepa_ros.nodes.encoder import EncoderNode
from jepa_ros.nodes.wire import qos
from jepa_ros.nodes.world_model import WorldModelNode

LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


@pytest.fixture
def recording(world, tmp_path):
    """(relative names, **settings) -> a Recorder into tmp_path/bag; what it says goes into its list `said`."""
    made = []

    def make(*names, **settings):
        said = []
        topics = tuple(
            n if isinstance(n, RecordTopic) else RecordTopic(f"{world.namespace}/{n}") for n in names
        )
        recorder = Recorder(
            RecordSettings(tmp_path / "bag", topics, world.namespace, **settings), said.append
        )
        recorder.said = said
        made.append(recorder)
        return recorder

    yield make
    for recorder in made:
        recorder.close()


def read(path):
    """topic without namespace -> messages; metadata; topic -> QoS offered."""
    with BagFile(path) as file:
        messages: dict[str, list] = {}
        for message in file.messages():
            messages.setdefault(message.topic.split("/", 2)[-1], []).append(file.deserialize(message))
        return messages, file.metadata, {c.topic.split("/", 2)[-1]: c.qos for c in file.connections}


def test_topics_are_recorded_as_their_publishers_offer_them(world, recording, tmp_path):
    recorder = recording("joints", "goal", "never")
    fast = world.talk(JointState, "joints", BEST_EFFORT)
    for number in range(3):
        fast.publish(JointState(name=[str(number)]))
    world.until(lambda: recorder.counts[f"{world.namespace}/joints"].messages == 3)
    late = world.bench.create_publisher(String, "goal", LATCHED)
    late.publish(String(data="before anyone listened"))
    world.until(lambda: f"{world.namespace}/goal" in recorder.counts)
    world.until(lambda: recorder.counts[f"{world.namespace}/goal"].messages == 1)
    recorder.close()
    messages, _, offered = read(tmp_path / "bag")
    assert [m.name for m in messages["joints"]] == [["0"], ["1"], ["2"]]
    assert [m.data for m in messages["goal"]] == ["before anyone listened"]
    assert [q.reliability.name for q in offered["joints"]] == ["BEST_EFFORT"]
    assert [q.durability.name for q in offered["goal"]] == ["TRANSIENT_LOCAL"]
    assert recorder.never_published == [f"{world.namespace}/never"] and recorder.said == []


@pytest.mark.parametrize("first_goes", [False, True])
def test_a_weaker_publisher_that_comes_later_is_heard_too(world, recording, tmp_path, first_goes):
    recorder, topic = recording("words"), f"{world.namespace}/words"
    strong = world.talk(String, "words")
    strong.publish(String(data="strong"))
    world.until(lambda: getattr(recorder.counts.get(topic), "messages", 0) == 1)
    if first_goes:  # as a driver that is started again
        world.in_executor(lambda: world.bench.destroy_publisher(strong))
        world.until(lambda: recorder._subscriptions[topic].publishers == 0)
    weak = world.bench.create_publisher(String, "words", BEST_EFFORT)
    world.until(lambda: weak.get_subscription_count() == 1 and recorder.said)
    weak.publish(String(data="weak"))
    world.until(lambda: recorder.counts[topic].messages == 2)
    recorder.close()
    assert [m.data for m in read(tmp_path / "bag")[0]["words"]] == ["strong", "weak"]
    assert len(recorder.said) == 1 and "weaker QoS" in recorder.said[0]


def test_the_strongest_profile_that_all_satisfy():
    both = qos.recorder([LATCHED, LATCHED])
    assert (both.reliability, both.durability) == (LATCHED.reliability, LATCHED.durability)
    mixed = qos.recorder([LATCHED, BEST_EFFORT])
    assert (mixed.reliability, mixed.durability) == (BEST_EFFORT.reliability, DurabilityPolicy.VOLATILE)


def test_a_type_that_is_not_installed_is_named_and_the_rest_goes_on(world, recording, tmp_path, monkeypatch):
    strange = world.bench.create_publisher(Image, "strange", 1)
    monkeypatch.setitem(sys.modules, "sensor_msgs.msg", None)  # as where the package is missing
    recorder = recording("strange", "words")
    world.talk(String, "words").publish(String(data="heard"))
    world.until(lambda: getattr(recorder.counts.get(f"{world.namespace}/words"), "messages", 0) == 1)
    world.until(lambda: recorder.said)
    recorder.close()
    assert strange.get_subscription_count() == 0 and list(read(tmp_path / "bag")[0]) == ["words"]
    assert len(recorder.said) == 1
    assert f"{world.namespace}/strange is not recorded: its type sensor_msgs/msg/Image" in recorder.said[0]


def test_another_type_than_expected_is_recorded_and_told(world, recording, tmp_path):
    recorder = recording(RecordTopic(f"{world.namespace}/words", "sensor_msgs/msg/Image"))
    world.talk(String, "words").publish(String(data="heard"))
    world.until(lambda: getattr(recorder.counts.get(f"{world.namespace}/words"), "messages", 0) == 1)
    recorder.close()
    assert recorder.said == [
        f"warning: {world.namespace}/words is std_msgs/msg/String, not sensor_msgs/msg/Image; "
        "it is recorded as it is"
    ]


def test_one_of_two_cameras_is_recorded_where_the_list_says_so(world, recording, tmp_path):
    image, compressed = f"{world.namespace}/image", f"{world.namespace}/image/compressed"
    raw = world.bench.create_publisher(String, "image", 1)
    packed = world.bench.create_publisher(String, "image/compressed", 1)
    world.until(lambda: world.bench.count_publishers(compressed) == 1)
    recorder = recording(RecordTopic(compressed, unless=image), RecordTopic(image), "after")
    world.talk(String, "after")
    world.until(lambda: raw.get_subscription_count() == 1)
    assert packed.get_subscription_count() == 0 and compressed not in recorder.never_published


def test_simulated_time_is_waited_for_and_logged(world, recording, tmp_path):
    recorder = recording("words", use_sim_time=True)
    clock = world.talk(Clock, "/clock")
    words = world.bench.create_publisher(String, "words", LATCHED)
    words.publish(String(data="before time began"))
    assert recorder.counts == {}

    def ticked():
        clock.publish(Clock(clock=Time(sec=5)))
        return getattr(recorder.counts.get(f"{world.namespace}/words"), "messages", 0)

    world.until(ticked)
    recorder.close()
    with BagFile(tmp_path / "bag") as file:
        assert [m.log_ns for m in file.messages()] == [5 * 10**9]


def test_everything_published_is_recorded_with_all_topics(world, recording):
    recorder = recording(all_topics=True)
    world.talk(String, "words")
    world.until(lambda: f"{world.namespace}/words" in recorder.counts)
    assert not any("/_" in topic for topic in recorder.counts)


def test_the_bag_names_model_parameters_and_robot(world, recording, checkpoint, tmp_path):
    recorder = recording("embedding")
    world.bench.declare_parameter("mask", [b"\x01", b"\x02"])
    world.bench.declare_parameter("checkpoint", 3)  # a stranger's, that means something else
    for kind in (EncoderNode, WorldModelNode):
        world.make(kind, parameters={"checkpoint": checkpoint})
    world.until(lambda: recorder._told == 3)
    recorder.close()
    metadata = read(tmp_path / "bag")[1]
    assert set(metadata["parameters"]) == {
        f"{world.namespace}/{n}" for n in ("bench", "encoder", "world_model")
    }
    assert metadata["parameters"][f"{world.namespace}/encoder"]["image_transport"] == "raw"
    assert metadata["parameters"][f"{world.namespace}/bench"]["mask"] == [1, 2]
    assert metadata["checkpoint"] == checkpoint and len(metadata["sha256"]) == 64
    assert metadata["action_spec"]["joint_names"][0] == "shoulder_pan"
    assert (
        metadata["silent_nodes"] == [] and metadata["lost"] == {} and metadata["commit"] and metadata["date"]
    )


def test_no_image_is_lost_without_being_counted(world, recording, tmp_path):
    """30 images of 640x480 from a queue of one, as fast as they go: on a loaded machine some may be lost."""
    recorder = recording("image", max_queue_mb=8.0)
    camera = world.talk(Image, "image", 1)
    image = Image(height=480, width=640, encoding="rgb8", step=1920, data=array.array("B", bytes(921600)))
    for number in range(30):
        image.header.stamp.sec = number
        camera.publish(image)
    count = recorder.counts[f"{world.namespace}/image"]
    world.until(lambda: count.messages + count.dropped + count.lost >= 30)
    recorder.close()
    messages, metadata, _ = read(tmp_path / "bag")
    numbers = [m.header.stamp.sec for m in messages["image"]]
    assert numbers == sorted(set(numbers)) and len(numbers) == count.messages > 0
    assert len(numbers) + count.dropped + count.lost == 30
    assert sum(metadata["lost"].get(f"{world.namespace}/image", {}).values()) == 30 - len(numbers)


@pytest.fixture
def command(world, tmp_path):
    """(*options) -> `jepa record` as a process, ended at the end of the test."""
    started = []

    def start(*options):
        process = subprocess.Popen(
            [sys.executable, "-m", "jepa_ros.cli.main", "record", "--namespace", world.namespace.strip("/")]
            + ["--out", str(tmp_path / "bag"), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_the_bag(world, command, tmp_path, signum):
    process = command("--topic", "words")
    words = world.talk(String, "words")
    for number in range(5):
        words.publish(String(data=str(number)))
    assert words.wait_for_all_acked(Duration(seconds=10))  # taken or not: what has arrived is recorded
    process.send_signal(signum)
    table, warnings = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in warnings, warnings
    assert f"{world.namespace}/words" in table and f"wrote {tmp_path / 'bag'}" in table
    assert (tmp_path / "bag" / "metadata.yaml").is_file()
    messages, metadata, _ = read(tmp_path / "bag")
    assert len(messages["words"]) == 5 and metadata["recorder"] == "jepa record"


def test_what_was_written_outlives_a_kill(world, command, tmp_path):
    process = command("--topic", "words", "--topic", "image")
    words, camera = world.talk(String, "words"), world.talk(Image, "image", 5)
    image = Image(
        height=480, width=640, encoding="rgb8", step=1920, data=array.array("B", os.urandom(921600))
    )

    def publish_until_some_are_on_disk():
        words.publish(String(data="kept"))
        camera.publish(image)
        with BagFile(tmp_path / "bag") as file:
            topics = [m.topic for m in file.messages()]
        return min(topics.count(f"{world.namespace}/{name}") for name in ("words", "image")) >= 3

    world.until(lambda: (tmp_path / "bag" / "bag.mcap").is_file())
    world.until(lambda: _quietly(publish_until_some_are_on_disk))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert not (tmp_path / "bag" / "metadata.yaml").exists()
    messages, metadata, _ = read(tmp_path / "bag")
    assert len(messages["words"]) >= 3 and messages["words"][0].data == "kept"
    assert bytes(messages["image"][0].data) == image.data.tobytes()
    assert metadata["namespace"] == world.namespace and metadata["commit"]


def _quietly(check):
    from jepa_ros.errors import JepaError

    try:
        return check()
    except JepaError:  # nothing on disk yet
        return False


def test_a_duration_ends_it_and_nothing_recorded_is_status_1(command):
    process = command("--duration", "0.5")
    table, _ = process.communicate(timeout=30)
    assert process.returncode == 1 and "nobody published them" in table


@pytest.mark.parametrize(
    "options, says",
    [
        (["--out", "EXISTS"], "exists already"),
        (["--out", "FILE/bag"], "cannot create the bag"),
        (["--topics", "BAD"], "unknown keys ['rate']"),
        (["--topic", "no such name"], "'no such name' is not a topic's name"),
        (["--duration", "-1"], "--duration is -1; it must be positive"),
        (["--max-queue-mb", "nan"], "--max-queue-mb is nan; it must be positive"),
        (["--checkpoint", "/nowhere"], "checkpoint '/nowhere'"),
    ],
)
def test_a_bad_option_is_named(options, says, tmp_path, capsys):
    (tmp_path / "EXISTS").mkdir()
    (tmp_path / "FILE").write_text("")
    (tmp_path / "BAD").write_text(json.dumps({"topics": [{"topic": "a", "rate": 1}]}))
    places = [str(tmp_path / o) if o.isupper() or "/bag" in o else o for o in options]
    assert main.main(["record", "--out", str(tmp_path / "new"), *places]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and says in error
    assert not (tmp_path / "new").exists()
