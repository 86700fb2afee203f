"""Bags that this package did not record, in every shape, are read to the known scene and motion."""

import math

import cv2
import numpy as np
import pytest
from bag_shapes import (
    DISTROS,
    DT,
    JOINTS,
    SPEC,
    START,
    Shape,
    colours,
    grey,
    picture,
    quarters,
    targets,
    tip_position,
    write_bag,
)

from jepa_ros.data.bag_reader import read_episodes
from jepa_ros.data.images import ENCODINGS, resize
from jepa_ros.data.recording_reader import read_recording
from jepa_ros.data.topics import Topics
from jepa_ros.errors import JepaError

FRAMES = 24
MOTION = targets(FRAMES)
SCENE = np.array([colours(t) for t in range(FRAMES)]).astype(float)


def require_motion(path, tolerance: float, scene=SCENE, topics=None, jitter: float = 0.0):
    """The bag gives one episode of the known scene and motion, by read_episodes and by read_recording."""
    (episode,), report = read_episodes(path, SPEC, (32, 32), topics=topics, workers=1)
    assert not report.problems, report
    assert episode.images.shape == (FRAMES, 32, 32, 3) and episode.images.dtype == np.uint8
    assert np.abs(quarters(episode.images) - scene).max() <= tolerance
    assert np.abs(episode.joint_positions - MOTION).max() < 1e-6
    assert np.abs(episode.actions[:-1] - np.diff(MOTION, axis=0)).max() < 1e-6
    assert np.abs(episode.stamps - (START + DT * np.arange(FRAMES)) * 1e-9).max() <= jitter + 1e-6

    recording = read_recording(path, topics, SPEC)
    (run,) = recording.frames()
    whole = dict(recording.images(run.image_index, None))
    assert np.abs(quarters(np.stack([whole[i] for i in run.image_index])) - scene).max() <= tolerance
    assert np.abs(run.joint_positions - MOTION).max() < 1e-6
    return recording


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_of_raw_images(encoding, tmp_path):
    is_grey = ENCODINGS[encoding][2] == "COLOR_GRAY2RGB"
    tolerance = 2 if "yuv" in encoding or encoding in ("uyvy", "yuyv") else 1 if is_grey else 0
    path = write_bag(tmp_path / "bag", Shape(encoding=encoding, padding=6))
    require_motion(path, tolerance, grey(SCENE) if is_grey else SCENE)


@pytest.mark.parametrize(
    "format, tolerance",
    [
        ("jpeg", 6),
        ("png", 0),
        ("rgb8; jpeg compressed bgr8", 6),
        ("bgr8; jpeg compressed bgr8", 6),
        ("bgra8; jpeg compressed bgr8", 6),
        ("mono8; jpeg compressed mono8", 3),
        ("rgb8; png compressed bgr8", 0),
        ("rgb16; png compressed bgr16", 0),
        ("mono8; png compressed ", 1),
        ("mono16; png compressed ", 1),
        ("bayer_grbg8; png compressed ", 0),
    ],
)
def test_every_format_of_compressed_images(format, tolerance, tmp_path):
    shape = Shape(format=format, image_topic="/camera/image_raw/compressed")
    require_motion(write_bag(tmp_path / "bag", shape), tolerance, grey(SCENE) if "mono" in format else SCENE)


@pytest.mark.parametrize("shape", [Shape(encoding="bgr8"), Shape(format="bgr8; jpeg compressed bgr8")])
def test_images_of_1280x720(shape, tmp_path):
    large = Shape(
        encoding=shape.encoding, format=shape.format, size=(720, 1280), image_topic="/cam/image/compressed"
    )
    require_motion(write_bag(tmp_path / "bag", large), 6 if shape.format else 0)


def test_pixels_of_a_jpeg_are_those_of_the_live_encoder(tmp_path):
    """Decoded whole, cropped and averaged: bit for bit what OpenCV and `resize` make of the same JPEG."""
    shape = Shape(format="jpeg", size=(480, 640), image_topic="/cam/image/compressed")
    (episode,), _ = read_episodes(write_bag(tmp_path / "bag", shape, frames=10), SPEC, (64, 64), workers=1)
    jpeg = cv2.imencode(".jpg", picture(3, (480, 640))[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    expected = resize(np.ascontiguousarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1]), (64, 64))
    assert np.array_equal(episode.images[3], expected)


STORAGES = [
    ("mcap", "none"),
    ("mcap", "file"),
    ("mcap", "message"),
    ("mcap", "storage"),
    ("sqlite3", "none"),
    ("sqlite3", "file"),
    ("sqlite3", "message"),
]


@pytest.mark.parametrize("files", [1, 3])
@pytest.mark.parametrize("storage, compression", STORAGES)
def test_every_storage_and_compression_in_one_file_and_split(storage, compression, files, tmp_path):
    shape = Shape(storage=storage, compression=compression, files=files)
    path = write_bag(tmp_path / "bag", shape)
    assert len([f for f in path.iterdir() if f.name != "metadata.yaml"]) == files
    require_motion(path, 0)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("distro", DISTROS)
def test_every_distribution_with_a_vendors_type_among_the_topics(distro, storage, tmp_path):
    path = write_bag(tmp_path / "bag", Shape(distro=distro, storage=storage, vendor=True))
    recording = require_motion(path, 0)
    grip = recording.logs["/gripper/grip"]
    assert grip.msgtype == "vendor_msgs/msg/Grip" and len(grip.log_ns) == FRAMES
    assert np.all(np.diff(grip.log_ns) == DT)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_messages_of_an_older_version_of_this_package_are_told_and_the_others_used(storage, tmp_path):
    path = write_bag(tmp_path / "bag", Shape(storage=storage, graph=True, older=True))
    recording = read_recording(path, None, SPEC)
    assert [len(run.stamps) for run in recording.frames()] == [FRAMES]
    assert (len(recording.plans), len(recording.embeddings), len(recording.goals)) == (FRAMES, FRAMES, 1)
    assert not recording.statuses
    (problem,) = recording.problems
    assert problem.topic == "/jepa/planner/status" and f"{FRAMES} messages left out" in problem.text
    assert "jepa_ros/msg/PlannerStatus of another version" in problem.text


@pytest.mark.parametrize(
    "told, read",
    [
        ((0.1, 0.2, 0.3), (0.1, 0.2, 0.3)),
        ((), ()),
        ((0.1, 0.2), ()),
        ((0.1, math.nan, 0.3), ()),
        ((0.1, 1e30, 0.3), ()),
    ],
    ids=["three", "none", "two", "nan", "huge"],
)
def test_joints_that_a_plan_tells_are_read_where_they_can_be_joints(told, read, tmp_path):
    recording = read_recording(write_bag(tmp_path / "bag", Shape(graph=True, proprio=told)), None, SPEC)
    assert [tuple(plan.proprio) for plan in recording.plans] == [read] * FRAMES
    assert [len(run.stamps) for run in recording.frames()] == [FRAMES]


def test_topics_are_mapped_by_a_file(tmp_path):
    shape = Shape(
        image_topic="/front/rgb", joints_topic="/arm/measured", command_topic="/arm/follow", encoding="bgr8"
    )
    path = write_bag(tmp_path / "bag", shape)
    names = tmp_path / "topics.yaml"
    names.write_text("image: /front/rgb\njoint_states: /arm/measured\ncommand: /arm/follow\n")
    with pytest.raises(JepaError, match="(?s)missing.*/front/rgb"):
        read_episodes(path, SPEC, workers=1)
    require_motion(path, 0, topics=Topics.from_yaml(names))


def test_joints_in_another_order_with_joints_of_other_parts_among_them(tmp_path):
    shape = Shape(
        joint_order=("wrist", "gripper", "pan", "rail", "lift"), command_order=("lift", "wrist", "pan")
    )
    require_motion(write_bag(tmp_path / "bag", shape), 0)


@pytest.mark.parametrize("seed", range(3))
def test_stamps_and_arrivals_that_scatter(seed, tmp_path):
    """A best-effort camera: exposures up to 9 ms after the beat, arrivals up to 27 ms late."""
    shape = Shape(jitter=0.009, format="jpeg", image_topic="/camera/image/compressed")
    path = write_bag(tmp_path / "bag", shape, seed=seed)
    (episode,), report = read_episodes(path, SPEC, (32, 32), workers=1)
    assert not report.problems and len(episode) >= FRAMES - 1
    start = FRAMES - len(episode)
    assert np.abs(quarters(episode.images) - SCENE[start:]).max() <= 6
    assert np.abs(episode.joint_positions - targets(FRAMES, seed)[start:]).max() < 1e-6


def test_the_end_effector_by_tf(tmp_path):
    path = write_bag(tmp_path / "bag", Shape(tf=True))
    recording = require_motion(path, 0, topics=Topics(base_frame="base_link", tip_frame="tool0"))
    positions, source = recording.end_effector(recording.frames()[0])
    assert source == "tf" and np.abs(positions - tip_position(MOTION)).max() < 1e-6
    other = read_recording(path, Topics(base_frame="base_link", tip_frame="tool1"), SPEC)
    with pytest.raises(JepaError, match="to 'tool1'.*upper_arm -> tool0"):
        other.end_effector(other.frames()[0])


def test_without_frames_named_an_arm_that_is_not_known_has_no_end_effector(tmp_path):
    recording = read_recording(write_bag(tmp_path / "bag", Shape(tf=True)), None, SPEC)
    assert recording.end_effector(recording.frames()[0]) is None


def test_all_of_it_at_once(tmp_path):
    """A Humble robot: split and compressed sqlite3 without definitions, large JPEG, other names."""
    shape = Shape(
        storage="sqlite3",
        compression="file",
        distro="humble",
        format="bgr8; jpeg compressed bgr8",
        size=(720, 1280),
        image_topic="/front/color/compressed",
        joints_topic="/robot/joint_states",
        command_topic="/robot/follow",
        joint_order=("rail", "wrist", "lift", "pan", "gripper"),
        command_order=tuple(reversed(JOINTS)),
        files=2,
        vendor=True,
        tf=True,
    )
    topics = Topics(
        image="/front/color/compressed", command="/robot/follow", base_frame="base_link", tip_frame="tool0"
    )
    recording = require_motion(write_bag(tmp_path / "bag", shape), 6, topics=topics)
    positions, _ = recording.end_effector(recording.frames()[0])
    assert np.abs(positions - tip_position(MOTION)).max() < 1e-6
