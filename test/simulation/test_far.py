"""Task far: no way to its goals is shorter than 100 raw actions, and one who knows the joints gets there in time."""

import numpy as np
import pytest

from jepa_ros.evaluation.runner import Bench, Settings
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import REACH, FarTask, Goal, direct_path_is_free, make_task


@pytest.fixture(scope="module")
def episodes():
    task = make_task("far")
    return [task.episode(seed) for seed in range(1000, 1030)]


def test_episodes_are_their_seeds_and_not_those_of_reach(episodes):
    again = make_task("far").episode(1000)
    assert [pose.to_dict() for pose in again] == [pose.to_dict() for pose in episodes[0]]
    assert len({goal.joints.tobytes() for _, goal in episodes}) == len(episodes)
    reach = {make_task("reach").episode(seed)[1].joints.tobytes() for seed in range(1000, 1030)}
    assert not reach & {goal.joints.tobytes() for _, goal in episodes}


def test_every_way_takes_100_raw_actions_and_is_free(episodes):
    task = FarTask()
    for start, goal in episodes:
        travel = np.abs(start.joints - goal.joints).max()
        assert 99 < (travel - task.tolerance / task.lever) / task.step
        assert task.actions(start, goal) >= 100 and task.actions(goal, goal) == 0
        assert direct_path_is_free(start.joints, goal.joints)
        for pose in (start, goal):
            assert np.all(pose.joints >= REACH.joints_lower) and np.all(pose.joints <= REACH.joints_upper)
    assert task.blocks * 4 >= 1.5 * max(task.actions(*episode) for episode in episodes)


def test_the_worst_joint_counts(episodes):
    _, goal = episodes[0]
    with Simulator("far") as simulator:
        assert simulator.cube is None
        for joint in range(6):
            off = goal.joints.copy()
            off[joint] += 0.1
            simulator.reset(Goal(off, goal.end_effector))
            assert FarTask().error(simulator, goal) == pytest.approx(0.02)


def test_all_agents_are_held_to_the_tasks_pace_and_the_goal_is_within_reach():
    bench = Bench(Settings("far", None, "oracle", PlannerConfig(), blocks=FarTask.blocks))
    try:
        assert bench.pace == pytest.approx(0.125)
        agent = bench.agent("true_joints")
        assert max(agent.spec.upper) == -min(agent.spec.lower) == pytest.approx(0.015)
        assert max(bench.agent("oracle").planner.spec.upper) == pytest.approx(0.015)
        result = bench.run("true_joints", 1000)
    finally:
        bench.close()
    assert result.success and result.blocks >= 25


def test_other_tasks_leave_the_bounds_to_the_robot():
    bench = Bench(Settings("reach", None, "oracle", PlannerConfig(speed=0.5)))
    assert bench.pace == 1
    assert max(bench.agent("no_op").spec.upper) == pytest.approx(0.12)
    assert max(bench.agent("oracle").planner.spec.upper) == pytest.approx(0.06)
    assert make_task("reach").blocks == 30
