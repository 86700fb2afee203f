"""LeRobot datasets: bags there and back again, datasets of others, and what is wrong with a dataset."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jepa_ros.cli.main import main
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.bag_reader import read_episodes
from jepa_ros.data.episode_bag import EpisodeBag
from jepa_ros.errors import JepaError

pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("av")

from jepa_ros.data.lerobot import layout  # noqa: E402
from jepa_ros.data.lerobot.export_bags import export_bags  # noqa: E402
from jepa_ros.data.lerobot.import_bags import import_dataset  # noqa: E402

FOREIGN = Path(__file__).parent / "lerobot_foreign"  # made by LeRobot itself, see make.py there
CAMERA = {"width": 64, "height": 64, "k": np.eye(3)}
COLUMN, ROW = np.meshgrid(np.arange(64), np.arange(64))


def scene(t: int) -> np.ndarray:
    """(64, 64, 3) uint8: shades, and a disc that goes on by two pixels a frame."""
    image = np.stack([40 + 2 * ROW, 90 + COLUMN, 200 - ROW - COLUMN], -1).astype(np.uint8)
    image[(ROW - 32) ** 2 + (COLUMN - 2 - 2 * t) ** 2 < 120] = (250, 240, 20)
    return image


def record(path: Path, spec: ActionSpec, targets: np.ndarray, start=3.1, skip=(), **metadata) -> Path:
    """A bag of frames at the spec's rate, but for those in `skip`; the joints lag behind their targets."""
    camera = EpisodeBag(path, spec, CAMERA, metadata=metadata)
    with camera as bag:
        bag.command(start - spec.dt, targets[0])
        for t, target in enumerate(targets):
            now = start + t * spec.dt
            if t not in skip:
                bag.observe(now, scene(t), target * 0.9, np.zeros(len(target)))
            if t + 1 < len(targets):
                bag.command(now, targets[t + 1])
    return path


@pytest.fixture
def bags(tmp_path, spec, walk) -> Path:
    """Three bags: one whole, one with a gap, one of another task."""
    record(tmp_path / "bags" / "a", spec, walk(30), task="reach", seed=7)
    record(tmp_path / "bags" / "b", spec, walk(30, 1), skip=(12, 13), start=0.5)
    record(tmp_path / "bags" / "c", spec, walk(12, 2), task="push", start=1.7e9)
    return tmp_path / "bags"


def read(path, spec=None):
    return read_episodes(path, spec, workers=1)


def assert_alike(images: np.ndarray, others: np.ndarray, least_psnr: float) -> None:
    """Every image is nearest to its own among the others, and that near."""
    squares = np.array([[np.mean((a.astype(float) - b) ** 2) for b in others] for a in images])
    assert np.array_equal(np.argmin(squares, 1), np.arange(len(images)))
    with np.errstate(divide="ignore"):
        assert np.min(10 * np.log10(255**2 / np.diag(squares))) >= least_psnr


@pytest.mark.parametrize("video, least_psnr", [(False, np.inf), (True, 28)])
def test_a_round_trip_gives_the_same_episodes(bags, tmp_path, spec, video, least_psnr):
    scheduling = os.sched_getscheduler(0)
    report = export_bags(bags, tmp_path / "dataset", video=video)
    assert os.sched_getscheduler(0) == scheduling  # an encoder must not make this process a real-time one
    assert (report.bags, report.episodes, report.frames) == (3, 4, 12 + 16 + 30 + 12)
    assert import_dataset(tmp_path / "dataset", tmp_path / "again").notes == []
    before, first = read(bags)
    after, second = read(tmp_path / "again")
    assert len(before) == len(after) == 4 and second.problems == []
    assert first.spec == second.spec == spec
    for a, b in zip(before, after, strict=True):
        assert np.allclose(a.actions, b.actions, rtol=0, atol=1e-7)
        assert np.allclose(a.joint_positions, b.joint_positions, rtol=0, atol=1e-7)
        assert np.allclose(a.stamps - a.stamps[0], b.stamps - b.stamps[0], rtol=0, atol=1e-6)
        assert_alike(a.images, b.images, least_psnr)
    assert after[0].metadata["seed"] == 7
    assert after[0].metadata["lerobot"] == {"dataset": "dataset", "episode": 0, "tasks": ["reach"]}
    assert after[0].stamps[0] == pytest.approx(3.1) and after[3].stamps[0] == pytest.approx(1.7e9)


def test_stamps_and_videos_stay_together_over_many_files(bags, tmp_path, monkeypatch):
    for limit in ("DATA_MB", "VIDEO_MB"):
        monkeypatch.setattr(layout, limit, 0)
    monkeypatch.setattr(layout, "FILES_PER_CHUNK", 2)
    export_bags(bags, tmp_path / "dataset")
    for kind, end in (("data", "parquet"), ("videos", "mp4")):
        files = sorted((tmp_path / "dataset" / kind).rglob(f"*.{end}"))
        chunks = ["/".join(f.parts[-2:]) for f in files]
        assert chunks == [f"chunk-00{c}/file-00{n}.{end}" for c in (0, 1) for n in (0, 1)]
    import_dataset(tmp_path / "dataset", tmp_path / "again")
    for a, b in zip(read(bags)[0], read(tmp_path / "again")[0], strict=True):
        assert_alike(a.images, b.images, 26)


def test_the_layout_is_lerobots(bags, tmp_path, walk):
    export_bags(bags, tmp_path / "dataset", task="Touch the dot")
    info = json.loads((tmp_path / "dataset/meta/info.json").read_text())
    theirs = json.loads((FOREIGN / "meta/info.json").read_text())
    assert set(theirs) <= set(info) and info["codebase_version"] == theirs["codebase_version"] == "v3.0"
    for key in ("data_path", "video_path", "chunks_size", "data_files_size_in_mb", "video_files_size_in_mb"):
        assert info[key] == theirs[key]
    assert (info["fps"], info["total_episodes"], info["total_frames"]) == (10, 4, 70)
    video = info["features"][layout.CAMERA]
    assert set(video["info"]) == set(theirs["features"]["observation.images.front"]["info"])

    ours, others = (
        pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet")
        for root in (tmp_path / "dataset", FOREIGN)
    )
    rename = {"observation.images.front": layout.CAMERA}
    wanted = {n.replace(*next(iter(rename.items()))) for n in others.column_names if "wrist" not in n}
    assert wanted <= set(ours.column_names)
    assert ours.column("tasks").to_pylist() == [["Touch the dot"]] * 4

    frames = pq.read_table(tmp_path / "dataset/data/chunk-000/file-000.parquet").to_pydict()
    assert (
        frames["index"] == list(range(70))
        and frames["episode_index"] == [0] * 30 + [1] * 12 + [2] * 16 + [3] * 12
    )
    assert np.allclose(frames["timestamp"][:30], np.arange(30) / 10)
    targets = walk(30)
    assert np.allclose(frames["action"][:29], targets[1:], atol=1e-6)
    assert np.allclose(frames["observation.state"][:30], 0.9 * targets, atol=1e-6)
    assert np.allclose(frames[layout.TARGET][:30], targets, rtol=0, atol=1e-9)


def test_the_statistics_are_those_of_the_data(bags, tmp_path):
    export_bags(bags, tmp_path / "dataset", video=False)
    stats = json.loads((tmp_path / "dataset/meta/stats.json").read_text())
    theirs = json.loads((FOREIGN / "meta/stats.json").read_text())
    assert set(stats["action"]) == set(theirs["action"])
    frames = pq.read_table(tmp_path / "dataset/data/chunk-000/file-000.parquet").to_pydict()
    states = np.array(frames["observation.state"])
    for name, found in (
        ("mean", states.mean(0)),
        ("std", states.std(0)),
        ("min", states.min(0)),
        ("max", states.max(0)),
    ):
        assert np.allclose(stats["observation.state"][name], found, atol=1e-6), name
    assert stats["observation.state"]["count"] == [70]
    pixels = np.concatenate([e.images for e in read(bags)[0]]) / 255
    assert np.shape(stats[layout.CAMERA]["mean"]) == (3, 1, 1)
    assert np.allclose(np.ravel(stats[layout.CAMERA]["mean"]), pixels.mean((0, 1, 2)), atol=1e-6)
    assert np.allclose(np.ravel(stats[layout.CAMERA]["std"]), pixels.std((0, 1, 2)), atol=1e-6)


def test_unusable_bags_are_named_and_the_rest_is_converted(bags, tmp_path, spec, walk, robot_bag):
    record(bags / "d", replace(spec, rate_hz=5.0), walk(30))
    robot_bag(bags / "e", omit=("image",)).play(walk(20)).close()
    report = export_bags(bags, tmp_path / "dataset")
    assert report.bags == 3
    assert [(p.source.name, p.skipped) for p in report.problems] == [("d", True), ("e", True)]
    assert "another ActionSpec" in str(report) and "image" in report.problems[1].topic


def test_a_conversion_that_fails_leaves_nothing(bags, tmp_path, spec, walk, robot_bag):
    with pytest.raises(JepaError, match="no usable bag"):
        robot_bag(tmp_path / "bad", omit=("image",)).play(walk(20)).close()
        export_bags(tmp_path / "bad", tmp_path / "out" / "dataset")
    with pytest.raises(JepaError, match="8x7.*cannot be encoded.*--images"):
        export_bags(bags, tmp_path / "out" / "dataset", image_size=(7, 8))
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []
    export_bags(bags, tmp_path / "out" / "dataset", image_size=(7, 8), video=False)
    with pytest.raises(JepaError, match="exists already"):
        export_bags(bags, tmp_path / "out" / "dataset")


def test_a_foreign_dataset_becomes_bags(tmp_path):
    report = import_dataset(FOREIGN, tmp_path / "bags", camera="front", degrees=True, rate_hz=10.0)
    assert (report.bags, report.frames) == (2, 84)
    assert report.spec.joint_names == ("shoulder_pan", "shoulder_lift", "gripper")
    assert report.spec.rate_hz == 10.0 and len(report.notes) == 1
    episodes, read_report = read(tmp_path / "bags")
    assert read_report.problems == []
    # Frames 1, 4, 7, ... of 48 and 36: at frame 0 the target is not known.
    assert [len(e) for e in episodes] == [16, 12]
    for number, episode in enumerate(episodes):
        t = 1 + 3 * np.arange(len(episode))
        targets = np.stack([20 * np.sin((t - 1) / 12 + number), (t - 1) * 0.5 - 30, 0 * t + 10 + number], -1)
        assert np.allclose(np.rad2deg(episode.joint_positions), targets, atol=1e-4)
        assert np.allclose(np.rad2deg(episode.actions[:-1]), np.diff(targets, axis=0), atol=1e-4)
        assert np.allclose(
            episode.images[:, 32, 32], np.stack([60 + 3 * t, 0 * t + 120, 200 - 3 * t], -1), atol=4
        )
        assert episode.metadata["task"] == ("Pick the cube", "Place the cube")[number]


def test_a_foreign_dataset_at_its_own_rate_by_its_image_camera(tmp_path):
    names = ["pan", "lift", "grip"]
    report = import_dataset(
        FOREIGN,
        tmp_path / "bags",
        camera="observation.images.wrist",
        degrees=True,
        joint_names=names,
        image_size=(8, 8),
    )
    assert report.spec.rate_hz == 30.0 and report.spec.joint_names == tuple(names)
    episodes, _ = read_episodes(tmp_path / "bags", image_size=(8, 8), workers=1)
    assert [len(e) for e in episodes] == [47, 35]
    assert episodes[1].images[:, 4, 4].tolist() == [[t, 2 * t, 100] for t in range(1, 36)]


def test_some_of_the_joints_by_a_given_contract(tmp_path):
    spec = ActionSpec(
        ("gripper", "shoulder_pan"), (-0.5,) * 2, (0.5,) * 2, (-1.0,) * 2, (1.0,) * 2, rate_hz=15.0
    )
    import_dataset(FOREIGN, tmp_path / "bags", spec, camera="wrist", degrees=True)
    episodes, report = read(tmp_path / "bags")
    assert report.spec == spec
    assert np.allclose(np.rad2deg(episodes[0].joint_positions[:3, 0]), 10, atol=1e-4)


def test_degrees_taken_for_radians_are_noted(tmp_path):
    assert "--degrees" in import_dataset(FOREIGN, tmp_path / "bags", camera="wrist").notes[-1]


@pytest.fixture
def damaged(tmp_path):
    """A copy of the foreign dataset to damage."""
    return Path(shutil.copytree(FOREIGN, tmp_path / "dataset"))


def _edit_info(root: Path, **values) -> None:
    info = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps(info | values))


VIDEO = "videos/observation.images.front/chunk-000/file-000.mp4"


@pytest.mark.parametrize(
    "damage, named",
    [
        (lambda d: shutil.rmtree(d / "meta"), "not a LeRobot dataset, meta/info.json is missing"),
        (lambda d: (d / "meta/info.json").write_text("{"), "info.json: cannot be read as JSON"),
        (lambda d: (d / "meta/info.json").write_text("[]"), "codebase_version is none"),
        (
            lambda d: _edit_info(d, codebase_version="v2.1"),
            "is v2.1; LeRobot v3 is needed.*convert_dataset_v21_to_v30",
        ),
        (lambda d: _edit_info(d, fps=0), "fps 0"),
        (lambda d: _edit_info(d, features={}), "has no camera 'front'"),
        (lambda d: shutil.rmtree(d / "meta/episodes"), "lists no episode"),
        (lambda d: (d / VIDEO).unlink(), "file-000.mp4: missing.*another --camera"),
        (lambda d: (d / VIDEO).write_bytes(b"no video"), "file-000.mp4: cannot be decoded"),
        (lambda d: (d / VIDEO).write_bytes((d / VIDEO).read_bytes()[:2500]), "file-000.mp4"),
        (lambda d: shutil.rmtree(d / "data"), "file-000.parquet: missing"),
        (lambda d: (d / "data/chunk-000/file-000.parquet").write_bytes(b"PAR1"), "cannot be read as parquet"),
    ],
)
def test_what_is_wrong_with_a_dataset_is_said(damaged, tmp_path, damage, named):
    damage(damaged)
    with pytest.raises(JepaError, match=named):
        import_dataset(damaged, tmp_path / "out" / "bags", camera="front")
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "options, named",
    [
        ({}, "cameras observation.images.front, observation.images.wrist; choose one with --camera"),
        ({"camera": "top"}, "has no camera 'top'; cameras: observation.images.front"),
        ({"camera": "wrist", "joint_names": ["pan"]}, "1 joint names given for its 3"),
        (
            {"camera": "wrist", "spec": ActionSpec(("roll",), (-1,), (1,), (-1,), (1,))},
            r"\['roll'\] are not among.*--joint-names",
        ),
    ],
)
def test_options_that_do_not_fit_a_dataset_are_refused(tmp_path, options, named):
    with pytest.raises(JepaError, match=named):
        import_dataset(FOREIGN, tmp_path / "bags", **options)


def test_the_unit_of_our_own_dataset_is_known(bags, tmp_path):
    export_bags(bags, tmp_path / "dataset", video=False)
    with pytest.raises(JepaError, match="carries its ActionSpec"):
        import_dataset(tmp_path / "dataset", tmp_path / "again", degrees=True)


def test_missing_libraries_are_named_with_the_command(bags, tmp_path, monkeypatch):
    monkeypatch.setattr(layout.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(JepaError, match="pyarrow and av: pip install pyarrow av"):
        export_bags(bags, tmp_path / "dataset")


def test_the_command_converts_there_and_back(bags, tmp_path, capsys):
    dataset, again = str(tmp_path / "dataset"), str(tmp_path / "again")
    there = ["convert", "--to", "lerobot", "--bags", str(bags), "--out", dataset, "--images"]
    assert main([*there, "--image-size", "32", "48", "--task", "Touch the dot"]) == 0
    assert "4 episodes, 70 frames at 10 Hz from 3 bags" in capsys.readouterr().out
    assert main(["convert", "--to", "bags", "--lerobot", dataset, "--out", again]) == 0
    assert "4 bags, 70 frames" in capsys.readouterr().out
    episodes, _ = read_episodes(again, image_size=(32, 48), workers=1)
    assert episodes[0].metadata["lerobot"]["tasks"] == ["Touch the dot"]
    assert main(["convert", "--to", "bags", "--out", again]) == 2
    assert "--to bags needs --lerobot" in capsys.readouterr().err


@pytest.mark.parametrize("video", [False, True])
def test_lerobot_itself_loads_what_we_write(bags, tmp_path, monkeypatch, video):
    pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="runs where LeRobot is installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    export_bags(bags, tmp_path / "dataset", video=video)
    dataset = LeRobotDataset("local/dataset", root=tmp_path / "dataset", video_backend="pyav")
    assert (dataset.num_episodes, dataset.num_frames) == (4, 70)
    episodes = read(bags)[0]
    frames = [(n, t) for n, e in enumerate(episodes) for t in range(len(e))]
    before, pixels = np.zeros(3), [[] for _ in episodes]
    for item, (n, t) in zip(dataset, frames, strict=True):
        episode = episodes[n]
        assert (int(item["episode_index"]), int(item["frame_index"])) == (n, t)
        assert item["task"] == episode.metadata.get("task", "no task given")
        assert np.allclose(item["observation.state"], episode.joint_positions[t], atol=1e-7)
        if t:
            delta = item[layout.TARGET].numpy() - before
            assert np.allclose(delta, episode.actions[t - 1], rtol=0, atol=1e-6)
        before = item[layout.TARGET].numpy()
        pixels[n].append((item[layout.CAMERA].numpy().transpose(1, 2, 0) * 255).round())
    for images, episode in zip(pixels, episodes, strict=True):
        assert_alike(np.array(images), episode.images, 28 if video else np.inf)
