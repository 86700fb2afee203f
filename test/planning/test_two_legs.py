"""The search space of ways around a corner."""

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
        # a last step of less than a bound takes a step of its own; the way is the same to that
        np.testing.assert_allclose(
            rest[: -SPEC.block].cumsum(0), whole[SPEC.block :].cumsum(0), atol=np.max(SPEC.upper)
        )
        np.testing.assert_allclose(rest.sum(0), whole[SPEC.block :].sum(0), atol=1e-9)


def test_a_way_around_a_corner_is_projected_to_itself():
    space = make_space("two_legs", SPEC, H).at(np.zeros(2))
    theta = np.array([[0.3, 0.0, 0.0, 0.6], [0.0, -0.4, 0.2, 0.0]])
    np.testing.assert_allclose(space.project(space.decode(theta)), theta, atol=1e-9)
    straight = make_space("displacement", SPEC, H).at(np.zeros(2)).decode(np.array([[0.6, -0.7]]))
    np.testing.assert_allclose(space.decode(space.project(straight)), straight, atol=1e-9)


def test_the_first_leg_keeps_the_position_limits():
    space = make_space("two_legs", SPEC, H).at(np.array([0.95, 0.0]))
    assert np.isclose(space.upper[0], 0.05) and space.upper[2] > 0.3 and space.lower[0] < -0.3
