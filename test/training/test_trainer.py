import json
import platform
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from dot_world import DATA, EPISODES, SPEC, config, dot_world, logged

from jepa_ros.data.dataset import ClipDataset, statistics
from jepa_ros.data.episodes import Episode
from jepa_ros.errors import JepaError
from jepa_ros.training import batches, trainer
from jepa_ros.training.validation import goal_tolerance
from jepa_ros.world_model.baselines import load_baselines
from jepa_ros.world_model.checkpoint import load_checkpoint


def test_clips_are_frames_one_block_apart_with_the_actions_between():
    clips = ClipDataset(EPISODES[:2], SPEC, length=4)
    assert len(clips) == 2 * (30 - 6)
    images, proprio, actions = clips[24 + 5]  # the sixth clip of the second episode
    episode = EPISODES[1]
    np.testing.assert_array_equal(images, episode.images[[5, 7, 9, 11]])
    np.testing.assert_array_equal(proprio, episode.joint_positions[[5, 7, 9, 11]])
    np.testing.assert_array_equal(actions, episode.actions[5:11].reshape(3, 4))


def test_episodes_too_short_for_a_clip_are_refused():
    with pytest.raises(JepaError, match="needs 59 frames"):
        ClipDataset(EPISODES, SPEC, length=30)


def test_statistics_survive_a_joint_that_never_moves():
    still = dot_world(0)
    still.actions[:, 1] = 0
    assert statistics([still])["action_std"][1] == pytest.approx(1e-3)


def test_held_out_episodes_are_never_trained_on():
    split = trainer.split_episodes(EPISODES, SPEC, config())
    assert len(split.train.images) + len(split.validation.images) == 12 * 30
    train = {frame.tobytes() for frame in split.train.proprio}
    assert not any(frame.tobytes() in train for frame in split.validation.proprio)
    assert len(
        trainer.split_episodes([*EPISODES, dot_world(99, frames=5)], SPEC, config()).train.images
    ) == len(split.train.images)
    for too_few in (EPISODES[:1], [EPISODES[0], dot_world(99, frames=5)]):
        with pytest.raises(JepaError, match="at least 2 are needed"):
            trainer.split_episodes(too_few, SPEC, config())


def in_another_light(episode: Episode) -> Episode:
    """The same motion, seen in a picture that is dim and tinted, with a bright stripe at its edge."""
    images = (0.4 * episode.images * [1.0, 0.6, 0.8]).astype(np.uint8)
    images[:, :, :3] = 200
    return replace(episode, images=images, metadata={"scene": 1})


def test_views_of_a_motion_stay_together_and_any_stands_beside_the_standard_one():
    seen_twice = [view for episode in EPISODES for view in (episode, in_another_light(episode))]
    split = trainer.split_episodes(seen_twice, SPEC, config())
    train = {frame.tobytes() for frame in split.train.proprio}
    assert not any(frame.tobytes() in train for frame in split.validation.proprio)
    images, proprio, actions = split.train.sample_views(64, np.random.default_rng(0))
    assert (
        images.shape == (2, 64, 4, 16, 16, 3) and proprio.shape == (64, 4, 2) and actions.shape == (64, 3, 4)
    )
    striped = (images[:, :, :, :, 0] == 200).flatten(2).all(2)
    assert not striped[0].any() and 10 < striped[1].sum() < 54
    one, other = (view[striped[1]].numpy() for view in images)
    dimmed = (0.4 * one * [1.0, 0.6, 0.8]).astype(np.uint8)
    np.testing.assert_array_equal(other[..., 3:, :], dimmed[..., 3:, :])
    np.testing.assert_array_equal(images[0][~striped[1]], images[1][~striped[1]])
    np.testing.assert_array_equal(
        split.reference_view, trainer.reference_view(EPISODES[:4] + EPISODES[5:9] + EPISODES[10:])
    )


def test_a_motion_seen_once_is_its_own_second_view():
    images, *_ = ClipDataset(EPISODES, SPEC, 4).sample_views(16, np.random.default_rng(0))
    np.testing.assert_array_equal(images[0], images[1])


def test_training_on_views_brings_their_latents_together(tmp_path, monkeypatch):
    seen_twice = [
        view
        for seed in range(60)
        for view in (dot_world(seed, frames=40), in_another_light(dot_world(seed, frames=40)))
    ]
    # the recorded views alone: learning to see through noise and patches takes longer than a test
    monkeypatch.setattr(batches, "augment", lambda clips, rngs: clips)

    def gap(augmentation: str) -> float:
        """Distance of the latents of one frame in two views, against the spread of the latents."""
        settings = config(steps=80, save_every=80, batch=16, learning_rate=3e-3, augmentation=augmentation)
        trainer.train(seen_twice, SPEC, tmp_path / augmentation, settings, DATA)
        model = load_checkpoint(tmp_path / augmentation).model
        first, second = (np.array([model.embed(image) for image in view.images]) for view in seen_twice[-2:])
        return (
            np.linalg.norm(first - second, axis=1).mean()
            / np.linalg.norm(first - first.mean(0), axis=1).mean()
        )

    assert gap("views") < 0.6 * gap("none")


class Mean:
    """A model whose latent is the mean of the picture: how far the arm is."""

    proprio_mean = torch.zeros(1)

    def encode(self, images):
        return images.float().mean((1, 2, 3))[:, None]


def arm_at(joints) -> Episode:
    """A joint that the whole picture tells, 1 level a hundredth of a radian."""
    joints = np.asarray(joints, np.float32)
    return Episode(
        images=np.tile((100 * joints).round().astype(np.uint8)[:, None, None, None], (1, 16, 16, 3)),
        joint_positions=np.stack([joints, 0 * joints], 1),
        actions=np.zeros((len(joints), 2), np.float32),
        stamps=np.arange(len(joints)) / 10,
        source="arm",
        metadata={},
    )


def test_what_counts_as_there_is_measured_on_slow_arms_too_and_never_across_episodes(capsys):
    fast = ClipDataset([arm_at(0.04 * np.arange(20))], SPEC, 2)
    slow = ClipDataset([arm_at(0.01 * (np.arange(60) // 2))], SPEC, 2)
    assert goal_tolerance(Mean(), fast) == pytest.approx(4)
    assert 3 <= goal_tolerance(Mean(), slow) <= 6  # 8 frames apart
    assert not capsys.readouterr().err
    still = ClipDataset([arm_at([at] * 10) for at in (0.1, 0.14, 0.18)], SPEC, 2)
    assert goal_tolerance(Mean(), still) == 0.1 and "no held-out episode moves" in capsys.readouterr().err


def test_training_learns_to_predict_and_writes_a_whole_checkpoint(tmp_path):
    episodes = [dot_world(seed, frames=40) for seed in range(60)]
    settings = config(steps=60, save_every=60, batch=16, learning_rate=3e-3, log_every=20, baseline_steps=2)
    metrics = trainer.train(episodes, SPEC, tmp_path, settings, DATA)
    assert metrics["validation_one_step"] < 0.3 * metrics["validation_copy_last_frame"]
    assert metrics["effective_rank"] > 1.5 and metrics["latent_std_min"] > 0.05
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.config["data"] == DATA and checkpoint.goal_tolerance > 0
    assert checkpoint.calibration.data_digest == "abc" and checkpoint.calibration.latent_dim == 8
    assert checkpoint.spec.std != SPEC.std and checkpoint.reference_view.shape == (16, 16, 3)
    assert load_baselines(tmp_path).joints_from_image(EPISODES[0].images[0]).shape == (2,)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(20, 61, 20))
    assert all(0 < row["data_share"] < 1 and row["images_per_second"] > 0 for row in [*rows, metrics])
    assert metrics["images_per_second"] == pytest.approx(60 * 16 * 4 / metrics["training_seconds"], rel=1e-3)
    assert (tmp_path / "training.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / trainer.STATE).exists()


@pytest.mark.parametrize("anti_collapse, augmentation", [("sigreg", "views"), ("ema", "none")])
def test_a_stopped_run_resumed_is_the_run_that_was_not_stopped(
    tmp_path, monkeypatch, anti_collapse, augmentation
):
    from jepa_ros.world_model.losses import LossConfig

    settings = config(loss=LossConfig(anti_collapse=anti_collapse), augmentation=augmentation)
    trainer.train(EPISODES, SPEC, tmp_path / "whole", settings, DATA)

    calls, real = 0, trainer.jepa_loss

    def stop_at_fifth(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(trainer, "jepa_loss", stop_at_fifth)
    with pytest.raises(KeyboardInterrupt):
        trainer.train(EPISODES, SPEC, tmp_path / "cut", settings, DATA)
    monkeypatch.setattr(trainer, "jepa_loss", real)
    trainer.train(EPISODES, SPEC, tmp_path / "cut", settings, DATA)

    assert logged(tmp_path / "whole") == logged(tmp_path / "cut")
    whole, cut = (load_checkpoint(tmp_path / name).model.state_dict() for name in ("whole", "cut"))
    for name, tensor in whole.items():
        torch.testing.assert_close(cut[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("torn", ['{"step": 4, "lo', '{"step": 2}', "\0\0\0\n"])
def test_a_row_that_a_kill_left_torn_is_dropped(tmp_path, monkeypatch, torn):
    monkeypatch.setattr(trainer, "validate", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        trainer.train(EPISODES, SPEC, tmp_path, config(), DATA)
    monkeypatch.undo()
    with open(tmp_path / "metrics.jsonl", "a") as log:
        log.write(torn)
    trainer.train(EPISODES, SPEC, tmp_path, config(), DATA)
    assert [row["step"] for row in logged(tmp_path)] == [2, 4, 6]


def test_a_run_stopped_after_its_last_step_makes_the_same_baselines(tmp_path, monkeypatch):
    settings = config(baseline_steps=2)
    trainer.train(EPISODES, SPEC, tmp_path / "whole", settings, DATA)
    monkeypatch.setattr(trainer, "validate", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        trainer.train(EPISODES, SPEC, tmp_path / "cut", settings, DATA)
    monkeypatch.undo()
    trainer.train(EPISODES, SPEC, tmp_path / "cut", settings, DATA)
    whole, cut = ((tmp_path / name / "baselines.safetensors").read_bytes() for name in ("whole", "cut"))
    assert whole == cut
    timed = ("training_seconds", "total_seconds", "images_per_second", "data_share")
    figures = [load_checkpoint(tmp_path / name).config["metrics"] for name in ("whole", "cut")]
    assert len({json.dumps({k: v for k, v in found.items() if k not in timed}) for found in figures}) == 1


def test_a_state_of_other_settings_is_refused_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "validate", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        trainer.train(EPISODES, SPEC, tmp_path, config(), DATA)
    with pytest.raises(JepaError, match="other settings or other bags"):
        trainer.train(EPISODES, SPEC, tmp_path, config(seed=1), DATA)
    assert (tmp_path / trainer.STATE).exists()


def test_a_loss_that_is_not_finite_stops_with_advice(tmp_path, monkeypatch):
    broken = [dot_world(seed) for seed in range(12)]
    for episode in broken:
        episode.joint_positions[3] = np.nan
    monkeypatch.setattr(trainer, "statistics", lambda episodes: statistics(EPISODES))
    with pytest.raises(JepaError, match="lower --learning-rate"):
        trainer.train(broken, SPEC, tmp_path, config(), DATA)


@pytest.mark.parametrize(
    "bad, words",
    [
        ({"precision": "int8"}, "unknown precision"),
        ({"steps": 0}, "steps is 0"),
        ({"clip": 2}, "longer than the context"),
        ({"seed": -1}, "seed is -1"),
        ({"learning_rate": -1.0}, "learning_rate is -1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"baseline_steps": -5}, "baseline_steps is -5"),
        ({"device": "abacus"}, "device is 'abacus'"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_bad_settings_are_named(bad, words):
    with pytest.raises(JepaError, match=words):
        config(**bad)


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JepaError, match="cannot write there"):
        trainer.make_folder(tmp_path / "file")


def test_without_git_the_commit_is_unknown_and_nothing_is_lost(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    trainer.train(EPISODES, SPEC, tmp_path / "out", config(steps=1), DATA)
    assert load_checkpoint(tmp_path / "out").config["commit"] == "unknown"


def test_pictures_are_held_once():
    episodes = [replace(episode) for episode in EPISODES[:3]]
    before = [episode.images.copy() for episode in episodes]
    clips = ClipDataset(episodes, SPEC, length=4)
    for episode, images in zip(episodes, before, strict=True):
        np.testing.assert_array_equal(episode.images, images)
        assert np.shares_memory(episode.images, clips.images)


PEAK = """
import numpy as np
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.dataset import ClipDataset
from jepa_ros.data.episodes import Episode
from jepa_ros.evaluation.bench.resident import peak_mib

spec = ActionSpec(("x",), (-0.1,), (0.1,), (-1.0,), (1.0,), block=2)
large = np.ones(2**22)  # once one of 32 MiB was freed, the C library takes smaller ones from what it keeps
del large
numbers = np.zeros((100, 1), np.float32)
episodes = [
    Episode(np.ones((100, 64, 64, 3), np.uint8), numbers.copy(), numbers.copy(), np.arange(100.0)) for _ in range(200)
]
before, pictures = peak_mib(), sum(episode.images.nbytes for episode in episodes) / 2**20
ClipDataset(episodes, spec, length=4)
print((peak_mib() - before) / pictures)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc's malloc_trim")
def test_pictures_are_not_in_memory_twice_while_they_are_gathered():
    found = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    assert 0 < float(found.stdout) < 0.4
