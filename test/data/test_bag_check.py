"""Every problem planted into a recording is found, and a healthy one has none."""

from dataclasses import replace

import numpy as np
import pytest

from jepa_ros.data.bag_check import check
from jepa_ros.data.recording_reader import read_recording

SECOND = 10**9
DT = SECOND // 10
BEGIN = 10 * SECOND


@pytest.fixture
def found(robot_bag, tmp_path, spec):
    """(write(bag), **options) -> {kind: problem} of the bag that `write` fills."""

    def make(write, **options):
        bag = robot_bag(tmp_path / "bag", **options)
        write(bag)
        recording = read_recording(bag.close(), spec=spec)
        recording.read_frames((8, 8), lambda image: None)
        problems = check(recording)
        assert len({p["kind"] + p["topic"] for p in problems}) == len(problems)
        return {p["kind"]: p for p in problems if p["kind"] != "missing topic"}

    return make


def play(bag, frames=30, look=lambda t: BEGIN + t * DT, feel=lambda t: BEGIN + t * DT, targets=None):
    """Frames in the order of their indices, stamped as told; None leaves one out."""
    targets = np.cumsum(np.full((frames, 3), 0.02), axis=0) if targets is None else targets
    bag.plan(BEGIN - DT, [targets[0]], [0.1])
    for t in range(frames):
        if look(t) is not None:
            bag.look(look(t), t)
        if feel(t) is not None:
            bag.feel(feel(t), targets[t])
        bag.plan(BEGIN + t * DT, [targets[min(t + 1, frames - 1)]], [0.1])


def test_a_healthy_recording_has_no_problem(found):
    assert found(play) == {}


def test_what_is_not_in_the_bag_is_told(robot_bag, recorded, spec):
    missing = [p for p in check(read_recording(recorded("a"), spec=spec)) if p["kind"] == "missing topic"]
    assert {p["topic"] for p in missing} == {"goal", "plan", "embedding", "planner_status", "safety_status"}
    assert all(p["severity"] == "info" for p in missing)


def test_a_gap_in_the_images(found):
    problems = found(lambda bag: play(bag, look=lambda t: None if 10 <= t < 15 else BEGIN + t * DT))
    assert set(problems) == {"gap"}
    gap = problems["gap"]
    assert (gap["topic"], gap["count"], gap["severity"]) == ("/jepa/image", 1, "warning")
    assert gap["stamp_s"] == pytest.approx(10.9) and "0.60 s" in gap["text"]


def test_joint_states_that_stop_for_a_while_are_stale(found):
    problems = found(lambda bag: play(bag, feel=lambda t: None if 10 <= t < 14 else BEGIN + t * DT))
    assert problems["stale joint states"]["count"] == 4
    assert problems["stale joint states"]["stamp_s"] == pytest.approx(11.0)
    assert problems["gap"]["topic"] == "/jepa/joint_states"


def test_a_clock_set_back(robot_bag, tmp_path, spec):
    bag = robot_bag(tmp_path / "bag")
    play(bag)
    bag.log_offset = 60 * SECOND
    play(bag)
    recording = read_recording(bag.close(), spec=spec)
    back = [p for p in check(recording) if p["kind"] == "clock set back"]
    assert {p["topic"] for p in back} == {"/jepa/image", "/jepa/joint_states"}
    assert all(p["count"] == 1 and "2.90 s" in p["text"] for p in back)


def test_a_burst_after_a_stall_is_a_clock_jump_and_late(robot_bag, tmp_path, spec):
    bag = robot_bag(tmp_path / "bag")
    targets = np.zeros((30, 3))
    bag.plan(BEGIN - DT, [targets[0]], [0.1])
    for t in range(30):
        now = BEGIN + t * DT
        late = max(0, BEGIN + 20 * DT - now) if 10 <= t else 0  # 10 to 19 come together
        bag.log_offset = late
        bag.look(now, t)
        bag.log_offset = 0
        bag.feel(now, targets[t])
    kinds = {p["kind"]: p for p in check(read_recording(bag.close(), spec=spec))}
    assert kinds["clock jump"]["topic"] == kinds["late messages"]["topic"] == "/jepa/image"
    assert kinds["late messages"]["count"] == 7 and "1.00 s" in kinds["late messages"]["text"]


def test_repeated_stamps(found):
    problems = found(lambda bag: play(bag, look=lambda t: BEGIN + (t // 2) * 2 * DT))
    assert problems["repeated stamp"]["count"] == 15


def test_two_clocks_never_meet(robot_bag, tmp_path, spec):
    bag = robot_bag(tmp_path / "bag")
    play(bag, look=lambda t: BEGIN + t * DT + 1000 * SECOND)
    problem = check(read_recording(bag.close(), spec=spec))[0]
    assert (problem["severity"], problem["kind"]) == ("error", "two clocks")


def test_too_slow_a_camera(found):
    assert (
        found(lambda bag: play(bag, look=lambda t: BEGIN + t * DT if t % 2 == 0 else None))["too slow"][
            "severity"
        ]
        == "error"
    )


def test_frozen_joint_states(robot_bag, tmp_path, spec):
    bag = robot_bag(tmp_path / "bag")
    targets = np.cumsum(np.full((30, 3), 0.02), axis=0)
    bag.plan(BEGIN - DT, [targets[0]], [0.1])
    for t in range(30):
        bag.look(BEGIN + t * DT, t)
        bag.feel(BEGIN + t * DT, targets[min(t, 10)])
        bag.plan(BEGIN + t * DT, [targets[min(t + 1, 29)]], [0.1])
    kinds = {p["kind"]: p for p in check(read_recording(bag.close(), spec=spec))}
    assert kinds["frozen joint states"]["count"] == 1
    assert kinds["frozen joint states"]["stamp_s"] == pytest.approx(11.0)


def test_a_resting_arm_is_not_frozen(found):
    assert found(lambda bag: play(bag, targets=np.zeros((30, 3)))) == {}


def test_another_order_and_further_joints(robot_bag, tmp_path, spec):
    bag = robot_bag(tmp_path / "bag", names=("wrist", "rail", "pan", "lift"))
    bag.play(np.zeros((20, 4)))
    kinds = {p["kind"]: p for p in check(read_recording(bag.close(), spec=spec)) if p["severity"] == "info"}
    assert "['wrist', 'rail', 'pan', 'lift']" in kinds["other joint order"]["text"]
    assert "rail" in kinds["further joints"]["text"]


def test_an_order_that_changes(robot_bag, tmp_path, spec):
    bag = robot_bag(tmp_path / "bag")
    play(bag, frames=15)
    bag.names = ["wrist", "lift", "pan"]
    bag.feel(BEGIN + 15 * DT, np.zeros(3))
    problems = {p["kind"]: p for p in check(read_recording(bag.close(), spec=spec))}
    assert problems["joint order changes"]["severity"] == "warning"


def test_an_encoding_that_changes(robot_bag, tmp_path, spec):
    bag = robot_bag(tmp_path / "bag")
    play(bag, frames=15)
    bag.encoding = "bgr8"
    for t in range(15, 30):
        bag.look(BEGIN + t * DT, t)
        bag.feel(BEGIN + t * DT, np.full(3, 0.3))
    recording = read_recording(bag.close(), spec=spec)
    assert "encoding changes" not in {p["kind"] for p in check(recording)}  # not read yet
    recording.read_frames((8, 8), lambda image: None)
    problem = next(p for p in check(recording) if p["kind"] == "encoding changes")
    assert "rgb8, 8 x 8 (15)" in problem["text"] and "bgr8, 8 x 8 (15)" in problem["text"]


def test_staleness_limits_are_the_topics_file_s(recorded, spec):
    recording = read_recording(recorded("a"), spec=spec)
    recording.topic_roles = replace(recording.topic_roles, stale_s={"joint_states": 1e-9})
    assert not [p for p in check(recording) if p["kind"] == "stale joint states"]  # stamped alike: age 0
    recording.streams.joint_stamps = recording.streams.joint_stamps - SECOND // 100
    assert [p["count"] for p in check(recording) if p["kind"] == "stale joint states"] == [30]
