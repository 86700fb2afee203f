"""Ten kinds of damage: each is said so that a user can act on it, and what is healthy is used."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from bag_shapes import (
    DT,
    SECOND,
    SPEC,
    START,
    Shape,
    colours,
    mcap_records,
    quarters,
    targets,
    vendor_message,
    write_bag,
)

from jepa_ros.data.bag_check import check
from jepa_ros.data.bag_reader import read_episodes
from jepa_ros.data.recording_reader import read_recording
from jepa_ros.data.topics import Topics
from jepa_ros.errors import JepaError

FRAMES = 24
IMAGE, JOINTS, COMMAND = "/camera/image_raw", "/joint_states", "/arm_controller/joint_trajectory"
STORAGES = {"mcap": Shape(chunk=30_000), "sqlite3": Shape(storage="sqlite3")}
both = pytest.mark.parametrize("shape", STORAGES.values(), ids=STORAGES)


def storage_file(bag, number=0):
    return sorted(f for f in bag.iterdir() if f.name != "metadata.yaml")[number]


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """(bag, topics) -> (its episodes, its problems); the healthy bag beside it must always be used."""
    healthy = write_bag(tmp_path_factory.mktemp("beside") / "healthy", seed=1)

    def make(bag, topics=None):
        episodes, report = read_episodes(
            [bag, healthy], SPEC, (16, 16), topics=topics, workers=1, min_frames=4
        )
        assert report.used[-1] == healthy and len(episodes[-1]) == FRAMES
        assert all(bag in (p.source, p.source.parent) for p in report.problems)
        assert all(p.skipped == (p.source in report.skipped) for p in report.problems)
        return episodes[:-1], report.problems

    return make


def require_scene(episodes, frames):
    """The episodes are these frames of the known scene and motion."""
    assert [len(e) for e in episodes] == [len(f) for f in frames]
    for episode, kept in zip(episodes, frames, strict=True):
        assert np.array_equal(quarters(episode.images), [colours(t) for t in kept])
        assert np.abs(episode.joint_positions - targets(FRAMES)[list(kept)]).max() < 1e-6
        assert np.isfinite(episode.actions).all()


def frames_of(bag):
    """Frames whose image is in a damaged bag's recording, by time."""
    recording = read_recording(bag, None, SPEC)
    return [
        np.round((r.stamps - START * 1e-9) / (DT * 1e-9)).astype(int).tolist() for r in recording.frames()
    ]


# 1. A file that was cut off


@both
@pytest.mark.parametrize("part", [0.95, 0.6, 0.3])
def test_a_truncated_file_gives_what_was_written_before(shape, part, read, tmp_path):
    bag = write_bag(tmp_path / "bag", shape)
    file = storage_file(bag)
    content = file.read_bytes()
    file.write_bytes(content[: int(part * len(content))])
    episodes, (problem,) = read(bag)
    kept = len(episodes[0])
    assert kept >= part * FRAMES - 7
    require_scene(episodes, [range(kept)])
    assert "damaged" in problem.text and file.name in problem.text and not problem.skipped
    assert "what is healthy in it is used; repair it with" in problem.text


@both
@pytest.mark.parametrize("size", [0, 5, 50])
def test_a_file_of_which_nothing_is_left_is_named(shape, size, read, tmp_path):
    bag = write_bag(tmp_path / "bag", shape)
    file = storage_file(bag)
    file.write_bytes(file.read_bytes()[:size])
    episodes, (problem,) = read(bag)
    assert not episodes and problem.skipped
    assert "no message can be read from it" in problem.text and file.name in problem.text
    assert "repair it with" in problem.text and "healthy" not in problem.text


@both
def test_one_truncated_file_of_several_leaves_the_others(shape, read, tmp_path):
    bag = write_bag(tmp_path / "bag", replace(shape, files=3))
    file = storage_file(bag, 1)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    episodes, (problem,) = read(bag)
    assert {0, 7, 16, 23} <= {t for run in frames_of(bag) for t in run}
    require_scene(episodes, frames_of(bag))
    assert file.name in problem.text


@both
def test_a_truncated_compressed_file_is_unpacked_as_far_as_it_goes(shape, read, tmp_path):
    def noise(message):  # which does not compress
        random = np.random.default_rng(message[0]).integers(0, 256, 48 * 64 * 3, dtype=np.uint8)
        return (*message[:2], replace(message[2], data=random)) if message[1] == IMAGE else message

    bag = write_bag(tmp_path / "bag", replace(shape, compression="file"), edit=noise)
    file = storage_file(bag)
    file.write_bytes(file.read_bytes()[: int(0.8 * file.stat().st_size)])
    episodes, (problem,) = read(bag)
    assert len(episodes) == 1 and 6 <= len(episodes[0]) < FRAMES
    assert file.name in problem.text and "damaged" in problem.text


# 2. Flipped bytes


def test_a_flipped_byte_in_an_mcap_chunk_costs_that_chunk(read, tmp_path):
    bag = write_bag(tmp_path / "bag", STORAGES["mcap"])
    file = storage_file(bag)
    content = bytearray(file.read_bytes())
    chunks = [(begin, end) for opcode, begin, end in mcap_records(bytes(content)) if opcode == 0x06]
    assert len(chunks) > 5
    begin, end = chunks[3]
    content[(begin + end) // 2] ^= 0x10
    file.write_bytes(content)
    episodes, (problem,) = read(bag)
    before, after = frames_of(bag)
    assert before[0] == 0 and after[-1] == FRAMES - 1 and 3 <= FRAMES - len(before) - len(after) <= 6
    require_scene(episodes, [before, after])
    assert "checksum" in problem.text and "repair it with `mcap recover`" in problem.text


def test_flipped_bytes_in_a_page_of_sqlite3_cost_that_page(read, tmp_path):
    bag = write_bag(tmp_path / "bag", STORAGES["sqlite3"])
    file = storage_file(bag)
    content = bytearray(file.read_bytes())
    page = struct.unpack_from(">H", content, 16)[0]
    leaves = [at for at in range(page, len(content), page) if content[at] == 0x0D]  # of tables
    content[leaves[len(leaves) // 2]] ^= 0xFF
    file.write_bytes(content)
    episodes, (problem,) = read(bag)
    kept = frames_of(bag)
    assert 12 <= sum(map(len, kept)) < FRAMES
    require_scene(episodes, [run for run in kept if len(run) >= 4])
    assert "malformed" in problem.text and "repair it with sqlite3's `.recover`" in problem.text


# 3. Missing metadata


@both
@pytest.mark.parametrize("content", [None, "", "rosbag2_bagfile_information: [", "- 1", "\x00\x01"])
def test_missing_or_broken_metadata_is_done_without(shape, content, read, tmp_path):
    bag = write_bag(tmp_path / "bag", shape)
    (bag / "metadata.yaml").unlink()
    if content is not None:
        (bag / "metadata.yaml").write_text(content)
    episodes, (problem,) = read(bag)
    require_scene(episodes, [range(FRAMES)])
    assert "metadata" in problem.text and "`ros2 bag reindex`" in problem.text and not problem.skipped


@both
def test_compressed_files_without_metadata_are_found(shape, read, tmp_path):
    bag = write_bag(tmp_path / "bag", replace(shape, compression="file"))
    (bag / "metadata.yaml").unlink()
    episodes, (problem,) = read(bag)
    require_scene(episodes, [range(FRAMES)])
    assert "metadata.yaml is missing" in problem.text and problem.source.suffix == ".zstd"


@both
def test_a_folder_of_several_files_without_metadata_is_one_recording(shape, tmp_path):
    bag = write_bag(tmp_path / "bag", replace(shape, files=3))
    (bag / "metadata.yaml").unlink()
    recording = read_recording(bag, None, SPEC)
    assert [len(run.stamps) for run in recording.frames()] == [FRAMES]
    assert "metadata.yaml is missing in it" in recording.problems[0].text


@both
def test_a_lost_file_of_several_is_named(shape, read, tmp_path):
    bag = write_bag(tmp_path / "bag", replace(shape, files=3))
    lost = storage_file(bag, 1)
    lost.unlink()
    episodes, (problem,) = read(bag)
    require_scene(episodes, [range(8), range(16, 24)])
    assert lost.name in problem.text and "missing" in problem.text


# 4. Unknown types


@both
@pytest.mark.parametrize("distro", ["humble", "jazzy"])
def test_topics_of_unknown_types_beside_the_needed_ones_do_not_matter(shape, distro, read, tmp_path):
    bag = write_bag(tmp_path / "bag", replace(shape, vendor=True, distro=distro))
    episodes, problems = read(bag)
    require_scene(episodes, [range(FRAMES)])
    assert not problems


@both
@pytest.mark.parametrize("topics", [None, Topics(image=IMAGE)], ids=["found", "named"])
def test_images_of_an_unknown_type_are_named_with_it(shape, topics, read, tmp_path):
    bag = write_bag(
        tmp_path / "bag", shape, edit=lambda m: (m[0], m[1], vendor_message()) if m[1] == IMAGE else m
    )
    episodes, (problem,) = read(bag, topics)
    assert not episodes and problem.skipped
    assert IMAGE in problem.topic + problem.text and "vendor_msgs/msg/Grip" in problem.text
    assert "sensor_msgs/msg/Image" in problem.text


# 5. Empty topics and 10. no images


@both
@pytest.mark.parametrize("topic", [IMAGE, JOINTS, COMMAND])
def test_a_topic_without_messages_is_named(shape, topic, read, tmp_path):
    bag = write_bag(tmp_path / "bag", shape, edit=lambda m: (*m[:2], None) if m[1] == topic else m)
    episodes, (problem,) = read(bag)
    assert not episodes and problem.skipped and problem.topic == topic
    assert "no messages in the bag" in problem.text and "was it published while recording?" in problem.text


@both
@pytest.mark.parametrize(
    "topic, role", [(IMAGE, "image"), (JOINTS, "joint_states"), (COMMAND, "joint_trajectory")]
)
def test_a_bag_without_images_joints_or_commands_says_what_it_holds(shape, topic, role, read, tmp_path):
    bag = write_bag(tmp_path / "bag", shape, edit=lambda m: None if m[1] == topic else m)
    episodes, (problem,) = read(bag)
    assert not episodes and problem.skipped and problem.topic == role
    assert "missing" in problem.text and "Record the topic, or give its full name" in problem.text
    assert all(t in problem.text for t in {IMAGE, JOINTS, COMMAND} - {topic})


# 6. Clocks


@both
def test_a_clock_that_goes_back_begins_another_episode(shape, read, tmp_path):
    def restart(message):
        logged, topic, content = message
        if logged < START + 12 * DT - DT // 2:
            return message
        time = content.header.stamp
        return (
            logged,
            topic,
            replace(content, header=replace(content.header, stamp=replace(time, sec=time.sec - 500))),
        )

    bag = write_bag(tmp_path / "bag", shape, edit=restart)
    episodes, _ = read(bag)
    assert [len(e) for e in episodes] == [12, 11]  # the command to frame 12 came before
    assert episodes[0].stamps[0] - episodes[1].stamps[0] == pytest.approx(500 - 1.3)
    (found,) = [
        p
        for p in check(read_recording(bag, None, SPEC))
        if p["kind"] == "clock set back" and p["topic"] == IMAGE
    ]
    assert "go back 1 times, by up to 499.90 s" in found["text"] and found["stamp_s"] is not None


def test_a_clock_that_is_set_by_decades_while_recording_cuts_the_episode(read, tmp_path):
    def boot_in_1970(message):
        logged, topic, content = message
        if logged >= START + 12 * DT - DT // 2:
            return message
        stamp = replace(content.header.stamp, sec=content.header.stamp.sec - START // SECOND)
        return logged, topic, replace(content, header=replace(content.header, stamp=stamp))

    episodes, _ = read(write_bag(tmp_path / "bag", edit=boot_in_1970))
    assert [len(e) for e in episodes] == [12, 12]


# 7. Joints that are not numbers, 8. wrong steps, 9. images without size


def one(topic, frame, **values):
    """Edits the message of a topic that belongs to this frame (None: all of them)."""

    def edit(message):
        logged, name, content = message
        if name == topic and (frame is None or logged == START + frame * DT):
            return logged, name, replace(content, **values)
        return message

    return edit


@both
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_joints_that_are_not_numbers_cost_their_frame(shape, value, read, tmp_path):
    bag = write_bag(tmp_path / "bag", shape, edit=one(JOINTS, 12, position=np.array([0.0, value, 0.0])))
    episodes, (problem,) = read(bag)
    require_scene(episodes, [range(12), range(13, 24)])
    assert problem.topic == JOINTS and "1 messages with NaN" in problem.text and not problem.skipped


EMPTY = {"height": 0, "width": 0, "step": 0, "data": np.zeros(0, np.uint8)}


@both
@pytest.mark.parametrize(
    "values, says",
    [
        ({"step": 5}, "step 5; expected step >= 192"),
        ({"step": 2**32 - 1}, "step 4294967295; expected"),
        ({"data": np.zeros(100, np.uint8)}, "has 100 bytes"),
        ({"width": 2**31, "step": 2**32 - 1}, "width 2147483648"),
        ({"encoding": "32FC7"}, "'32FC7' is not supported; publish one of rgb8"),
        (EMPTY, "is empty (height 0, width 0); check the driver"),
    ],
)
def test_a_wrong_image_costs_its_frame_and_wrong_images_the_bag(shape, values, says, read, tmp_path):
    bag = write_bag(tmp_path / "bag", shape, edit=one(IMAGE, 12, **values))
    episodes, (problem,) = read(bag)
    require_scene(episodes, [range(12), range(13, 24)])
    assert problem.topic == IMAGE and says in problem.text and not problem.skipped

    bag = write_bag(tmp_path / "all" / "bag", shape, edit=one(IMAGE, None, **values))
    with pytest.raises(JepaError, match="no usable bag among 1") as error:
        read_episodes(bag, SPEC, workers=1)
    assert says in str(error.value) and f"{bag} {IMAGE}" in str(error.value)


@both
@pytest.mark.parametrize("keep", [0, 1, 50, -20])
def test_a_cut_jpeg_costs_its_frame(shape, keep, read, tmp_path):
    def cut(message):
        logged, topic, content = message
        at_12 = topic == "/cam/image/compressed" and logged == START + 12 * DT
        return (logged, topic, replace(content, data=content.data[:keep])) if at_12 else message

    jpeg = replace(shape, format="jpeg", image_topic="/cam/image/compressed")
    episodes, (problem,) = read(write_bag(tmp_path / "bag", jpeg, edit=cut))
    assert [len(e) for e in episodes] == [12, 11]
    assert "1 images left out: compressed image of format 'jpeg'" in problem.text
