"""Bags are whole or absent, and hold what was written."""

import shutil

import numpy as np
import pytest
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import Reader

from jepa_ros.data.bag_files import BagFile
from jepa_ros.data.bag_writer import BagWriter, partial_folder
from jepa_ros.data.messages import deserialize, make_header, message_class, serialize
from jepa_ros.data.stamps import stamp_ns
from jepa_ros.errors import JepaError

HEADER = "std_msgs/msg/Header"


def read_all(path):
    with Reader(path) as reader:
        return [(c.topic, t, deserialize(d, c.msgtype)) for c, t, d in reader.messages()]


def test_typed_and_raw_messages_come_back(tmp_path):
    with BagWriter(tmp_path / "bag", {"/a": HEADER, "/b": HEADER}) as bag:
        bag.write("/a", 5, make_header(7_000_000_003, "camera"))
        bag.write_raw("/b", 6, serialize(make_header(8, "raw")))
    messages = read_all(tmp_path / "bag")
    assert [(topic, time) for topic, time, _ in messages] == [("/a", 5), ("/b", 6)]
    assert (messages[0][2].stamp.sec, messages[0][2].stamp.nanosec, messages[0][2].frame_id) == (
        7,
        3,
        "camera",
    )
    assert messages[1][2].frame_id == "raw"


def test_own_messages_can_be_recorded(tmp_path):
    tensor = message_class("jepa_ros/msg/Tensor")(
        name="latent", dtype="float32", shape=np.array([1, 2], np.uint32), data=np.arange(8, dtype=np.uint8)
    )
    with BagWriter(tmp_path / "bag", {"/t": "jepa_ros/msg/Tensor"}) as bag:
        bag.write("/t", 1, tensor)
    ((_, _, back),) = read_all(tmp_path / "bag")
    assert back.name == "latent" and back.shape.tolist() == [1, 2] and back.data.tolist() == list(range(8))


def test_a_stamp_survives_in_nanoseconds():
    message = message_class("sensor_msgs/msg/JointState")(
        header=make_header(1_700_000_000_123_456_789),
        name=[],
        position=np.zeros(0),
        velocity=np.zeros(0),
        effort=np.zeros(0),
    )
    assert (
        stamp_ns(deserialize(serialize(message), "sensor_msgs/msg/JointState")) == 1_700_000_000_123_456_789
    )


def test_metadata_is_kept_in_the_bag(tmp_path):
    BagWriter(tmp_path / "bag", {"/a": HEADER}, {"task": "reach", "seed": 3}).close()
    with Reader(tmp_path / "bag") as reader:
        assert reader.storage.metadata.custom["jepa_ros"] == '{"task": "reach", "seed": 3}'


def test_images_are_compressed_on_disk(tmp_path):
    with BagWriter(tmp_path / "bag", {"/a": HEADER}) as bag:
        for i in range(50):
            bag.write("/a", i, make_header(i, "x" * 10_000))
    assert (tmp_path / "bag" / "bag.mcap").stat().st_size < 50_000


def test_latched_topics_offer_transient_local(tmp_path):
    BagWriter(tmp_path / "bag", {"/goal": HEADER, "/a": HEADER}, latched=["/goal"]).close()
    with Reader(tmp_path / "bag") as reader:
        offered = {c.topic: c.ext.offered_qos_profiles for c in reader.connections}
    assert [q.durability for q in offered["/goal"]] == [QosDurability.TRANSIENT_LOCAL]
    assert offered["/a"] == []


def test_an_unfinished_bag_is_not_at_its_path(tmp_path):
    bag = BagWriter(tmp_path / "bag", {"/a": HEADER})
    bag.write("/a", 1, make_header(1))
    assert not (tmp_path / "bag").exists()
    del bag  # as after a kill: its folder stays behind
    assert partial_folder(tmp_path / "bag").exists()
    with BagWriter(tmp_path / "bag", {"/a": HEADER}) as again:
        again.write("/a", 2, make_header(2))
    assert [time for _, time, _ in read_all(tmp_path / "bag")] == [2]
    assert not partial_folder(tmp_path / "bag").exists()


def test_an_exception_drops_the_bag(tmp_path):
    with pytest.raises(ValueError, match="stop"), BagWriter(tmp_path / "bag", {"/a": HEADER}) as bag:
        bag.write("/a", 1, make_header(1))
        raise ValueError("stop")
    assert list(tmp_path.iterdir()) == []


def test_misuse_is_named(tmp_path):
    with pytest.raises(JepaError, match="no_msgs/msg/Nothing"):
        BagWriter(tmp_path / "bag", {"/a": "no_msgs/msg/Nothing"})
    bag = BagWriter(tmp_path / "bag", {"/a": HEADER})
    with pytest.raises(JepaError, match="/b was not declared"):
        bag.write("/b", 1, make_header(1))
    bag.close()
    bag.close()
    with pytest.raises(JepaError, match="closed already"):
        bag.write("/a", 1, make_header(1))
    with pytest.raises(JepaError, match="exists already"):
        BagWriter(tmp_path / "bag", {"/a": HEADER})
    (tmp_path / "file").write_text("")
    with pytest.raises(JepaError, match="cannot create"):
        BagWriter(tmp_path / "file" / "bag", {"/a": HEADER})


def test_a_live_bag_can_be_read_up_to_its_last_flush(tmp_path):
    bag = BagWriter(tmp_path / "bag", {"/a": HEADER}, {"state": "early"}, live=True)
    bag.write("/a", 1, make_header(1, "kept"))
    bag.set_metadata({"state": "late"})
    bag.flush()
    bag.write("/a", 2, make_header(2, "lost"))
    crashed = shutil.copytree(tmp_path / "bag", tmp_path / "crashed")
    bag.close()
    assert [t for _, t, _ in read_all(tmp_path / "bag")] == [1, 2]
    for path, times in ((crashed, [1]), (tmp_path / "bag", [1, 2])):
        with BagFile(path) as file:
            assert [m.log_ns for m in file.messages()] == times
            assert file.metadata == {"state": "late"}
    assert not partial_folder(tmp_path / "bag").exists()


def test_a_live_bag_takes_topics_while_open_and_keeps_their_qos(tmp_path):
    qos = Qos(
        QosHistory.KEEP_LAST,
        3,
        QosReliability.BEST_EFFORT,
        QosDurability.VOLATILE,
        QosTime(0, 0),
        QosTime(0, 0),
        QosLiveliness.AUTOMATIC,
        QosTime(0, 0),
        False,
    )
    with BagWriter(tmp_path / "bag", {"/a": HEADER}, live=True, compression="none") as bag:
        bag.write("/a", 1, make_header(1, "first chunk"))
        bag.flush()
        bag.add_topic("/b", "std_msgs/msg/String", [qos])
        bag.write("/b", 2, message_class("std_msgs/msg/String")(data="later"))
    assert [(topic, t) for topic, t, _ in read_all(tmp_path / "bag")] == [("/a", 1), ("/b", 2)]
    with Reader(tmp_path / "bag") as reader:
        assert reader.connections[1].ext.offered_qos_profiles == [qos]


def test_a_live_bag_outlives_an_error_of_its_writer(tmp_path):
    with pytest.raises(ZeroDivisionError), BagWriter(tmp_path / "bag", {"/a": HEADER}, live=True) as bag:
        bag.write("/a", 1, make_header(1))
        1 / 0
    assert len(read_all(tmp_path / "bag")) == 1
    with pytest.raises(JepaError, match="exists already"):
        BagWriter(tmp_path / "bag", {"/a": HEADER}, live=True)


def test_unknown_compression_is_named(tmp_path):
    with pytest.raises(JepaError, match="'lzma'.*zstd, none"):
        BagWriter(tmp_path / "bag", {"/a": HEADER}, compression="lzma")
    assert not list(tmp_path.iterdir())
