"""Disturbances of the simulated camera: each changes its images only, and its end brings the old picture back."""

import numpy as np
import pytest

from jepa_ros.errors import JepaError
from jepa_ros.simulation.disturbance import DISTURBANCES, HAND_SECONDS, NONE, SKIN
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task


@pytest.fixture(scope="module")
def simulator():
    with Simulator("reach") as simulator:
        yield simulator


@pytest.fixture
def goal(simulator):
    start, goal = make_task("reach").episode(3)
    simulator.reset(start)
    return goal


def difference(a, b):
    return np.abs(a.astype(int) - b).mean()


@pytest.mark.parametrize("kind", ["camera_moved", "lens_covered", "hand", "camera_knocked"])
def test_the_picture_is_spoilt_until_the_end_and_goal_images_stay_clean(simulator, goal, kind):
    before, goal_image = simulator.render(), simulator.goal_image(goal)
    simulator.disturb(kind)
    simulator.advance(HAND_SECONDS)
    assert simulator.disturbance == kind and difference(simulator.render(), before) > 5
    np.testing.assert_array_equal(simulator.goal_image(goal), goal_image)
    simulator.disturb(NONE)
    assert difference(simulator.render(), before) < 1  # the arm has settled by less than a pixel


def test_a_covered_lens_shows_nothing(simulator, goal):
    simulator.disturb("lens_covered")
    image = simulator.render()
    assert image.mean() < 20 and not image.reshape(-1, 3).std(axis=0).any()


def test_a_hand_comes_in_from_the_right_and_has_the_colour_of_skin(simulator, goal):
    before, reaches = simulator.render(), []
    simulator.disturb("hand")
    for _ in range(3):
        simulator.advance(HAND_SECONDS / 3)
        image = simulator.render()
        changed = np.abs(image.astype(int) - before).max(axis=2) > 10
        reaches.append(np.flatnonzero(changed.any(axis=0)).min(initial=64))
    assert reaches[0] > 40 > reaches[-1] and reaches == sorted(reaches, reverse=True)
    red, green, blue = image[changed].mean(axis=0)
    assert red > green > blue and red / blue == pytest.approx(SKIN[0] / SKIN[2], rel=0.2)


def test_a_frozen_image_is_the_same_while_the_arm_moves(simulator, goal):
    simulator.disturb("image_frozen")
    frozen = simulator.render()
    simulator.set_target(simulator.target + 0.2)
    simulator.advance(0.5)
    np.testing.assert_array_equal(simulator.render(), frozen)
    simulator.disturb("image_frozen")  # the same again goes on
    np.testing.assert_array_equal(simulator.render(), frozen)
    simulator.disturb(NONE)
    assert difference(simulator.render(), frozen) > 1


def test_a_reset_ends_it_and_physics_never_knew(simulator, goal):
    def positions(kind):
        simulator.reset(make_task("reach").episode(3)[0])
        assert simulator.disturbance == NONE
        simulator.disturb(kind)
        simulator.set_target(simulator.target + 0.1)
        simulator.advance(0.3)
        simulator.render()
        return simulator.joint_positions

    for kind in DISTURBANCES:
        np.testing.assert_array_equal(positions(kind), positions(NONE))


def test_unknown_is_named(simulator, goal):
    with pytest.raises(JepaError, match="lens_covered"):
        simulator.disturb("fog")
