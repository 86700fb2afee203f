"""Setpoints arrive where the path ends, and keep every limit on the way."""

import numpy as np
import pytest
from command_audit import CommandAudit

from jepa_ros.errors import JepaError
from jepa_ros.safety.limiter import SetpointLimiter, brake_speed
from jepa_ros.safety.limits import JointLimits

PERIOD = 0.02


def make(start=(0.0, 0.0), velocity=2.0, acceleration=10.0, **kwargs):
    limits = JointLimits(("a", "b"), [-1.0] * 2, [1.0] * 2, velocity, acceleration, 0.1, **kwargs)
    limiter = SetpointLimiter(limits, PERIOD, np.array(start))
    audit = CommandAudit(
        limits.low, limits.high, limits.velocity, limits.acceleration, PERIOD, limits.max_step
    )
    audit.restart(start)
    return limiter, audit


def drive(limiter, audit, seconds, time=0.0):
    """Positions and velocities (ticks, 2) of so many seconds."""
    positions, velocities = [], []
    for tick in range(round(seconds / PERIOD)):
        assert limiter.step(PERIOD)
        at = time + PERIOD * (tick + 1)
        audit.check(limiter.position, limiter.velocity, at, at)
        positions.append(limiter.position)
        velocities.append(limiter.velocity)
    assert not audit.violations, audit.violations
    return np.array(positions), np.array(velocities)


def test_it_arrives_exactly_and_rests():
    limiter, audit = make()
    limiter.follow(np.array([[0.1, -0.1], [0.2, -0.1], [0.3, 0.05]]), 0.1)
    positions, velocities = drive(limiter, audit, 0.8)
    np.testing.assert_array_equal(positions[-1], [0.3, 0.05])
    assert limiter.at_rest and not np.any(velocities[-1])
    assert np.max(positions[:, 0]) <= 0.3 and np.min(positions[:, 1]) >= -0.1, "it never goes beyond its path"


def test_a_fast_arm_lags_by_its_start_and_is_never_faster_than_its_path():
    limiter, audit = make(acceleration=40.0)
    limiter.follow(np.array([[0.1, 0.0], [0.2, 0.0], [0.3, 0.0], [0.4, 0.0]]), 0.1)
    positions, velocities = drive(limiter, audit, 0.5)
    lag = np.minimum(np.arange(1, 26) * 0.02, 0.4) - positions[:, 0]
    assert np.all(lag >= -1e-9) and np.all(lag <= 1.0**2 / (2 * 40.0) + 1e-9)
    assert velocities[:, 0].max() == pytest.approx(1.0) and positions[-1, 0] == 0.4


def test_a_slower_piece_of_the_path_is_where_it_catches_up():
    limiter, audit = make(acceleration=40.0)
    limiter.follow(np.array([[0.1, 0.0], [0.15, 0.0], [0.2, 0.0], [0.25, 0.0]]), 0.1)
    positions, _ = drive(limiter, audit, 0.36)
    np.testing.assert_allclose(positions[9:, 0], 0.1 + np.arange(5, 14) * 0.01, atol=1e-6)


def test_nothing_drifts_over_many_paths():
    limiter, audit = make(acceleration=40.0)
    rng, wanted = np.random.default_rng(0), np.zeros(2)
    for block in range(50):
        targets = np.clip(wanted + np.cumsum(rng.uniform(-0.1, 0.1, (4, 2)), axis=0), -0.9, 0.9)
        limiter.follow(targets, 0.1)
        drive(limiter, audit, 0.6, time=block * 0.6)
        wanted = targets[-1]
        np.testing.assert_array_equal(limiter.position, wanted)


def test_a_target_beyond_the_position_limit_ends_at_the_limit():
    limiter, audit = make(start=(0.8, 0.0), velocity=5.0)
    limiter.follow(np.array([[9.0, -9.0]]), 0.1)
    positions, _ = drive(limiter, audit, 2.0)
    np.testing.assert_allclose(positions[-1], [0.9, -0.9])


def test_a_joint_outside_its_limits_comes_back_and_goes_no_farther():
    limiter, audit = make(start=(0.97, -1.3))
    limiter.follow(np.array([[2.0, -2.0]]), 0.1)
    np.testing.assert_array_equal(drive(limiter, audit, 1.0)[0][-1], [0.97, -1.3])
    limiter.follow(np.array([[0.9, -1.1], [0.9, -0.9]]), 0.1)
    positions, _ = drive(limiter, audit, 1.0, time=1.0)
    assert np.all(np.diff(positions[:, 0]) <= 0) and np.all(np.diff(positions[:, 1]) >= 0)
    np.testing.assert_allclose(positions[-1], [0.9, -0.9])


def test_braking_takes_the_least_time_that_the_acceleration_allows():
    limiter, audit = make()
    limiter.follow(np.array([[0.8, 0.0]]), 0.4)
    drive(limiter, audit, 0.14)
    speed = limiter.velocity[0]
    limiter.brake()
    _, velocities = drive(limiter, audit, 0.3, time=0.14)
    np.testing.assert_allclose(velocities[:3, 0], speed - 10.0 * PERIOD * np.arange(1, 4))
    assert limiter.at_rest


def test_a_new_path_while_moving_joins_without_a_jump():
    limiter, audit = make()
    limiter.follow(np.array([[0.4, 0.2]]), 0.3)
    drive(limiter, audit, 0.16)
    limiter.follow(limiter.position + np.array([[-0.3, 0.4]]), 0.2)
    drive(limiter, audit, 1.0, time=0.16)


def test_late_steps_never_jump_and_a_stall_starts_from_rest():
    limiter, audit = make(velocity=1.0)
    limiter.follow(np.array([[0.8, 0.0]]), 0.8)
    drive(limiter, audit, 0.2)
    before, time = limiter.position, 0.2
    for elapsed in (0.035, 0.001, 0.5, 0.02, 30.0):
        limiter.step(elapsed)
        time += elapsed
        audit.check(limiter.position, limiter.velocity, time, time)
        assert np.all(np.abs(limiter.position - before) <= 1.0 * PERIOD + 1e-9)
        before = limiter.position
    assert limiter.velocity[0] == pytest.approx(10.0 * PERIOD), "as the first step from rest"
    assert not audit.violations


def test_the_largest_step_bounds_the_speed():
    limiter, audit = make(max_step=0.004)
    limiter.follow(np.array([[0.5, 0.0]]), 0.1)
    positions, _ = drive(limiter, audit, 1.0)
    assert np.max(np.diff(positions[:, 0])) == pytest.approx(0.004)


def test_a_forbidden_step_changes_nothing():
    limiter, _ = make()
    limiter.follow(np.array([[0.5, 0.0]]), 0.1)
    before = limiter.position
    assert not limiter.step(PERIOD, lambda position, velocity: False)
    assert limiter.position is before and not np.any(limiter.velocity) and limiter.path_time == 0
    assert limiter.step(PERIOD, lambda position, velocity: velocity[0] > 0)


def test_many_arms_at_once_move_as_each_alone():
    starts = np.random.default_rng(1).uniform(-0.5, 0.5, (4, 2))
    targets = starts + np.random.default_rng(2).uniform(-0.5, 0.5, (3, 4, 2)).cumsum(axis=0)
    together = SetpointLimiter(make()[0].limits, PERIOD, starts)
    together.follow(targets, 0.1)
    alone = [make(start)[0] for start in starts]
    for limiter, one in zip(alone, targets.swapaxes(0, 1), strict=True):
        limiter.follow(one, 0.1)
    for _ in range(60):
        together.step(PERIOD)
        for limiter in alone:
            limiter.step(PERIOD)
        np.testing.assert_array_equal(together.position, [limiter.position for limiter in alone])


def test_the_braking_speed_leaves_room_to_brake():
    distance = np.array([0.0, 1e-9, 1e-3, 0.5])
    speed = brake_speed(distance, 10.0, PERIOD)
    np.testing.assert_allclose(speed * PERIOD + speed**2 / 20.0, distance, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_asked_and_however_irregular_the_steps_no_limit_is_passed(seed):
    rng = np.random.default_rng(seed)
    for _ in range(10):
        limits = JointLimits(
            tuple("abc"), [-1.0] * 3, [1.0] * 3, rng.uniform(0.3, 5, 3), 10 ** rng.uniform(0, 2, 3), 0.05
        )
        limiter = SetpointLimiter(limits, PERIOD, rng.uniform(-1.1, 1.1, 3))
        audit = CommandAudit(limits.low, limits.high, limits.velocity, limits.acceleration, PERIOD)
        audit.restart(limiter.position)
        time = 0.0
        for _ in range(200):
            if rng.random() < 0.08:
                scale = rng.choice([0.1, 1, 1e300])
                limiter.follow(limiter.position + scale * rng.uniform(-1, 1, (4, 3)), 0.1)
            elif rng.random() < 0.03:
                limiter.brake()
            elapsed = rng.choice([0.02, 0.001, 0.03, 0.2, rng.uniform(0.001, 0.05)])
            time += elapsed
            limiter.step(elapsed)
            audit.check(limiter.position, limiter.velocity, time, time)
        assert not audit.violations, audit.violations


def test_a_period_must_be_positive():
    with pytest.raises(JepaError, match="period is 0"):
        SetpointLimiter(make()[0].limits, 0.0, np.zeros(2))
