"""Starts and goals: valid, in view, repeatable, never already solved, never those of the training data."""

import json

import numpy as np
import pytest

from jepa_ros.errors import JepaError
from jepa_ros.simulation.arm import POSITION_LOWER, POSITION_UPPER
from jepa_ros.simulation.kinematics import ArmKinematics
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import MIN_TRAVEL, REACH, Goal, make_task

SEEDS = range(300)


@pytest.fixture(scope="module")
def arm():
    return ArmKinematics()


@pytest.fixture(scope="module")
def reach_episodes():
    task = make_task("reach")
    return [task.episode(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def push_episodes():
    task = make_task("push")
    return [task.episode(seed) for seed in range(60)]


def assert_same_goal(a: Goal, b: Goal):
    assert a.to_dict() == b.to_dict()


@pytest.mark.parametrize("name", ["reach", "push"])
def test_an_episode_is_its_seed(name):
    for seed in (0, 1, 1000):
        for first, second in zip(make_task(name).episode(seed), make_task(name).episode(seed), strict=True):
            assert_same_goal(first, second)
    assert not np.allclose(make_task(name).episode(0)[1].joints, make_task(name).episode(1)[1].joints)


@pytest.mark.parametrize("name", ["reach", "push"])
def test_collection_never_draws_what_evaluation_draws(name):
    task = make_task(name)
    evaluated = {pose.joints.tobytes() for seed in range(50) for pose in task.episode(seed)}
    collected = set()
    for seed in range(50):
        rng = task.collection_rng(seed)
        collected |= {task.sample_start(rng).joints.tobytes(), task.sample_goal(rng).joints.tobytes()}
    assert len(evaluated) == len(collected) == 100
    assert not evaluated & collected


def test_reach_poses_are_valid_and_in_view(reach_episodes, arm):
    for episode in reach_episodes:
        for pose in episode:
            assert np.all(pose.joints > POSITION_LOWER + 0.1) and np.all(pose.joints < POSITION_UPPER - 0.1)
            arm.move(pose.joints)
            np.testing.assert_allclose(arm.end_effector, pose.end_effector, atol=1e-12)
            assert pose.cube is None
            assert pose.end_effector[0] >= 0.1 and pose.end_effector[2] >= 0.04
            assert arm.clearance() >= 0.02
            assert not arm.collides()
            assert arm.view_margin() > 0


def test_reach_goals_vary_in_every_joint_and_fill_the_workspace(reach_episodes):
    joints = np.array([goal.joints for _, goal in reach_episodes])
    assert np.all(np.ptp(joints, axis=0) > 1.0)
    spread = np.ptp(np.array([goal.end_effector for _, goal in reach_episodes]), axis=0)
    assert np.all(spread > 0.8 * (np.array(REACH.end_effector_upper) - REACH.end_effector_lower))


def test_no_reach_episode_is_solved_at_its_start(reach_episodes):
    with Simulator() as sim:
        for start, goal in reach_episodes:
            sim.reset(start)
            assert make_task("reach").error(sim, goal) > MIN_TRAVEL


def test_every_reach_goal_is_reached_by_the_servos_and_the_direct_path(reach_episodes):
    task = make_task("reach")
    with Simulator() as sim:
        for start, goal in reach_episodes[:40]:
            sim.reset(goal)
            wanted = sim.target  # what holds the arm at the goal against its weight
            sim.reset(start)
            first = sim.target
            for part in np.linspace(0, 1, 31)[1:]:
                sim.set_target(first + part * (wanted - first))
                sim.advance(0.1)
            sim.advance(0.5)
            assert task.error(sim, goal) < 0.005


def test_the_camera_sees_every_joint_of_every_goal_move(reach_episodes):
    # Worst joint of the worst of 40 goals: so many pixels change clearly when the joint turns by 0.1 rad.
    with Simulator() as sim:
        for _, goal in reach_episodes[:40]:
            image = sim.goal_image(goal).astype(int)
            for joint in range(len(goal.joints)):
                turned = Goal(goal.joints + 0.1 * np.eye(len(goal.joints))[joint], goal.end_effector)
                changed = np.abs(sim.goal_image(turned) - image).max(axis=2) > 12
                assert changed.sum() >= 4, f"joint {joint} at {goal.joints}"


def test_push_episodes_are_valid_and_in_view(push_episodes):
    task = make_task("push")
    arm = ArmKinematics("push")
    with Simulator("push", (128, 128)) as sim:
        parked = push_episodes[0][0]
        away = Goal(parked.joints, parked.end_effector, np.array([-3.0, 0.0, 0.02]))
        for start, goal in push_episodes:
            for pose in (start, goal):
                arm.move(pose.joints, pose.cube[:2])
                assert not arm.collides()
                assert arm.clearance() > 0.005
            assert goal.end_effector[2] < 0.06
            assert 0.06 <= np.linalg.norm(goal.cube - start.cube) <= 0.15
            sim.reset(start)
            assert task.error(sim, goal) > task.tolerance
            sim.reset(goal)
            assert task.error(sim, goal) < 1e-9
            with_cube = Goal(away.joints, away.end_effector, goal.cube, goal.cube_yaw)
            shown = np.abs(sim.goal_image(with_cube).astype(int) - sim.goal_image(away)).max(axis=2) > 30
            rows, columns = np.nonzero(shown)
            assert shown.sum() > 20
            assert rows.min() > 0 and rows.max() < 127 and columns.min() > 0 and columns.max() < 127


def test_goals_survive_json():
    for name in ("reach", "push"):
        _, goal = make_task(name).episode(4)
        assert_same_goal(Goal.from_dict(json.loads(json.dumps(goal.to_dict()))), goal)


@pytest.mark.parametrize("seed", [-1, 1.5, "1"])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(JepaError, match="seed"):
        make_task("reach").episode(seed)


def test_an_unknown_task_is_refused_by_name():
    with pytest.raises(JepaError, match="juggle.*reach, push"):
        make_task("juggle")
