"""The search space of ways around a corner."""

from dataclasses import replace

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.planning.search_spaces import make_space

SPEC = ActionSpec(("a", "b"), (-0.1, -0.2), (0.1, 0.2), (-1.0, -1.0), (1.0, 1.0), block=2)
H = 4


def candidates(count=50, seed=0):
    space = make_space("two_legs", SPEC, H).at(np.zeros(2))
    rng = np.random.default_rng(seed)
    return space, rng.uniform(space.lower, space.upper, (count, space.size))


def raw(space, theta):
    return space.decode(theta).reshape(len(theta), -1, 2)


def test_both_legs_are_gone_one_after_the_other_within_the_bounds():
    space, theta = candidates()
    actions = raw(space, theta)
    assert np.all(actions <= np.array(SPEC.upper) + 1e-9) and np.all(actions >= np.array(SPEC.lower) - 1e-9)
    np.testing.assert_allclose(actions.sum(1), theta[:, :2] + theta[:, 2:], atol=1e-9)
    corner = raw(space, np.array([[0.3, 0.0, 0.0, 0.6]]))[0]
    np.testing.assert_allclose(corner[:3], [[0.1, 0]] * 3, atol=1e-9)
    np.testing.assert_allclose(corner[3:6], [[0, 0.2]] * 3, atol=1e-9)
    np.testing.assert_allclose(corner[6:], 0, atol=1e-9)


def test_one_leg_alone_is_a_displacement():
    space, theta = candidates()
    straight = make_space("displacement", SPEC, H).at(np.zeros(2))
    theta[:, :2] = 0
    np.testing.assert_allclose(space.decode(theta), straight.decode(theta[:, 2:]), atol=1e-6)


def test_what_is_left_after_a_block_goes_on_as_planned():
    space, theta = candidates()
    for one, whole in zip(theta, raw(space, theta), strict=True):
        rest = raw(space, space.shift(one)[None])[0]
        np.testing.assert_allclose(rest[: -SPEC.block], whole[SPEC.block :], atol=1e-12)


def test_the_second_leg_begins_with_a_raw_step_of_its_own():
    actions = raw(candidates()[0], np.array([[0.25, 0.0, 0.0, 0.5]]))[0]  # 2.5 steps each
    np.testing.assert_allclose(actions[:3, 0], [0.1, 0.1, 0.05], atol=1e-12)
    np.testing.assert_allclose(actions[3:6, 1], [0.2, 0.2, 0.1], atol=1e-12)
    assert not actions[:3, 1].any() and not actions[3:, 0].any()


def test_of_an_odd_horizon_both_legs_are_done_within_it():
    spec = replace(SPEC, block=3)
    space = make_space("two_legs", spec, 3)  # 9 raw steps
    np.testing.assert_allclose(space.upper, [0.4, 0.8] * 2)
    farthest = space.decode(space.upper[None]).reshape(9, 2)
    np.testing.assert_allclose(farthest.sum(0), [0.8, 1.6])


def test_there_and_back_is_projected_to_itself():
    space = make_space("two_legs", SPEC, H)
    theta = np.array([[0.3, 0.4, -0.15, -0.2], [0.2, 0.1, -0.2, -0.1]])
    np.testing.assert_allclose(space.project(space.decode(theta)), theta, atol=1e-9)


def test_a_way_around_a_corner_is_projected_to_itself():
    space = make_space("two_legs", SPEC, H).at(np.zeros(2))
    theta = np.array([[0.3, 0.0, 0.0, 0.6], [0.0, -0.4, 0.2, 0.0]])
    np.testing.assert_allclose(space.project(space.decode(theta)), theta, atol=1e-9)
    straight = make_space("displacement", SPEC, H).at(np.zeros(2)).decode(np.array([[0.6, -0.7]]))
    np.testing.assert_allclose(space.decode(space.project(straight)), straight, atol=1e-9)


def test_the_first_leg_keeps_the_position_limits():
    space = make_space("two_legs", SPEC, H).at(np.array([0.95, 0.0]))
    assert np.isclose(space.upper[0], 0.05) and space.upper[2] > 0.3 and space.lower[0] < -0.3
