"""Every search space keeps the action bounds, holds still at zero, and shifts to the rest of its plan."""

import numpy as np
import pytest

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.planning.search_spaces import SPACES, make_space

SPEC = ActionSpec(
    joint_names=("a", "b", "c"),
    lower=(-0.12, -0.1, -0.2),
    upper=(0.12, 0.2, 0.1),
    block=4,
    position_lower=(-2.0, -1.0, -0.5),
    position_upper=(2.0, 1.0, 0.5),
)
HORIZON = 5


def raw(space, theta):
    """Raw actions (S, H * K, A)."""
    return space.decode(theta).reshape(len(theta), HORIZON * SPEC.block, SPEC.dim)


def draw(space, samples=200, seed=0, beyond=1.0):
    rng = np.random.default_rng(seed)
    return rng.uniform(beyond * space.lower, beyond * space.upper, (samples, space.size))


@pytest.mark.parametrize("name", SPACES)
def test_decoded_actions_have_the_protocols_shape_and_keep_the_bounds(name):
    space = make_space(name, SPEC, HORIZON)
    actions = space.decode(draw(space, beyond=3.0))
    assert actions.shape == (200, HORIZON, SPEC.block_dim)
    per_raw_action = actions.reshape(-1, SPEC.dim)
    assert np.all(per_raw_action >= SPEC.lower) and np.all(per_raw_action <= SPEC.upper)
    assert np.abs(per_raw_action).max() > 0.05


@pytest.mark.parametrize(
    "name, size, reduction",
    [
        ("displacement", 3, "sum"),
        ("two_legs", 6, "sum"),
        ("hold_action", 3, "min"),
        ("one_block", 12, "sum"),
        ("free_blocks", 60, "sum"),
    ],
)
def test_sizes_and_reductions(name, size, reduction):
    space = make_space(name, SPEC, HORIZON)
    assert (space.size, space.reduction) == (size, reduction)
    assert space.lower.shape == space.upper.shape == space.scale.shape == (size,)
    assert size % space.steps == 0


@pytest.mark.parametrize("name", SPACES)
def test_zero_is_within_the_bounds_and_means_no_motion(name):
    space = make_space(name, SPEC, HORIZON)
    assert np.all(space.lower < 0) and np.all(space.upper > 0)
    assert not np.any(space.decode(np.zeros((1, space.size))))


@pytest.mark.parametrize("name", SPACES)
def test_one_block_then_shift_is_the_rest_of_the_plan(name):
    space = make_space(name, SPEC, HORIZON)
    for theta in draw(space):
        plan = space.decode(theta[None])[0]
        rest = space.decode(space.shift(theta)[None])[0]
        np.testing.assert_allclose(rest[:-1], plan[1:], atol=1e-12)


def test_after_the_shift_a_held_action_goes_on_and_the_others_end_still():
    for name in SPACES:
        space = make_space(name, SPEC, HORIZON)
        theta = draw(space, 1)[0]
        last = space.decode(space.shift(theta)[None])[0, -1]
        assert np.any(last) == (name == "hold_action"), name


def test_displacement_arrives_exactly_and_rests():
    space = make_space("displacement", SPEC, HORIZON)
    theta = draw(space)
    np.testing.assert_allclose(raw(space, theta).sum(axis=1), theta, atol=1e-12)


def test_displacement_moves_all_joints_in_proportion_and_the_slowest_at_its_bound():
    space = make_space("displacement", SPEC, HORIZON)
    theta = np.array([[0.6, -0.25, 0.1]])  # 5 steps for a, 2.5 for b, 1 for c
    actions = raw(space, theta)[0]
    np.testing.assert_allclose(actions[:5], np.repeat(theta / 5, 5, axis=0), atol=1e-12)
    assert not np.any(actions[5:])


def test_displacement_ends_with_one_partial_step():
    space = make_space("displacement", SPEC, HORIZON)
    actions = raw(space, np.array([[0.3, 0.0, 0.0]]))[0, :, 0]  # 2.5 steps of 0.12
    np.testing.assert_allclose(actions[:4], [0.12, 0.12, 0.06, 0.0], atol=1e-12)


def test_displacement_uses_the_bound_of_the_direction():
    space = make_space("displacement", SPEC, HORIZON)
    forth, back = raw(space, np.array([[0.0, 0.4, 0.0], [0.0, -0.4, 0.0]]))[:, :, 1]
    assert np.count_nonzero(forth > 1e-9) == 2 and np.count_nonzero(back < -1e-9) == 4


def test_displacement_smaller_than_one_step_is_one_step():
    space = make_space("displacement", SPEC, HORIZON)
    actions = raw(space, np.array([[0.03, -0.01, 0.0]]))[0]
    np.testing.assert_allclose(actions[0], [0.03, -0.01, 0.0], atol=1e-15)
    assert not np.any(actions[1:])


def test_displacement_reaches_as_far_as_the_horizon_and_the_position_limits():
    space = make_space("displacement", SPEC, HORIZON)
    np.testing.assert_allclose(space.upper, np.multiply(SPEC.upper, HORIZON * SPEC.block))
    seen = space.at([1.5, 0.0, -0.4])
    np.testing.assert_allclose(seen.upper, [0.5, 1.0, 0.9])
    np.testing.assert_allclose(seen.lower, [-2.4, -1.0, -0.1])
    assert space.upper[0] == pytest.approx(2.4), "the space itself is unchanged"


def test_a_joint_beyond_its_limit_may_stay_or_come_back():
    seen = make_space("displacement", SPEC, HORIZON).at([2.3, 0.0, 0.0])
    assert seen.upper[0] == 0.0 and seen.lower[0] == pytest.approx(-2.4)


@pytest.mark.parametrize("proprio", [[0.0, 0.0], [0.0, np.nan, 0.0]])
def test_displacement_refuses_bad_joint_positions(proprio):
    with pytest.raises(JepaError, match="joint positions must be 3 finite"):
        make_space("displacement", SPEC, HORIZON).at(proprio)


def test_unknown_space_and_bounds_without_zero_are_named():
    with pytest.raises(JepaError, match="'loop' is unknown; choose one of displacement"):
        make_space("loop", SPEC, HORIZON)
    forward = ActionSpec(
        joint_names=("a",), lower=(0.1,), upper=(0.2,), position_lower=(-1,), position_upper=(1,)
    )
    with pytest.raises(JepaError, match="must enclose zero"):
        make_space("one_block", forward, HORIZON)
