"""Bags played into a live graph over real DDS."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from jepa_ros.msg import Embedding, Goal
from node_bench import make_spec
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from jepa_ros.data.bag_writer import BagWriter
from jepa_ros.data.episode_bag import EpisodeBag
from jepa_ros.data.messages import build_typestore, make_header, message_class, own_types
from jepa_ros.data.stamps import nanoseconds
from jepa_ros.errors import JepaError
from jepa_ros.nodes.bags.replay_routes import COMMAND_TYPES
from jepa_ros.nodes.bags.replayer import LAST, Replayer, ReplaySettings
from jepa_ros.nodes.encoder import EncoderNode
from jepa_ros.nodes.wire.tensor import from_msg

SPEC = make_spec()
FRAMES, DT, BEGIN = 10, 0.1, 100.0
CAMERA = {"width": 64, "height": 64, "k": np.eye(3)}


def images():
    rng = np.random.default_rng(5)
    return [rng.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(FRAMES)]


def stamps(begin=BEGIN):
    return [round(1e9 * (begin + i * DT)) for i in range(FRAMES)]


@pytest.fixture(scope="session")
def bag(tmp_path_factory):
    """An episode of another namespace, with commands."""
    path = tmp_path_factory.mktemp("replay") / "bag"
    with EpisodeBag(path, SPEC, CAMERA, namespace="lab/arm") as bag:
        for stamp, image in zip(stamps(), images(), strict=True):
            bag.command(1e-9 * stamp, np.zeros(SPEC.dim))
            bag.observe(1e-9 * stamp, image, np.full(SPEC.dim, 0.1), np.zeros(SPEC.dim))
    return path


def joint_state(stamp):
    empty = np.zeros(0)
    return message_class("sensor_msgs/msg/JointState")(
        header=make_header(stamp),
        name=list(SPEC.joint_names),
        position=np.zeros(SPEC.dim),
        velocity=empty,
        effort=empty,
    )


def replayer(world, bag, said=None, **settings):
    settings = {"namespace": world.namespace, "wait_s": 0.0, "rate": 4.0} | settings
    player = Replayer(ReplaySettings(bag, **settings), (said if said is not None else []).append)
    settle = player._live.settle

    def settle_and_match(pause):
        """A stalled machine looks settled before its readers have found their publishers."""
        going_on = settle(pause)
        for topic, publisher in player._live.publishers.items():
            readers = [s for s in world.bench.subscriptions if s.topic_name == topic]
            count = world.bench.count_subscribers(topic)
            world.until(lambda p=publisher, n=count: p.get_subscription_count() >= n)
            world.until(lambda readers=readers: all(s.get_publisher_count() for s in readers))
        return going_on

    player._live.settle = settle_and_match
    return player


def play(world, bag, said=None, **settings):
    with replayer(world, bag, said, **settings) as player:
        return player.play(threading.Event())


def listen(world, kind, topic):
    """An inbox with room, so that a busy machine loses nothing."""
    return world.listen(kind, topic, QoSProfile(depth=100))


def test_the_encoder_under_replayed_time_sees_images_with_their_stamps(world, bag, checkpoint):
    encoder = world.make(EncoderNode, parameters={"checkpoint": checkpoint, "use_sim_time": True})
    embeddings = listen(world, Embedding, "embedding")
    world.until(lambda: world.bench.count_publishers(f"{world.namespace}/embedding"))
    progress = play(world, bag, rate=1.0)
    embeddings.wait(lambda m: nanoseconds(m.header.stamp) == stamps()[-1])
    of = dict(zip(stamps(), images(), strict=True))
    seen = [nanoseconds(m.header.stamp) for m in embeddings.messages]
    # A busy machine sees fewer than all: the newest image counts.
    assert len(seen) >= 2 and seen == sorted(set(seen))
    for stamp, message in zip(seen, embeddings.messages, strict=True):
        expected = encoder._checkpoint.model.embed(of[stamp])
        np.testing.assert_array_equal(from_msg(message.latent).reshape(-1), expected)
    assert abs(nanoseconds(encoder.get_clock().now().to_msg()) - stamps()[-1]) < 2e7
    assert progress.messages["/lab/arm/image"] == FRAMES and progress.seconds == pytest.approx(0.9)


def test_commands_are_played_under_recorded_and_nowhere_else(world, bag):
    recorded = listen(world, JointTrajectory, "recorded/joint_trajectory")
    joints = listen(world, JointState, "joint_states")
    with replayer(world, bag) as player:
        player.play(threading.Event())
        recorded.wait(lambda m: nanoseconds(m.header.stamp) == stamps()[-1])
        joints.wait(lambda m: nanoseconds(m.header.stamp) == stamps()[-1])
        published = world.bench.get_publisher_names_and_types_by_node("jepa_replay", world.namespace)
    assert len(recorded.messages) == len(joints.messages) == FRAMES
    commands = [name for name, kinds in published if set(kinds) & set(COMMAND_TYPES)]
    assert commands == [f"{world.namespace}/recorded/joint_trajectory"]
    assert {name for name, _ in published} >= {
        f"{world.namespace}/{topic}" for topic in ("image", "camera_info", "joint_states")
    }


def test_the_clock_runs_from_the_first_stamp_to_the_last_and_between_messages_too(world, bag):
    clock = world.listen(Clock, "/clock", qos_profile_sensor_data)
    play(world, bag, rate=0.25)
    clock.wait(lambda m: nanoseconds(m.clock) == stamps()[-1])
    times = np.array([nanoseconds(m.clock) for m in clock.messages])
    assert times[0] == stamps()[0] and np.all(np.diff(times) >= 0)
    assert len(times) > 5 * FRAMES  # far more often than the bag's own 10 Hz


@pytest.mark.parametrize("topic", ["joint_trajectory", "/lab/arm/joint_trajectory"])
def test_a_robot_that_listens_is_refused_by_name(world, bag, topic):
    world.listen(JointTrajectory, topic)
    joints = world.listen(JointState, "joint_states")
    with pytest.raises(JepaError, match=f"node {world.namespace}/bench listens to .*joint_trajectory"):
        play(world, bag)
    assert not joints.messages


def test_force_plays_although_a_robot_listens_and_still_sends_it_nothing(world, bag):
    robot = world.listen(JointTrajectory, "joint_trajectory")
    joints = listen(world, JointState, "joint_states")
    play(world, bag, force=True)
    joints.wait(lambda m: nanoseconds(m.header.stamp) == stamps()[-1])
    assert not robot.messages


def test_a_robot_that_comes_to_listen_stops_the_replay(world, bag):
    joints = world.listen(JointState, "joint_states")
    with replayer(world, bag, rate=0.1) as player, ThreadPoolExecutor(1) as thread:
        playing = thread.submit(player.play, threading.Event())
        joints.wait()
        world.listen(JointTrajectory, "joint_trajectory")
        with pytest.raises(JepaError, match=f"node {world.namespace}/bench listens"):
            playing.result(5.0)


def test_live_sensors_are_refused_by_name(world, bag):
    world.bench.create_publisher(Image, "image", 1)
    with pytest.raises(JepaError, match=f"node {world.namespace}/bench publishes {world.namespace}/image"):
        play(world, bag)


def test_damaged_bag_plays_what_is_healthy_and_says_what_is_not(world, tmp_path):
    topics = {"/a/joint_states": "sensor_msgs/msg/JointState"}
    with BagWriter(tmp_path / "bag", topics, {}, live=True) as bag:
        file, sizes = next((tmp_path / "bag").glob("*.mcap")), []
        for stamp in stamps():
            bag.write("/a/joint_states", stamp, joint_state(stamp))
            bag.flush()
            sizes.append(file.stat().st_size)
    file.write_bytes(file.read_bytes()[: sizes[5] + 40])  # within the seventh message
    said = []
    progress = play(world, tmp_path / "bag", said)
    assert progress.messages == {"/a/joint_states": 6}
    assert any("damaged" in text for text in said)


def test_without_images_the_joints_are_played_and_it_is_said(world, tmp_path):
    with BagWriter(tmp_path / "bag", {"/a/joint_states": "sensor_msgs/msg/JointState"}) as bag:
        for stamp in stamps():
            bag.write("/a/joint_states", stamp, joint_state(stamp))
    said, joints = [], listen(world, JointState, "joint_states")
    play(world, tmp_path / "bag", said)
    joints.wait(lambda m: nanoseconds(m.header.stamp) == stamps()[-1])
    assert any("image" in text and "encoder" in text for text in said)


def test_a_clock_that_was_set_back_in_the_bag_is_said_and_played(world, tmp_path):
    times = [*stamps(), *stamps(BEGIN - 50)]
    with BagWriter(tmp_path / "bag", {"/a/joint_states": "sensor_msgs/msg/JointState"}) as bag:
        for i, stamp in enumerate(times):
            bag.write("/a/joint_states", stamps(500)[0] + i * 10**8, joint_state(stamp))
    said, joints = [], listen(world, JointState, "joint_states")
    clock = world.listen(Clock, "/clock", qos_profile_sensor_data)
    play(world, tmp_path / "bag", said)
    joints.wait(lambda m: nanoseconds(m.header.stamp) == times[-1])
    clock.wait(lambda m: nanoseconds(m.clock) == times[-1])
    assert [nanoseconds(m.header.stamp) for m in joints.messages] == times
    assert sum("set back by" in text for text in said) == 1


def test_types_that_are_not_installed_are_named_and_left_out(world, tmp_path):
    kind = "no_such_msgs/msg/Thing"
    store = build_typestore(get_types_from_msg("int32 value\n", kind))
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        thing = writer.add_connection("/a/thing", kind, typestore=store)
        joints = writer.add_connection("/a/joint_states", "sensor_msgs/msg/JointState", typestore=store)
        for stamp in stamps():
            writer.write(thing, stamp, store.serialize_cdr(store.types[kind](value=1), kind))
            message = joint_state(stamp)
            writer.write(joints, stamp, store.serialize_cdr(message, message.__msgtype__))
    said = []
    progress = play(world, tmp_path / "bag", said)
    assert progress.messages == {"/a/joint_states": FRAMES}
    assert any("no_such_msgs" in text and "/a/thing" in text for text in said)


def goal_message(stamp):
    tensor = message_class("jepa_ros/msg/Tensor")(
        name="latent",
        dtype="float32",
        shape=np.array([1], np.uint32),
        data=np.zeros(4, np.uint8),
    )
    header = make_header(stamp)
    embedding = message_class("jepa_ros/msg/Embedding")(
        header=header,
        encoder_id="someone's",
        latent=tensor,
        encode_ms=0.0,
        encoded_stamp=header.stamp,
    )
    return message_class("jepa_ros/msg/Goal")(
        header=header, goal_id=str(stamp), embedding=embedding, part_of=""
    )


def test_a_part_begins_with_the_goal_that_held_then(world, tmp_path):
    kinds = {"/a/joint_states": "sensor_msgs/msg/JointState", "/a/goal": "jepa_ros/msg/Goal"}
    with BagWriter(tmp_path / "bag", kinds, latched=["/a/goal"]) as bag:
        for i, stamp in enumerate(stamps()):
            if i < 3:
                bag.write("/a/goal", stamp, goal_message(stamp))
            bag.write("/a/joint_states", stamp, joint_state(stamp))
    latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    goals, joints = world.listen(Goal, "goal", latched), listen(world, JointState, "joint_states")
    with replayer(world, tmp_path / "bag", start_s=0.45, duration_s=0.3) as player:
        progress = player.play(threading.Event())
        goals.wait()  # before it leaves: on a busy machine the reader is found late
        joints.wait(lambda m: nanoseconds(m.header.stamp) == stamps()[7])
    assert [m.goal_id for m in goals.messages] == [str(stamps()[2])]
    assert [nanoseconds(m.header.stamp) for m in joints.messages] == stamps()[5:8]
    assert progress.messages == {"/a/joint_states": 3}


def bag_with_goals_of_another_version(path, lacks):
    """Its Embedding and its Goal have all fields of today but these."""
    then, goal = dict(own_types()), goal_message(stamps()[0])
    for kind in ("jepa_ros/msg/Embedding", "jepa_ros/msg/Goal"):
        constants, fields = then[kind]
        then[kind] = constants, [field for field in fields if field[0] not in lacks]
    store = build_typestore(then)

    def kept(message, kind):
        return {name: getattr(message, name) for name, _ in then[kind][1]}

    embedding = store.types["jepa_ros/msg/Embedding"](**kept(goal.embedding, "jepa_ros/msg/Embedding"))
    goal = store.types["jepa_ros/msg/Goal"](**kept(goal, "jepa_ros/msg/Goal") | {"embedding": embedding})
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        goals = writer.add_connection("/a/goal", "jepa_ros/msg/Goal", typestore=store)
        joints = writer.add_connection("/a/joint_states", "sensor_msgs/msg/JointState", typestore=store)
        writer.write(goals, stamps()[0], store.serialize_cdr(goal, "jepa_ros/msg/Goal"))
        for stamp in stamps():
            message = joint_state(stamp)
            writer.write(joints, stamp, store.serialize_cdr(message, message.__msgtype__))


@pytest.mark.parametrize("lacks", [("part_of",), ("encoded_stamp", "part_of")], ids=len)
def test_a_goal_from_before_some_fields_is_played_as_one_of_today(world, tmp_path, lacks):
    bag_with_goals_of_another_version(tmp_path / "bag", lacks)
    latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    goals, said = world.listen(Goal, "goal", latched), []
    with replayer(world, tmp_path / "bag", said) as player:
        progress = player.play(threading.Event())
        played, recorded = goals.wait(), goal_message(stamps()[0])
    assert progress.messages == {"/a/goal": 1, "/a/joint_states": FRAMES}
    assert (played.goal_id, played.part_of) == (recorded.goal_id, "")
    assert played.embedding.encoder_id == "someone's"
    assert nanoseconds(played.header.stamp) == nanoseconds(played.embedding.encoded_stamp) == stamps()[0]
    np.testing.assert_array_equal(from_msg(played.embedding.latent), np.zeros(1, np.float32))
    assert not any("goal" in text for text in said)


def test_a_goal_of_yet_another_version_is_left_out_and_it_is_said_what_to_do(world, tmp_path):
    bag_with_goals_of_another_version(tmp_path / "bag", ("encoded_stamp", "part_of", "encode_ms"))
    said = []
    assert play(world, tmp_path / "bag", said).messages == {"/a/joint_states": FRAMES}
    assert any("/a/goal" in text and "record the run anew" in text for text in said)


def test_the_last_image_as_goal_and_rounds_without_end(world, bag, checkpoint):
    encoder = world.make(EncoderNode, parameters={"checkpoint": checkpoint, "use_sim_time": True})
    embeddings, goals = listen(world, Embedding, "embedding"), listen(world, Goal, "goal")
    world.until(lambda: world.bench.count_publishers(f"{world.namespace}/goal"))
    stop = threading.Event()
    with replayer(world, bag, loop=True, rate=0.25, goal_image=LAST) as player:
        progress = player.play(stop, lambda p: stop.set() if p.rounds == 2 and p.seconds > 0.5 else None)
    embeddings.wait(lambda _: np.any(np.diff([nanoseconds(m.header.stamp) for m in embeddings.messages]) < 0))
    goals.wait(lambda m: len(goals.messages) == 2)
    latent = encoder._checkpoint.model.embed(images()[-1])
    for goal in goals.messages:
        np.testing.assert_array_equal(from_msg(goal.embedding.latent).reshape(-1), latent)
        assert nanoseconds(goal.header.stamp) == stamps()[0]
    assert progress.rounds == 2


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"bag": "nowhere"}, "nowhere: no such file"),
        ({"bag": "two"}, "holds 2 bags; give one"),
        ({"start_s": 60.0}, "--start 60: the bag lasts 0.9 s"),
    ],
)
def test_what_cannot_be_played_is_said_before_anything_is_published(world, bag, tmp_path, settings, told):
    for name in ("one", "other"):
        (tmp_path / "two" / name).mkdir(parents=True)
        for file in bag.iterdir():
            (tmp_path / "two" / name / file.name).write_bytes(file.read_bytes())
    path = tmp_path / settings.pop("bag") if "bag" in settings else bag
    with pytest.raises(JepaError, match=told):
        replayer(world, path, **settings)
