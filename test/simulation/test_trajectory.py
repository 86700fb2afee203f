"""The follower does what a joint trajectory controller does."""

import numpy as np
import pytest

from jepa_ros.errors import JepaError
from jepa_ros.simulation.arm import JOINT_NAMES, POSITION_LOWER, POSITION_UPPER, VELOCITY
from jepa_ros.simulation.trajectory import JointTrajectoryFollower

A = len(JOINT_NAMES)


def pose(value: float) -> np.ndarray:
    return np.full(A, value)


def follower(start: float = 0.0, now: float = 0.0, **limits) -> JointTrajectoryFollower:
    return JointTrajectoryFollower(pose(start), now, **limits)


def test_holds_the_start_without_a_trajectory():
    f = follower(0.3, now=5.0)
    np.testing.assert_array_equal(f.target(9.0), pose(0.3))
    assert f.done(9.0)


def test_interpolates_linearly_from_the_present_target_through_every_point():
    f = follower(0.1)
    assert f.accept(2.0, 0.0, [pose(0.3), pose(0.0)], [1.0, 2.0]) == 2
    wanted = {2.0: 0.1, 2.25: 0.15, 2.5: 0.2, 3.0: 0.3, 3.5: 0.15, 4.0: 0.0}
    for now, value in wanted.items():
        np.testing.assert_allclose(f.target(now), pose(value), atol=1e-12)


def test_holds_the_last_point_and_is_done_then():
    f = follower()
    f.accept(0.0, 0.0, [pose(0.2)], [1.0])
    assert not f.done(0.99)
    np.testing.assert_allclose(f.target(50.0), pose(0.2))
    assert f.done(50.0)


def test_every_joint_follows_its_own_column():
    f = follower()
    goal = np.linspace(-0.15, 0.3, A)
    f.accept(0.0, 0.0, goal[None], [1.0])
    np.testing.assert_allclose(f.target(0.5), goal / 2)


def test_a_new_trajectory_replaces_the_old_one_without_a_jump():
    f = follower()
    f.accept(0.0, 0.0, [pose(0.4), pose(-1.0)], [1.0, 2.0])
    before = f.target(0.5)
    f.accept(0.5, 0.0, [pose(0.0)], [1.0])
    np.testing.assert_allclose(before, pose(0.2))
    np.testing.assert_allclose(f.target(0.5), before)
    np.testing.assert_allclose(f.target(1.0), pose(0.1))
    np.testing.assert_allclose(f.target(9.0), pose(0.0))


def test_times_count_from_the_stamp():
    f = follower()
    f.accept(10.0, 10.5, [pose(0.1), pose(0.3)], [0.5, 1.5])
    np.testing.assert_allclose(f.target(10.5), pose(0.05))  # on the way to the first point at 11.0
    np.testing.assert_allclose(f.target(11.0), pose(0.1))
    np.testing.assert_allclose(f.target(11.5), pose(0.2))


def test_points_in_the_past_are_dropped():
    f = follower()
    assert f.accept(1.0, 0.5, [pose(-0.9), pose(0.9), pose(0.2)], [0.1, 0.5, 1.5]) == 1
    np.testing.assert_allclose(f.target(1.5), pose(0.1))
    np.testing.assert_allclose(f.target(2.0), pose(0.2))


def test_a_trajectory_that_is_wholly_late_leaves_the_old_one_running():
    f = follower()
    f.accept(0.0, 0.0, [pose(0.4)], [2.0])
    assert f.accept(1.0, 0.2, [pose(-1.0)], [0.5]) == 0
    np.testing.assert_allclose(f.target(2.0), pose(0.4))


def test_a_jump_is_slowed_to_the_velocity_limit_and_caught_up():
    f = follower(velocity=pose(2.0))
    f.accept(0.0, 0.0, [pose(0.0), pose(1.0)], [0.0, 0.01])
    targets = np.array([f.target(t) for t in np.arange(0.0, 1.001, 0.05)])
    assert np.abs(np.diff(targets, axis=0)).max() <= 2.0 * 0.05 + 1e-12
    np.testing.assert_allclose(f.target(0.25 + 1.0), pose(1.0))
    np.testing.assert_allclose(targets[5], pose(0.5))


def test_a_point_without_delay_is_approached_at_full_speed():
    f = follower()
    f.accept(1.0, 0.0, [pose(1.0)], [0.0])
    np.testing.assert_allclose(f.target(1.1), VELOCITY * 0.1)


def test_slow_motion_is_not_changed_by_the_velocity_limit():
    f = follower()
    f.accept(0.0, 0.0, [pose(0.12)], [0.1])
    np.testing.assert_allclose([f.target(t)[0] for t in (0.02, 0.05, 0.1)], [0.024, 0.06, 0.12])


def test_points_beyond_the_position_limits_are_clipped():
    f = follower()
    f.accept(0.0, 0.0, [pose(10.0), pose(-10.0)], [10.0, 30.0])
    np.testing.assert_allclose(f.target(10.0), POSITION_UPPER)
    np.testing.assert_allclose(f.target(30.0), POSITION_LOWER)


def test_a_start_beyond_the_position_limits_is_clipped():
    np.testing.assert_array_equal(follower(9.0).target(0.0), POSITION_UPPER)


def test_time_that_runs_backwards_gives_the_present_target():
    f = follower()
    f.accept(0.0, 0.0, [pose(0.4)], [1.0])
    now = f.target(0.5)
    np.testing.assert_array_equal(f.target(0.1), now)


def test_reset_forgets_trajectory_and_clock():
    f = follower()
    f.accept(100.0, 0.0, [pose(0.4)], [1.0])
    f.reset(pose(-0.1), now=0.0)
    np.testing.assert_array_equal(f.target(200.0), pose(-0.1))


def test_the_returned_target_is_the_callers_own():
    f = follower()
    f.target(1.0)[:] = 7.0
    np.testing.assert_array_equal(f.target(2.0), pose(0.0))


@pytest.mark.parametrize(
    "positions, times, word",
    [
        ([pose(np.nan)], [1.0], "NaN"),
        ([pose(np.inf)], [1.0], "NaN or Inf"),
        ([np.zeros(A - 1)], [1.0], "shape"),
        ([pose(0.0)], [1.0, 2.0], "shape"),
        (pose(0.0), [1.0], "shape"),
        (np.zeros((0, A)), [], "no points"),
        ([pose(0.0), pose(0.0)], [1.0, 1.0], "rise"),
        ([pose(0.0), pose(0.0)], [2.0, 1.0], "rise"),
        ([pose(0.0)], [-0.1], "rise"),
        ([pose(0.0)], [np.nan], "NaN"),
        ([["a"] * A], [1.0], "numbers"),
    ],
)
def test_bad_trajectories_are_refused_and_change_nothing(positions, times, word):
    f = follower()
    f.accept(0.0, 0.0, [pose(0.4)], [2.0])
    with pytest.raises(JepaError, match=word):
        f.accept(1.0, 0.0, positions, times)
    np.testing.assert_allclose(f.target(2.0), pose(0.4))


def test_bad_stamp_start_and_limits_are_refused():
    with pytest.raises(JepaError, match="stamp"):
        follower().accept(0.0, np.nan, [pose(0.0)], [1.0])
    with pytest.raises(JepaError, match="start"):
        JointTrajectoryFollower(np.zeros(3))
    with pytest.raises(JepaError, match="velocity"):
        follower(velocity=pose(0.0))
