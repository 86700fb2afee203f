"""Sub-goals in the offline closed loop, which the live graph shares: the shipped model goes by way of them."""

import dataclasses

import numpy as np
import pytest

from jepa_ros.costs.energy import DEFAULT_WEIGHTS, Energy
from jepa_ros.evaluation.agents import PlannerAgent
from jepa_ros.evaluation.closed_loop import run_episode
from jepa_ros.evaluation.runner import PLANNER, Bench, Settings
from jepa_ros.nodes.bringup.graph import find_checkpoint
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.sub_goals import SubGoalSettings
from jepa_ros.planning.trigger import Cause

SEED = 8


@pytest.fixture(scope="module")
def bench():
    checkpoint = str(find_checkpoint("reach"))
    return Bench(
        Settings("reach", checkpoint, "checkpoint", PlannerConfig(mode="search"), dict(DEFAULT_WEIGHTS))
    )


@pytest.fixture
def agent(bench, monkeypatch):
    """The planner; its ``pursued`` are what it pursued at every look."""
    agent, act = bench.agent(PLANNER), bench.agent(PLANNER).act
    agent.pursued = []

    def noted(image, proprio):
        actions = act(image, proprio)
        agent.pursued.append(agent.episode.sub_goals.index)
        return actions

    monkeypatch.setattr(agent, "act", noted)
    return agent


def episode(bench, agent, shares):
    """An episode by way of these shares of the way from start to goal."""
    simulator = bench.simulator
    start, goal = bench.task.episode(SEED)
    way = np.subtract(goal.joints, start.joints)
    sub_goals = [dataclasses.replace(goal, joints=np.array(start.joints) + share * way) for share in shares]
    return run_episode(simulator, bench.task, agent, SEED, 60, PLANNER, sub_goals=sub_goals)


def test_sub_goals_are_passed_in_their_order_on_the_way_to_the_goal(bench, agent):
    direct = episode(bench, agent, [])
    assert direct.success and set(agent.pursued) == {0}
    agent.pursued.clear()
    # Past half of the way, back, and on: only one who goes by way of them turns back.
    by_way = episode(bench, agent, [0.6, 0.2])
    assert by_way.success and by_way.blocks > direct.blocks
    assert sorted(agent.pursued) == agent.pursued and set(agent.pursued) == {0, 1, 2}
    ways, causes = agent.episode.sub_goals, agent.episode.causes
    assert (ways.advances, ways.fallbacks) == (2, 0)
    assert causes[Cause.NO_PLAN] >= 3  # each is planned for anew


class Carried:
    """A camera that shows the arm elsewhere at every look: at ``shares`` of the way from start to goal."""

    def __init__(self, simulator, places):
        self.simulator, self.places = simulator, iter(places)
        self.goal_image = simulator.goal_image

    def render(self):
        return self.simulator.goal_image(next(self.places))


def test_a_goal_that_is_lost_once_too_often_ends_the_episode_as_live(bench):
    simulator, task = bench.simulator, bench.task
    start, goal = task.episode(SEED)
    way = np.subtract(goal.joints, start.joints)
    at = {
        share: dataclasses.replace(goal, joints=np.array(start.joints) + share * way) for share in (0.0, 0.6)
    }
    settings = SubGoalSettings(lost_factor=1.0, lost_looks=1, max_fallbacks=0)
    agent = PlannerAgent(
        bench.checkpoint, PlannerConfig(mode="search"), Energy(bench.checkpoint.spec), None, settings
    )
    view = Carried(simulator, [at[0.0], at[0.6], at[0.0], at[0.0]])
    found = run_episode(simulator, task, agent, SEED, 60, PLANNER, view=view, sub_goals=[at[0.6]])
    assert "the goal was lost again" in agent.gave_up and agent.made_by == "hold"
    assert not found.success and found.blocks == len(found.plan_ms) == len(found.made_by) == 2
    agent.reset(simulator.goal_image(goal), SEED)
    assert not agent.gave_up
