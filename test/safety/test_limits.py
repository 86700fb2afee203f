"""No target passes the clamp of position and velocity."""

import numpy as np
import pytest

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.safety.limits import JointLimits

LIMITS = JointLimits(
    ("a", "b"), lower=[-1.0, -2.0], upper=[1.0, 2.0], velocity=[1.0, 3.0], acceleration=5.0, margin=0.1
)


def test_a_step_within_the_limits_passes_unchanged():
    target, clamped = LIMITS.clamp_step(np.array([0.05, -0.2]), np.zeros(2), dt=0.1)
    np.testing.assert_array_equal(target, [0.05, -0.2])
    assert clamped == 0


def test_velocity_limits_the_step_per_joint():
    target, clamped = LIMITS.clamp_step(np.array([0.5, -0.29]), np.zeros(2), dt=0.1)
    np.testing.assert_allclose(target, [0.1, -0.29])
    assert clamped == 1


def test_position_keeps_the_margin():
    target, clamped = LIMITS.clamp_step(np.array([0.95, -2.5]), np.array([0.89, -1.85]), dt=0.1)
    np.testing.assert_allclose(target, [0.9, -1.9])
    assert clamped == 2


def test_a_joint_outside_comes_back_no_faster_than_its_velocity():
    target, clamped = LIMITS.clamp_step(np.array([1.5, 0.0]), np.array([1.5, 0.0]), dt=0.1)
    np.testing.assert_allclose(target, [1.4, 0.0])
    assert clamped == 1


def test_rounding_does_not_count_as_clamping():
    _, clamped = LIMITS.clamp_step(np.array([np.float32(0.1), 0.0]), np.zeros(2), dt=0.1)
    assert clamped == 0


@pytest.mark.parametrize("seed", range(5))
def test_no_sequence_of_targets_ever_leaves_the_limits(seed):
    rng = np.random.default_rng(seed)
    previous = rng.uniform(LIMITS.lower + 0.1, LIMITS.upper - 0.1)
    for _ in range(300):
        scale = 10.0 ** rng.uniform(-3, 300)
        target, _ = LIMITS.clamp_step(previous + scale * rng.standard_normal(2), previous, dt=0.1)
        assert np.all(target >= [-0.9, -1.9]) and np.all(target <= [0.9, 1.9])
        assert np.all(np.abs(target - previous) <= np.array([0.1, 0.3]) + 1e-12)
        previous = target


def test_from_spec_takes_position_limits_and_one_velocity_for_all():
    spec = ActionSpec(
        joint_names=("a", "b"), lower=(-1, -1), upper=(1, 1), position_lower=(-1, -2), position_upper=(1, 2)
    )
    limits = JointLimits.from_spec(spec, velocity=2.0, acceleration=3.0, margin=0.05)
    assert limits.names == ("a", "b") and limits.dim == 2 and limits.acceleration.tolist() == [3.0, 3.0]
    np.testing.assert_allclose([limits.low, limits.high], [[-0.95, -1.95], [0.95, 1.95]])
    np.testing.assert_array_equal(limits.velocity, [2.0, 2.0])
    np.testing.assert_array_equal(limits.upper, [1.0, 2.0])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"names": ("a", "a")}, "must be unique"),
        ({"names": ()}, "at least one"),
        ({"lower": [0.0]}, "lower must be 2 finite numbers"),
        ({"upper": [1.0, np.inf]}, "upper must be 2 finite numbers"),
        ({"velocity": [1.0, 0.0]}, "b: velocity is 0.0; it must be positive"),
        ({"lower": [0.9, -2.0]}, "a: position limits 0.9 to 1.0 leave no room for the margin 0.1"),
        ({"margin": -0.1}, "a: margin is -0.1"),
        ({"margin": [0.0, -0.1]}, "b: margin is -0.1"),
        ({"margin": float("nan")}, "margin must be 2 finite numbers"),
        ({"acceleration": [1.0, 0.0]}, "b: acceleration is 0.0; it must be positive"),
        ({"acceleration": [1.0]}, "acceleration must be 2 finite numbers"),
        ({"acceleration": np.inf}, "acceleration must be 2 finite numbers"),
        ({"max_step": -1.0}, "a: max_step is -1.0"),
    ],
)
def test_bad_limits_are_named(change, message):
    values = {
        "names": ("a", "b"),
        "lower": [-1.0, -2.0],
        "upper": [1.0, 2.0],
        "velocity": [1.0, 3.0],
        "acceleration": 5.0,
        "margin": 0.1,
    }
    with pytest.raises(JepaError, match=message):
        JointLimits(**{**values, **change})
