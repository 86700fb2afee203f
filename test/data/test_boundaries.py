"""Where episodes begin: goals and markers cut a recording, and the actions across a cut stay known."""

import numpy as np
import pytest

from jepa_ros.data.bag_reader import read_episodes
from jepa_ros.data.boundaries import episode_cuts
from jepa_ros.data.messages import make_header, make_time, message_class
from jepa_ros.data.resample import Command, Streams, resample
from jepa_ros.data.topics import Topics
from jepa_ros.errors import JepaError

MS = 10**6
DT = 100 * MS
START = 5_000 * MS
CLOCK = 1_700_000_000 * 10**9  # the recorder's clock is another one than the stamps'


def test_a_new_goal_cuts_and_a_repeated_one_does_not():
    cuts = episode_cuts(["goals"], goal_logs=[10, 20, 30, 40], goal_ids=["a", "a", "b", "a"])
    assert cuts.tolist() == [10, 30, 40]


def test_goals_are_taken_in_the_order_of_their_log():
    assert episode_cuts(["goals"], goal_logs=[30, 10, 20], goal_ids=["b", "a", "a"]).tolist() == [10, 30]


def test_every_marker_cuts():
    assert episode_cuts(["markers"], marker_logs=[7, 5, 5]).tolist() == [5, 7]


def test_kinds_combine_and_gaps_add_nothing():
    both = {"goal_logs": [10], "goal_ids": ["a"], "marker_logs": [20]}
    assert episode_cuts(["gaps", "goals", "markers"], **both).tolist() == [10, 20]
    assert episode_cuts(["gaps"], **both).tolist() == []


@pytest.mark.parametrize("boundaries, named", [(["goal"], "goal.*choose among gaps, goals"), ([], "missing")])
def test_an_unknown_kind_is_named(boundaries, named):
    with pytest.raises(JepaError, match=named):
        episode_cuts(boundaries)


@pytest.fixture
def driven(walk):
    """Thirty frames at 10 Hz, joints where the commands put them."""
    targets, stamps = walk(30), START + DT * np.arange(30)
    commands = [Command(CLOCK + START - DT, 0, targets[:1], np.array([0.1]))]
    commands += [
        Command(CLOCK + START + t * DT, 0, targets[t + 1 : t + 2], np.array([0.1])) for t in range(29)
    ]
    return Streams(CLOCK + stamps, stamps, CLOCK + stamps, stamps, targets, commands)


def test_cuts_split_a_run_and_keep_its_actions(driven, spec):
    (whole,) = resample(driven, spec)
    cuts = [CLOCK + START + 12 * DT, CLOCK + START + 20 * DT + 1]
    parts = resample(driven, spec, cuts=cuts)
    assert [len(p.stamps) for p in parts] == [12, 9, 9]
    assert np.array_equal(np.concatenate([p.image_index for p in parts]), whole.image_index)
    assert np.array_equal(np.concatenate([p.stamps for p in parts]), whole.stamps)
    for part in parts:
        first = int(part.image_index[0])
        assert np.array_equal(part.actions[:-1], whole.actions[first : first + len(part.stamps) - 1])
        assert np.array_equal(part.actions[-1], np.zeros(3))


def test_cuts_outside_a_recording_change_nothing(driven, spec):
    (run,) = resample(driven, spec, cuts=[0, CLOCK + START, CLOCK + START + 400 * DT])
    assert len(run.stamps) == 30


@pytest.fixture
def gapped(driven):
    """Images 10 to 13 are missing."""
    kept = np.r_[0:10, 14:30]
    return Streams(
        driven.image_logged[kept],
        driven.image_stamps[kept],
        driven.joint_logged,
        driven.joint_stamps,
        driven.joint_positions,
        driven.commands,
    )


def test_gaps_cut_beside_markers(gapped, spec):
    parts = resample(gapped, spec, cuts=[CLOCK + START + 5 * DT])
    assert [len(p.stamps) for p in parts] == [5, 5, 16]


@pytest.mark.parametrize("limit, lengths", [(0.05, [10, 16]), (0.25, [12, 16]), (0.45, [30])])
def test_a_staleness_limit_says_how_old_an_image_may_be(gapped, spec, limit, lengths):
    """The frames in the gap see an image 0.1 to 0.4 s old, or end the episode."""
    assert [len(p.stamps) for p in resample(gapped, spec, stale_s={"image": limit})] == lengths
    assert [len(p.stamps) for p in resample(gapped, spec, stale_s={"joint_states": limit})] == [10, 16]


def test_a_limit_without_end_never_takes_an_image_of_the_future(driven, spec):
    late = Streams(
        driven.image_logged[5:],
        driven.image_stamps[5:],
        driven.joint_logged,
        driven.joint_stamps,
        driven.joint_positions,
        driven.commands,
    )
    (run,) = resample(late, spec, stale_s={"image": float("inf"), "joint_states": float("inf")})
    assert len(run.stamps) == 25


@pytest.mark.parametrize("limits", [{"images": 1.0}, {"image": 0.0}, {"image": float("nan")}])
def test_a_wrong_staleness_limit_is_refused(driven, spec, limits):
    with pytest.raises(JepaError, match="stale_s.*image and joint_states"):
        resample(driven, spec, stale_s=limits)


def _message(kind: str, at: int, text: str):
    """A marker, or a goal whose id is `text`; "13.0" is a sub-goal of goal "13"."""
    if kind != "jepa_ros/msg/Goal":
        return message_class(kind)(**({"data": text} if kind.endswith("String") else {}))
    tensor = message_class("jepa_ros/msg/Tensor")(
        name="latents", dtype="float32", shape=np.array([1, 2], np.uint32), data=np.zeros(8, np.uint8)
    )
    embedding = message_class("jepa_ros/msg/Embedding")(
        header=make_header(at), encoder_id="", latent=tensor, encode_ms=0.0, encoded_stamp=make_time(at)
    )
    goal_id, _, part = text.partition(".")
    return message_class(kind)(
        header=make_header(at), goal_id=text, embedding=embedding, part_of=goal_id if part else ""
    )


@pytest.mark.parametrize(
    "boundary, topic, kind",
    [
        ("markers", "/episode_marker", "std_msgs/msg/Empty"),
        ("markers", "/task", "std_msgs/msg/String"),
        ("goals", "/jepa/goal", "jepa_ros/msg/Goal"),
    ],
)
def test_a_bag_is_cut_where_it_says(robot_bag, walk, spec, tmp_path, boundary, topic, kind):
    targets, start = walk(40), 10_000 * MS
    said = {0: "0", 13: "13", 26: "26"}
    if boundary == "goals":
        said |= {13: "13.0", 18: "13.1", 22: "13"}  # two sub-goals, and the goal that they are part of
    bag = robot_bag(tmp_path / "bag", more_topics={topic: kind})
    bag.plan(start - DT, targets[:1], [0.1])
    for t in range(40):
        now = start + t * DT
        if t in said:
            bag.writer.write(topic, now, _message(kind, now, said[t]))
        bag.look(now, t)
        bag.feel(now, targets[t])
        bag.plan(now, targets[min(t + 1, 39)][None], [0.1])
    bag.close()
    topics = Topics(episode_marker=topic if boundary == "markers" else None)
    options = {"workers": 1, "image_size": (8, 8), "topics": topics}
    whole, _ = read_episodes(tmp_path / "bag", spec, **options)
    parts, report = read_episodes(tmp_path / "bag", spec, boundaries=[boundary], **options)
    assert [len(e) for e in whole] == [40] and [len(e) for e in parts] == [13, 13, 14]
    assert [int(e.images[0, 0, 0, 0]) for e in parts] == [0, 13, 26]
    assert np.allclose(parts[1].actions[:-1], np.diff(targets[13:26], axis=0), atol=1e-6)
    assert report.problems == []


def test_an_unknown_boundary_is_refused_before_any_bag_is_read(tmp_path):
    with pytest.raises(JepaError, match="choose among"):
        read_episodes(tmp_path / "nowhere", boundaries=["goal"])
