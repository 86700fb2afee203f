"""Collecting episodes of the simulated arm: content, resumption, refusal, repeatability."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from rosbags.rosbag2 import Reader

from jepa_ros.cli.main import main
from jepa_ros.data.bag_reader import read_episodes
from jepa_ros.data.collect import SEED_STRIDE, CollectSettings, arm_spec, collect, episode_path
from jepa_ros.errors import JepaError

pytest.importorskip("mujoco", reason="the simulator needs MuJoCo: pip install 'mujoco>=3.3,<4'")

SETTINGS = CollectSettings(frames=12, image_size=(16, 16))


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """Four short episodes, recorded by one process."""
    out = tmp_path_factory.mktemp("collection") / "bags"
    collect(out, 4, SETTINGS, workers=1)
    return out


def messages(path):
    with Reader(path) as reader:
        return [(c.topic, c.msgtype, time, data) for c, time, data in reader.messages()]


def test_a_bag_has_the_topics_of_the_live_graph(collection):
    found = messages(episode_path(collection, 0))
    assert {(topic, kind) for topic, kind, *_ in found} == {
        ("/jepa/image", "sensor_msgs/msg/Image"),
        ("/jepa/camera_info", "sensor_msgs/msg/CameraInfo"),
        ("/jepa/joint_states", "sensor_msgs/msg/JointState"),
        ("/clock", "rosgraph_msgs/msg/Clock"),
        ("/jepa/joint_trajectory", "trajectory_msgs/msg/JointTrajectory"),
    }
    assert sum(topic == "/jepa/image" for topic, *_ in found) == 12


def test_episodes_hold_what_was_commanded(collection, monkeypatch):
    import jepa_ros.data.collect as module

    commanded = []
    make = module.commanded_targets

    def listen(*arguments):
        commanded.append([])
        for target in make(*arguments):
            commanded[-1].append(target)
            yield target

    monkeypatch.setattr(module, "commanded_targets", listen)
    episodes, report = read_episodes(collection, image_size=(16, 16))
    recorder = module.Recorder(SETTINGS)
    with recorder:
        for i, episode in enumerate(episodes):
            recorder.record(collection.parent / f"again_{i}", i)
            targets = np.array(commanded[i])
            assert np.allclose(episode.actions[:-1], np.diff(targets, axis=0), atol=1e-7)
            assert np.abs(episode.joint_positions - targets).max() < 0.35
    assert report.problems == [] and report.frames == 48
    assert report.spec == arm_spec()
    assert [e.metadata["behaviour"] for e in episodes] == ["scripted", "noisy", "scripted", "smooth"]
    assert all(np.ptp(e.images, axis=(0, 1, 2)).min() > 50 for e in episodes)  # there is something to see


def test_random_scenes_see_the_same_motion_and_leave_the_standard_one_as_it_is(collection, tmp_path):
    collect(tmp_path, 2, replace(SETTINGS, random_scenes=2), workers=1)
    for index in range(2):
        standard, *others = (
            read_episodes(episode_path(tmp_path, index, scene), image_size=(16, 16))[0][0]
            for scene in range(3)
        )
        assert messages(episode_path(tmp_path, index)) == messages(episode_path(collection, index))
        assert [other.metadata["scene"] for other in others] == [1, 2] and "scene" not in standard.metadata
        for other in others:
            np.testing.assert_array_equal(other.joint_positions, standard.joint_positions)
            np.testing.assert_array_equal(other.actions, standard.actions)
            assert np.abs(other.images.astype(int) - standard.images).mean() > 3
        assert np.abs(others[0].images.astype(int) - others[1].images).mean() > 3


def test_a_scene_that_is_missing_is_recorded_again_and_no_other(tmp_path):
    settings = replace(SETTINGS, random_scenes=1)
    collect(tmp_path, 2, settings, workers=1)
    lost = episode_path(tmp_path, 1, 1)
    before = messages(lost)
    kept = [path.stat().st_mtime_ns for path in tmp_path.rglob("*.mcap") if lost not in path.parents]
    shutil.rmtree(lost)
    assert collect(tmp_path, 2, settings, workers=1).recorded == 1
    assert messages(lost) == before
    assert kept == [path.stat().st_mtime_ns for path in tmp_path.rglob("*.mcap") if lost not in path.parents]


def test_actions_respect_the_action_spec(collection):
    episodes, _ = read_episodes(collection, image_size=(16, 16))
    actions = np.concatenate([e.actions for e in episodes])
    assert np.abs(actions).max() <= 0.12 + 1e-6
    assert np.abs(actions).max() > 0.01


def test_the_same_seed_gives_the_same_messages(collection, tmp_path):
    """Whatever is recorded before, and by however many processes."""
    collect(tmp_path / "two", 4, SETTINGS, workers=2)
    for i in range(4):
        assert messages(episode_path(collection, i)) == messages(episode_path(tmp_path / "two", i))


def test_another_seed_gives_other_episodes(collection, tmp_path):
    collect(tmp_path / "other", 1, CollectSettings(frames=12, image_size=(16, 16), seed=1), workers=1)
    assert messages(episode_path(collection, 0)) != messages(episode_path(tmp_path / "other", 0))


def test_collecting_goes_on_where_it_stopped(collection, tmp_path):
    out = tmp_path / "bags"
    assert collect(out, 2, SETTINGS, workers=1).recorded == 2
    untouched = episode_path(out, 0).stat().st_mtime_ns
    partial = out / ".episode_00002.partial" / "episode_00002"  # as a killed recording leaves it
    partial.mkdir(parents=True)
    (partial / "episode_00002.mcap").write_bytes(b"half")
    result = collect(out, 4, SETTINGS, workers=1)
    assert (result.recorded, result.present) == (2, 2)
    assert episode_path(out, 0).stat().st_mtime_ns == untouched
    assert all(messages(episode_path(collection, i)) == messages(episode_path(out, i)) for i in range(4))
    assert sorted(p.name for p in out.iterdir()) == ["collection.json"] + [
        f"episode_{i:05d}" for i in range(4)
    ]
    assert collect(out, 4, SETTINGS, workers=1).recorded == 0


@pytest.mark.parametrize(
    "change, named",
    [
        ({"task": "push"}, "task: there reach, now push"),
        ({"seed": 5}, "seed: there 0, now 5"),
        ({"frames": 20}, "frames: there 12, now 20"),
        ({"image_size": (32, 32)}, "image_size"),
    ],
)
def test_other_settings_are_not_mixed_in(collection, change, named):
    with pytest.raises(JepaError, match=named):
        collect(collection, 4, CollectSettings(**{"frames": 12, "image_size": (16, 16), **change}), workers=1)


def test_another_robot_is_not_mixed_in(collection, tmp_path):
    there = json.loads((collection / "collection.json").read_text())
    there["action_spec"]["rate_hz"] = 5.0
    (tmp_path / "collection.json").write_text(json.dumps(there))
    with pytest.raises(JepaError, match="action_spec"):
        collect(tmp_path, 1, SETTINGS, workers=1)


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(JepaError, match="not a collection"):
        collect(tmp_path, 1, SETTINGS, workers=1)
    with pytest.raises(JepaError, match="notes.txt: cannot be used as output folder"):
        collect(tmp_path / "notes.txt", 1, SETTINGS, workers=1)


@pytest.mark.parametrize("wrong", [{"task": "dance"}, {"frames": 1}, {"image_size": (4, 64)}, {"seed": -1}])
def test_wrong_settings_are_named(wrong):
    with pytest.raises(JepaError, match=next(iter(wrong))):
        CollectSettings(**wrong)


@pytest.mark.parametrize("seed, free", [(999, True), (1000, False), (1999, False), (2000, True)])
def test_random_scenes_of_the_evaluations_seeds_are_refused_before_anything_is_written(
    tmp_path, capsys, seed, free
):
    CollectSettings(seed=seed)  # the standard scene has no seed of its own
    if free:
        CollectSettings(seed=seed, random_scenes=1)
        return
    out = tmp_path / "bags"
    words = ["collect", "--out", str(out), "--episodes", "1", "--random-scenes", "1", "--seed", str(seed)]
    assert main(words) == 2
    assert "choose one below 1000 or from 2000 on" in capsys.readouterr().err and not out.exists()


def test_push_episodes_move_the_cube(tmp_path):
    from jepa_ros.data.collect import Recorder

    moved = 0
    with Recorder(CollectSettings(task="push", frames=50, image_size=(16, 16))) as recorder:
        for i in (0, 1, 2, 4):
            before = []
            reset = recorder._simulator.reset
            recorder._simulator.reset = lambda start, reset=reset, before=before: (
                before.append(start.cube),
                reset(start),
            )
            recorder.record(tmp_path / f"push_{i}", i)
            recorder._simulator.reset = reset
            moved += np.linalg.norm(recorder._simulator.cube - before[0]) > 0.02
    assert moved >= 2
    episodes, report = read_episodes([tmp_path / f"push_{i}" for i in (0, 1, 2, 4)], image_size=(16, 16))
    assert report.problems == [] and {e.metadata["task"] for e in episodes} == {"push"}


@pytest.mark.parametrize("name", ["reach", "push"])
def test_evaluation_never_sees_a_collected_scene(name):
    from jepa_ros.simulation.tasks import make_task

    task = make_task(name)
    numbers = [0, 1, 7, 999, 1000, 1001, SEED_STRIDE, SEED_STRIDE + 1000]
    evaluation = {tuple(pose.joints) for seed in numbers for pose in task.episode(seed)}
    collected = set()
    for number in numbers:
        rng = task.collection_rng(number)
        collected |= {tuple(task.sample_start(rng).joints) for _ in range(5)}
    assert len(collected) == 5 * len(numbers)
    assert not evaluation & collected


def test_why_a_worker_cannot_record_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "nothing")  # read by the workers, not by this process
    with pytest.raises(JepaError, match="MuJoCo"):
        collect(tmp_path / "bags", 4, SETTINGS, workers=2)


def test_the_command_records_and_reports(tmp_path, capsys):
    arguments = [
        "collect",
        "--out",
        str(tmp_path / "bags"),
        "--frames",
        "8",
        "--image-size",
        "16",
        "--workers",
        "1",
    ]
    assert main([*arguments, "--episodes", "1"]) == 0
    assert "1 episodes recorded (8 frames" in capsys.readouterr().out
    assert main([*arguments, "--episodes", "0"]) == 2
    assert "episodes is 0" in capsys.readouterr().err
