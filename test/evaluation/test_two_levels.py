"""Two levels in the offline closed loop: the shipped model with a slow level of random weights."""

import shutil

import numpy as np
import pytest
import torch

from jepa_ros.costs.energy import DEFAULT_WEIGHTS
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.runner import PLANNER, Bench, Settings
from jepa_ros.nodes.bringup.graph import find_checkpoint
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.world_model.checkpoint import load_checkpoint, save_heads
from jepa_ros.world_model.heads import Heads, HeadsConfig


def with_heads(folder, **config):
    """The shipped checkpoint, and heads of random weights beside it."""
    shutil.copytree(find_checkpoint("reach"), folder)
    checkpoint = load_checkpoint(folder)
    torch.manual_seed(1)
    small = HeadsConfig(**{"width": 16, "policy_width": 16, "depth": 1} | config)
    save_heads(folder, Heads(small, checkpoint.model.latent_dim, checkpoint.model.context, checkpoint.spec))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return with_heads(tmp_path_factory.mktemp("slow") / "reach", stride=5, macro=4)


def bench(folder, **planner):
    config = PlannerConfig(**{"mode": "search", "levels": 2} | planner)
    return Bench(Settings("reach", str(folder), "checkpoint", config, dict(DEFAULT_WEIGHTS), blocks=5))


def aims(bench, seed=1000):
    """The episode, and what every look of it was planned for."""
    agent = bench.agent(PLANNER)
    act, found = agent.act, []

    def noted(image, proprio):
        actions = act(image, proprio)
        found.append(agent.episode._made.goal)
        return actions

    agent.act = noted
    try:
        return bench.run(PLANNER, seed), np.array(found), agent
    finally:
        agent.act = act


def test_targets_of_the_slow_level_are_planned_for_and_the_same_every_time(folder):
    made = bench(folder, near_blocks=0.0, target_looks=2)
    result, found, agent = aims(made)
    assert result.blocks == 5 and agent.episode.hierarchy.asked >= 3
    assert not any(np.array_equal(aim, agent.goal) for aim in found[:4])
    assert np.array_equal(found[0], found[1]) and not np.array_equal(found[1], found[2])
    _, again, _ = aims(made)
    np.testing.assert_array_equal(found, again)
    made.close()


def test_where_the_goal_is_always_near_two_levels_are_one(folder):
    near, flat = bench(folder, near_blocks=1e6), bench(folder, levels=1)
    (two, aimed, agent), (one, *_) = aims(near), aims(flat)
    assert agent.episode.hierarchy.asked >= 2 and all(np.array_equal(aim, agent.goal) for aim in aimed)
    assert (two.final_error_m, two.candidates) == (one.final_error_m, one.candidates)
    near.close()
    flat.close()


def test_a_checkpoint_without_a_slow_level_is_refused(tmp_path):
    with pytest.raises(JepaError, match="levels: 2 needs heads"):
        bench(find_checkpoint("reach")).agent(PLANNER)
    with pytest.raises(JepaError, match="levels: 2 needs a slow level"):
        bench(with_heads(tmp_path / "reach")).agent(PLANNER)
