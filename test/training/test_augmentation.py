"""Augmentation: another look of the same motion, held through the clip."""

import cv2
import numpy as np
import pytest

from jepa_ros.errors import JepaError
from jepa_ros.training import augmentation
from jepa_ros.training.augmentation import augment
from jepa_ros.training.config import TrainingConfig


def generators(seed: int, clips: int) -> list[np.random.Generator]:
    return np.random.default_rng(seed).spawn(clips)


@pytest.fixture(scope="module")
def still():
    """(64, 5, 32, 32, 3): clips in which nothing moves."""
    picture = np.random.default_rng(0).integers(0, 256, (64, 1, 4, 4, 3), dtype=np.uint8)
    return picture.repeat(8, 2).repeat(8, 3).repeat(5, 1)


def test_a_draw_holds_through_a_clip(still, monkeypatch):
    monkeypatch.setattr(augmentation, "NOISE", 0)
    changed = augment(still, generators(0, 64))
    assert changed.dtype == np.uint8 and changed.shape == still.shape
    np.testing.assert_array_equal(changed, changed[:, :1].repeat(5, 1))
    assert np.mean([(new != old).any() for new, old in zip(changed, still, strict=True)]) > 0.75


def test_noise_is_new_in_every_frame(still):
    changed = augment(still, generators(0, 64)).astype(int)
    noisy = (changed[:, 0] != changed[:, 1]).any((1, 2, 3))
    assert 0.05 < noisy.mean() < 0.4


def test_the_generator_decides_and_the_input_stays(still):
    before = still.copy()
    first, again, other = (augment(still, generators(seed, 64)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(still, before)


def test_a_clip_suffers_the_same_beside_others_and_alone(still):
    together = augment(still[:8], generators(3, 8))
    np.testing.assert_array_equal(augment(still[4:8], generators(3, 8)[4:]), together[4:])


def test_motion_stays_motion():
    """A blob that goes right goes right in every augmented clip where it can be followed."""
    clip = np.zeros((1, 4, 64, 64, 3), np.uint8)
    for frame, column in enumerate((16, 24, 32, 40)):
        cv2.circle(clip[0, frame], (column, 32), 5, (255, 255, 255), -1)
    columns = np.arange(64)
    steps = []
    for changed in augment(clip.repeat(40, 0), generators(0, 40)).astype(float):
        moving = np.abs(changed - np.median(changed, axis=0)).sum((1, 3))
        steps.append(np.diff((moving * columns).sum(1) / moving.sum(1)).mean())
    assert np.median(steps) > 3 and np.mean(np.array(steps) > 0) > 0.9


def test_the_hues_of_the_evaluation_are_not_made(still, monkeypatch):
    """Colour changes keep the order of the channels of saturated colours: no hue turns into another."""
    monkeypatch.setattr(augmentation, "NOISE", 0)
    red = np.zeros((200, 1, 8, 8, 3), np.uint8) + np.array([200, 60, 20], np.uint8)
    found = np.median(augment(red, generators(0, 200))[:, 0], axis=(1, 2))  # of the picture, not of a patch
    assert (found != [200, 60, 20]).any(1).mean() > 0.4
    assert (found[:, 0] >= found[:, 1]).all() and (found[:, 1] >= found[:, 2]).all()


def test_unknown_augmentation_is_refused():
    with pytest.raises(JepaError, match="known: none, views"):
        TrainingConfig(augmentation="colour")
    with pytest.raises(JepaError, match="at least 2"):
        TrainingConfig(augmentation="views", batch=1)
