"""Bags to episodes: round trips, and every damage named while the healthy rest is kept."""

from dataclasses import replace

import numpy as np
import pytest

from jepa_ros.data.bag_files import find_bags
from jepa_ros.data.bag_reader import read_episodes
from jepa_ros.data.topics import Topics
from jepa_ros.errors import JepaError

SECOND = 10**9


def read(path, spec=None, **options):
    return read_episodes(path, spec, image_size=(8, 8), workers=1, **options)


def problem_of(path, spec=None, **options):
    """The one problem of the folder's bag "bad"; the bag "good" beside it must have been used."""
    episodes, report = read(path, spec, **options)
    assert [p.name for p in report.used if p.name.startswith("good")] == ["good"]
    (problem,) = report.problems
    assert "bad" in str(problem.source)
    return problem


def test_a_recorded_bag_comes_back(recorded, walk, tmp_path):
    recorded("a", frames=30)
    (episode,), report = read(tmp_path / "bags")
    targets = walk(30)
    assert episode.images.shape == (30, 8, 8, 3) and episode.images.dtype == np.uint8
    assert episode.images[:, 0, 0, 0].tolist() == list(range(30))
    assert np.allclose(episode.joint_positions, targets, atol=1e-6)
    assert np.allclose(episode.actions[:-1], np.diff(targets, axis=0), atol=1e-6)
    assert np.array_equal(episode.actions[-1], np.zeros(3))
    assert np.allclose(episode.stamps, 10 + 0.1 * np.arange(30))
    assert episode.actions.dtype == episode.joint_positions.dtype == np.float32
    assert episode.metadata["task"] == "walk"
    assert (report.episodes, report.frames, report.problems) == (1, 30, [])
    assert report.seconds == pytest.approx(2.9)


def test_processes_give_what_one_process_gives(recorded, tmp_path):
    for i in range(18):
        recorded(f"bag_{i:02d}", seed=i, frames=12)
    alone, report = read_episodes(tmp_path / "bags", image_size=(8, 8), workers=1)
    together, same = read_episodes(tmp_path / "bags", image_size=(8, 8), workers=2)
    assert [e.source for e in alone] == [e.source for e in together]
    assert all(
        np.array_equal(a.actions, b.actions) and np.array_equal(a.images, b.images)
        for a, b in zip(alone, together, strict=True)
    )
    assert report.digest == same.digest


def test_the_report_reads_as_a_table(recorded, tmp_path):
    recorded("good")
    recorded("bad", encoding="32FC1")
    text = str(read(tmp_path / "bags")[1])
    assert text.splitlines()[0].split("  ")[0] == "bags used"
    assert "32FC1" in text and "/jepa/image" in text and str(tmp_path / "bags" / "bad") in text


@pytest.mark.parametrize(
    "options",
    [
        {"namespace": ""},
        {"namespace": "/lab/arm"},
        {"compressed": "png"},
        {"size": (48, 64)},
        {"rename": {"image": "camera/image_raw"}},
        {"log_offset": 1_700_000_000 * SECOND},
        {"rename": {"joint_trajectory": "joint_trajectory_controller/joint_trajectory"}},
    ],
)
def test_live_recordings_differ_in_names_sizes_and_clocks(recorded, walk, tmp_path, spec, options):
    recorded("a", metadata=None, **options)
    (episode,), _ = read(tmp_path / "bags", spec)
    assert episode.images[:, 4, 4, 1].tolist() == list(range(30))
    assert np.allclose(episode.actions[:-1], np.diff(walk(30), axis=0), atol=1e-6)


def test_jpeg_images_are_read(recorded, tmp_path, spec):
    recorded("a", compressed="jpeg")
    (episode,), _ = read(tmp_path / "bags", spec)
    assert np.abs(episode.images[:, 4, 4, 1].astype(int) - np.arange(30)).max() <= 2


def test_joints_are_taken_by_name(robot_bag, walk, spec, tmp_path):
    """Messages name the joints in another order, with one more among them."""
    targets = walk(20)
    mixed = np.stack([targets[:, 2], np.full(20, 9.0), targets[:, 0], targets[:, 1]], axis=1)
    robot_bag(tmp_path / "bag", names=("wrist", "rail", "pan", "lift")).play(mixed).close()
    (episode,), _ = read(tmp_path / "bag", spec)
    assert np.allclose(episode.joint_positions, targets, atol=1e-6)
    assert np.allclose(episode.actions[:-1], np.diff(targets, axis=0), atol=1e-6)


def test_full_names_choose_among_several_cameras(robot_bag, walk, spec, tmp_path):
    bag = robot_bag(tmp_path / "bag", side_camera="/side/image")
    for t in range(20):
        bag.look(10 * SECOND + t * SECOND // 10, 100 + t, topic="/side/image")
    bag.play(walk(20)).close()
    with pytest.raises(JepaError, match="several topics match.*/side/image.*give the full name"):
        read(tmp_path / "bag", spec)
    (episode,), _ = read(tmp_path / "bag", spec, topics=Topics(image="/side/image"))
    assert episode.images[:, 0, 0, 0].tolist() == list(range(100, 120))


@pytest.mark.parametrize(
    "topic, named",
    [("image", "/jepa/joint_states"), ("joint_states", "/jepa/image"), ("joint_trajectory", "/jepa/image")],
)
def test_a_missing_topic_is_named(recorded, tmp_path, topic, named):
    recorded("good")
    recorded("bad", omit=(topic,))
    problem = problem_of(tmp_path / "bags")
    assert problem.skipped and topic in problem.topic
    assert "missing" in problem.text and named in problem.text


def test_a_topic_without_messages_is_named(recorded, robot_bag, tmp_path):
    recorded("good")
    bag = robot_bag(tmp_path / "bags" / "bad")
    bag.look(SECOND, 0)
    bag.close()
    problem = problem_of(tmp_path / "bags")
    assert problem.topic == "/jepa/joint_states" and "no messages" in problem.text


def test_a_topic_of_the_wrong_type_is_named(recorded, tmp_path, spec):
    recorded("a")
    with pytest.raises(JepaError, match="/jepa/joint_states.*its type is sensor_msgs/msg/JointState"):
        read(tmp_path / "bags", spec, topics=Topics(image="/jepa/joint_states"))


def test_a_wrong_encoding_is_named(recorded, tmp_path):
    recorded("good")
    recorded("bad", encoding="32FC1")
    problem = problem_of(tmp_path / "bags")
    assert problem.topic == "/jepa/image" and "32FC1" in problem.text and problem.skipped


def test_wrong_joint_names_are_named(recorded, tmp_path):
    recorded("good")
    recorded("bad", names=("pan", "lift", "roll"))
    problem = problem_of(tmp_path / "bags")
    assert problem.topic in ("/jepa/joint_states", "/jepa/joint_trajectory") and problem.skipped
    assert "wrist" in problem.text and "roll" in problem.text


def test_a_bag_that_lost_its_end_is_used(recorded, tmp_path):
    recorded("good")
    file = recorded("bad") / "bad.mcap"
    file.write_bytes(file.read_bytes()[:-60])
    problem = problem_of(tmp_path / "bags")
    assert not problem.skipped and "damaged" in problem.text
    assert [len(e) for e in read(tmp_path / "bags")[0]] == [30, 30]


def test_a_bag_that_lost_its_end_keeps_what_metadata_yaml_says_of_it(recorded, tmp_path):
    file = recorded() / "a.mcap"
    file.write_bytes(file.read_bytes()[:-50])
    (episode,), report = read(tmp_path / "bags")
    assert episode.metadata["task"] == "walk" and report.spec.joint_names == ("pan", "lift", "wrist")


@pytest.mark.parametrize("cut", [0, 20, 2000])
def test_a_truncated_file_is_named(recorded, tmp_path, cut):
    recorded("good")
    file = recorded("bad") / "bad.mcap"
    file.write_bytes(file.read_bytes()[:cut])
    problem = problem_of(tmp_path / "bags")
    assert problem.skipped and "damaged" in problem.text


@pytest.mark.parametrize("offset", [100, 300, 1000])
def test_a_flipped_byte_is_named(recorded, tmp_path, offset):
    recorded("good")
    file = recorded("bad") / "bad.mcap"
    data = bytearray(file.read_bytes())
    data[offset] ^= 0xFF
    file.write_bytes(data)
    assert "damaged" in problem_of(tmp_path / "bags").text


def test_broken_metadata_is_named(recorded, tmp_path):
    recorded("good")
    (recorded("bad") / "metadata.yaml").write_text("rosbag2_bagfile_information: [")
    assert "metadata.yaml" in problem_of(tmp_path / "bags").text


def test_a_bag_without_metadata_file_is_still_read(recorded, tmp_path):
    recorded("good")
    (recorded("bad") / "metadata.yaml").unlink()
    problem = problem_of(tmp_path / "bags")
    assert not problem.skipped and "metadata.yaml is missing" in problem.text
    assert read(tmp_path / "bags")[1].episodes == 2


def test_nan_joint_states_are_left_out(robot_bag, recorded, walk, tmp_path):
    recorded("good")
    targets = walk(30)
    bag = robot_bag(tmp_path / "bags" / "bad")
    bag.plan(10 * SECOND - SECOND // 10, [targets[0]], [0.1])
    for t in range(30):
        now = 10 * SECOND + t * SECOND // 10
        bag.look(now, t)
        bag.feel(now, targets[t] if t != 14 else [np.nan, 0, 0])
        bag.plan(now, [targets[min(t + 1, 29)]], [0.1])
    bag.close()
    episodes, report = read(tmp_path / "bags")
    assert [len(e) for e in episodes] == [14, 15, 30]
    assert all(np.isfinite(e.joint_positions).all() for e in episodes)
    (problem,) = report.problems
    assert (
        problem.topic == "/jepa/joint_states"
        and "1 messages with NaN" in problem.text
        and not problem.skipped
    )


def test_only_nan_joint_states_skip_the_bag(robot_bag, recorded, tmp_path):
    recorded("good")
    robot_bag(tmp_path / "bags" / "bad").play(np.full((20, 3), np.nan)).close()
    problem = problem_of(tmp_path / "bags")
    assert problem.skipped and "NaN" in problem.text


def test_disordered_trajectories_are_left_out(recorded, robot_bag, walk, tmp_path):
    recorded("good")
    bag = robot_bag(tmp_path / "bags" / "bad").play(walk(20))
    bag.plan(11 * SECOND, [walk(20)[0] + 1, walk(20)[1] + 1], [0.2, 0.1])
    bag.close()
    problem = problem_of(tmp_path / "bags")
    assert "time_from_start" in problem.text and not problem.skipped


def test_too_slow_a_camera_is_explained(recorded, robot_bag, walk, tmp_path):
    recorded("good")
    bag = robot_bag(tmp_path / "bags" / "bad")
    for t in range(20):
        bag.look(10 * SECOND + t * SECOND // 2, t)
        bag.plan(10 * SECOND + t * SECOND // 2, [np.zeros(3)], [0.1])
    for t in range(100):
        bag.feel(10 * SECOND + t * SECOND // 10, np.zeros(3))
    bag.close()
    problem = problem_of(tmp_path / "bags")
    assert problem.skipped and "images 2.0 Hz" in problem.text and "10 Hz" in problem.text


def test_actions_beyond_the_bounds_are_noted(recorded, robot_bag, tmp_path):
    recorded("good")
    fast = np.arange(20)[:, None] * np.full(3, 0.15)
    robot_bag(tmp_path / "bags" / "bad").play(fast).close()
    problem = problem_of(tmp_path / "bags")
    assert problem.topic == "/jepa/joint_trajectory" and "1.50 times" in problem.text and not problem.skipped


def test_a_bag_of_another_contract_is_skipped(recorded, robot_bag, walk, spec, tmp_path):
    recorded("good")
    other = replace(spec, rate_hz=5.0)
    recorded("zbad", metadata={"action_spec": other.to_dict()})
    (problem,) = read(tmp_path / "bags")[1].problems
    assert problem.skipped and "rate_hz: bag 5.0, wanted 10.0" in problem.text


def test_the_block_is_the_readers_choice(recorded, spec, tmp_path):
    recorded("a")
    assert read(tmp_path / "bags", replace(spec, block=2))[1].spec.block == 2


def test_folders_without_bags_and_without_healthy_bags_raise(recorded, tmp_path):
    with pytest.raises(JepaError, match="no such file"):
        read(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(JepaError, match="empty: no bag in it"):
        read(tmp_path / "empty")
    recorded("a", encoding="32FC1")
    with pytest.raises(JepaError, match="(?s)no usable bag among 1.*32FC1"):
        read(tmp_path / "bags")


def test_live_bags_need_an_action_spec(recorded, spec, tmp_path):
    recorded("a", metadata=None)
    with pytest.raises(JepaError, match="carries an ActionSpec"):
        read(tmp_path / "bags")
    assert read(tmp_path / "bags", spec)[1].episodes == 1


def test_short_pieces_are_left_out(recorded, tmp_path):
    recorded("good")
    recorded("bad", frames=5)
    problem = problem_of(tmp_path / "bags", min_frames=8)
    assert problem.skipped and "longest 5" in problem.text


def test_unfinished_bags_are_not_searched(recorded, robot_bag, walk, tmp_path):
    recorded("a")
    robot_bag(tmp_path / "bags" / "b").play(walk(10))  # never closed
    assert [b.name for b in find_bags(tmp_path / "bags")] == ["a"]


def test_bags_given_twice_are_read_once(recorded, tmp_path):
    bag = recorded("a")
    assert read([bag, tmp_path / "bags"])[1].episodes == 1


def test_the_digest_is_of_the_contents(recorded, tmp_path):
    first = recorded("a", seed=1)
    recorded("b", seed=2)
    both = read(tmp_path / "bags")[1].digest
    one = read(first)[1].digest
    assert both != one and both.startswith("sha256:")
    assert read([tmp_path / "bags" / "b", first])[1].digest == both
    moved = first.rename(tmp_path / "bags" / "moved")
    assert read(moved)[1].digest == one
    other = recorded("a", seed=3)
    assert read(other)[1].digest != one


def test_a_reading_process_that_is_killed_is_told(recorded, tmp_path, one_of_two_workers_killed):
    for i in range(18):
        recorded(f"bag_{i:02d}", seed=i, frames=12)
    with pytest.raises(JepaError, match="a process that read bags ended unexpectedly"):
        read_episodes(tmp_path / "bags", image_size=(8, 8), workers=2)
