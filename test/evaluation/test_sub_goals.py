"""Sub-goals in the offline closed loop, which the live graph shares: the shipped model goes by way of them."""

import dataclasses

import numpy as np
import pytest

from jepa_ros.costs.energy import DEFAULT_WEIGHTS
from jepa_ros.evaluation.closed_loop import run_episode
from jepa_ros.evaluation.runner import PLANNER, Bench, Settings
from jepa_ros.nodes.bringup.graph import find_checkpoint
from jepa_ros.planning.config import PlannerConfig
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
