"""Images of the simulated arm that need no encoding, and those that do."""

import dataclasses

import numpy as np
import pytest

from jepa_ros.data.frame_change import THRESHOLD, FrameSkip, cells, largest_change
from jepa_ros.data.images import resize
from jepa_ros.simulation.arm import HOME, JOINT_NAMES
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task

SIZE = (64, 64)
LONGEST_S = 0.4
A_STEP = 0.12  # rad; the largest raw action of a joint
CAMERA = (480, 640)


@pytest.fixture(scope="module")
def simulator():
    with Simulator("reach", image_size=SIZE) as simulator:
        yield simulator


def picture(simulator, joints, size=SIZE):
    """The arm at rest at joints (A,) rad."""
    _, goal = make_task("reach").episode(7)
    return simulator.goal_image(dataclasses.replace(goal, joints=joints), size)


def moved(joint, by):
    joints = np.array(HOME, dtype=float)
    joints[joint] += by
    return joints


def shot(image, sigma, seed):
    """As a camera with sensor noise gives it to a model of SIZE."""
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return resize(np.clip(np.round(image + noise), 0, 255).astype(np.uint8), SIZE)


@pytest.mark.parametrize("joint", range(len(JOINT_NAMES)), ids=JOINT_NAMES)
def test_one_step_of_any_joint_is_seen(simulator, joint):
    skip = FrameSkip(THRESHOLD, LONGEST_S)
    skip.encoded(picture(simulator, moved(joint, 0)), 1.0)
    assert not skip.may_skip(picture(simulator, moved(joint, A_STEP)), 1.1)


@pytest.mark.parametrize("sigma", [0, 5])
def test_a_cameras_noise_is_not_taken_for_a_motion(simulator, sigma):
    image = picture(simulator, HOME, CAMERA)
    skip = FrameSkip(THRESHOLD, LONGEST_S)
    skip.encoded(shot(image, sigma, 0), 1.0)
    assert all(skip.may_skip(shot(image, sigma, seed), 1.1) for seed in range(1, 9))
    shoulder_pan = picture(simulator, moved(0, A_STEP), CAMERA)
    assert not any(skip.may_skip(shot(shoulder_pan, sigma, seed), 1.1) for seed in range(1, 9))


def test_small_changes_do_not_add_up_unseen(simulator):
    skip = FrameSkip(THRESHOLD, longest_s=1e9)
    skip.encoded(first := picture(simulator, HOME), 0.0)
    dusk = [np.round(first * (1 - 0.002 * i)).astype(np.uint8) for i in range(1, 60)]
    steps = [largest_change(cells(a), cells(b)) for a, b in zip([first, *dusk], dusk, strict=False)]
    assert max(steps) <= THRESHOLD / 2  # no picture differs from the one before
    skipped = [skip.may_skip(image, 0.1 * i) for i, image in enumerate(dusk, 1)]
    assert skipped[0] and not skipped[-1]
    seen = skipped.index(False)
    assert largest_change(cells(first), cells(dusk[seen - 1])) < THRESHOLD


def test_a_picture_that_hardly_differs_stands_for_less_than_the_longest_time(simulator):
    image = picture(simulator, HOME)
    other = image.copy()
    other[5, 5] ^= 1
    skip = FrameSkip(THRESHOLD, LONGEST_S)
    skip.encoded(image, 10.0)
    assert skip.may_skip(other, 10.0 + 0.99 * LONGEST_S)
    for stamp in (
        10.0 + LONGEST_S,
        99.0,
        10.0,
        9.9,
        0.0,
    ):  # too late; no time passed, or the clock was set back
        assert not skip.may_skip(other, stamp)
        assert skip.may_skip(image.copy(), stamp)  # the very same picture has the same latent for ever


def test_the_first_picture_and_with_a_threshold_of_0_every_picture_is_encoded(simulator):
    image = picture(simulator, HOME)
    assert not FrameSkip(THRESHOLD, LONGEST_S).may_skip(image, 1.0)
    never = FrameSkip(0.0, LONGEST_S)
    never.encoded(image, 1.0)
    assert not never.may_skip(image, 1.1)


@pytest.mark.parametrize("size", [(64, 64), (96, 128), (50, 37)])
def test_cells_are_mean_colours_of_any_size(size):
    image = np.zeros((*size, 3), np.uint8)
    image[: size[0] // 2] = (200, 100, 50)
    found = cells(image)
    assert found.shape == (16, 16, 3)
    np.testing.assert_allclose(found.mean(axis=(0, 1)), image.mean(axis=(0, 1)), rtol=0.02)
    np.testing.assert_allclose(found[0, 0], (200, 100, 50))
