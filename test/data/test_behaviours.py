"""Commanded targets: within bounds, clear, mixed as documented, and the same for the same seed."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from jepa_ros.data.behaviours import BEHAVIOURS, PATTERN, Scene, commanded_targets

FRAMES = 200


def targets_of(behaviour, start, frames, scene):
    """(frames, A) rad."""
    return np.array(list(islice(commanded_targets(behaviour, start, scene), frames)))


@pytest.fixture
def make_scene(spec):
    """(seed, is_clear) -> Scene with goals anywhere in +-1.5 rad."""

    def make(seed: int = 0, is_clear=lambda joints: True) -> Scene:
        rng = np.random.default_rng(seed)
        return Scene(spec, lambda: rng.uniform(-1.5, 1.5, 3), is_clear, rng)

    return make


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
@pytest.mark.parametrize("seed", range(4))
def test_actions_keep_bounds_limits_and_clearance(spec, make_scene, behaviour, seed):
    def is_clear(joints):
        return joints[1] >= -0.5

    targets = targets_of(behaviour, np.zeros(3), FRAMES, make_scene(seed, is_clear))
    actions = np.diff(targets, axis=0)
    assert np.array_equal(targets[0], np.zeros(3))
    assert np.all(actions >= np.array(spec.lower) - 1e-12) and np.all(actions <= np.array(spec.upper) + 1e-12)
    assert np.all(targets >= spec.position_lower) and np.all(targets <= spec.position_upper)
    assert targets[:, 1].min() >= -0.5
    assert np.abs(actions).max() > 0.001


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_the_same_seed_gives_the_same_targets(make_scene, behaviour):
    first, same, other = (targets_of(behaviour, np.zeros(3), 40, make_scene(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_scripted_episodes_reach_their_goals_in_straight_lines(make_scene):
    scene = make_scene(3)
    goals = []

    def sample_goal(draw=scene.sample_goal):
        goals.append(draw())
        return goals[-1]

    scene.sample_goal = sample_goal
    targets = targets_of("scripted", np.zeros(3), FRAMES, scene)
    reached = [int(np.argmin(np.abs(targets - g).max(axis=1))) for g in goals[:2]]
    assert np.abs(targets[reached[0]] - goals[0]).max() < 1e-9
    assert np.abs(targets[reached[1]] - goals[1]).max() < 1e-9
    line = targets[: reached[0] + 1]
    part = line[:, 0] / goals[0][0]
    assert np.allclose(line, part[:, None] * goals[0], atol=1e-9)


def test_scripted_episodes_avoid_goals_behind_an_obstacle(make_scene):
    def is_clear(joints):
        return not 0.3 < joints[0] < 0.5

    for seed in range(5):
        targets = targets_of("scripted", np.zeros(3), FRAMES, make_scene(seed, is_clear))
        assert targets[:, 0].max() <= 0.3


def test_fine_motion_stays_small_and_near_its_pose(spec, make_scene):
    targets = targets_of("fine", np.ones(3), FRAMES, make_scene())
    assert np.abs(np.diff(targets, axis=0)).max() <= 0.3 * spec.upper[0] + 1e-9
    assert np.abs(targets - 1.0).max() < 0.6


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_every_behaviour_stops_now_and_then(make_scene, behaviour):
    targets = targets_of(behaviour, np.zeros(3), 400, make_scene())
    still = np.all(np.diff(targets, axis=0) == 0, axis=1)
    assert 0.02 < still.mean() < 0.6


def test_the_mixture_is_half_scripted_and_a_quarter_each_of_the_rest():
    count = Counter(PATTERN)
    assert set(count) == set(BEHAVIOURS)
    assert count["scripted"] == len(PATTERN) / 2
    assert count["noisy"] == count["smooth"] + count["fine"] == len(PATTERN) / 4
