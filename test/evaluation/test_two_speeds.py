"""The shipped model with a policy that knows nothing: hybrid reaches what search reaches, and says who planned."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from jepa_ros.costs.energy import DEFAULT_WEIGHTS, Energy
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.agents import PlannerAgent
from jepa_ros.evaluation.report import rows, summarise, table
from jepa_ros.evaluation.runner import PLANNER, Bench, Settings
from jepa_ros.nodes.bringup.graph import find_checkpoint
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.world_model.checkpoint import load_checkpoint, save_heads
from jepa_ros.world_model.heads import Heads, HeadsConfig
from jepa_ros.world_model.model import WorldModel

SEEDS = (1000, 1001)
N = 4


@pytest.fixture(scope="module")
def with_heads(tmp_path_factory):
    """The shipped checkpoint, and heads of random weights beside it."""
    folder = tmp_path_factory.mktemp("heads") / "reach"
    shutil.copytree(find_checkpoint("reach"), folder)
    checkpoint = load_checkpoint(folder)
    torch.manual_seed(1)
    config = HeadsConfig(width=16, depth=1, hypotheses=N, horizon=3)
    save_heads(folder, Heads(config, checkpoint.model.latent_dim, checkpoint.model.context, checkpoint.spec))
    return folder


def run(folder, **planner):
    settings = Settings(
        "reach", str(folder), "checkpoint", PlannerConfig(**planner), dict(DEFAULT_WEIGHTS), blocks=15
    )
    bench = Bench(settings)
    try:
        return [bench.run(PLANNER, seed) for seed in SEEDS]
    finally:
        bench.simulator.close()


def test_a_useless_policy_does_not_harm_hybrid_and_the_share_is_told(with_heads):
    results = run(with_heads)
    assert all(result.success for result in results)
    figures = summarise(results)
    makers = [maker for result in results for maker in result.made_by]
    assert len(makers) == sum(result.blocks for result in results) == sum(len(r.candidates) for r in results)
    assert set(makers) <= {"policy", "search", "keep"} and makers.count("search") > len(makers) / 2
    made_anew = makers.count("policy") + makers.count("search")
    assert figures["policy_share"] == makers.count("policy") / made_anew
    assert figures["searches_per_episode"] == makers.count("search") / len(SEEDS)
    assert f"{figures['policy_share']:.0%} of plans" in table({"planner": figures})
    assert rows(results)[0]["made_by"] == results[0].made_by
    config = PlannerConfig()
    searched = [n for r in results for n, m in zip(r.candidates, r.made_by, strict=True) if m == "search"]
    assert set(searched) <= {config.samples * config.iterations + N + 1 + kept for kept in (0, 1)}


def test_the_policy_alone_imagines_its_proposals_only(with_heads):
    (result, *_) = run(with_heads, mode="policy", replan="always")
    assert set(result.made_by) == {"policy"} and set(result.candidates) == {N + 1}
    assert summarise([result])["policy_share"] == 1.0


def test_search_and_a_checkpoint_without_heads_plan_as_before(with_heads):
    searched, without = run(with_heads, mode="search"), run(find_checkpoint("reach"))
    for ours, theirs in zip(searched, without, strict=True):
        assert (ours.seconds, ours.final_error_m) == (theirs.seconds, theirs.final_error_m)
        assert ours.made_by == theirs.made_by and "policy" not in ours.made_by
    with pytest.raises(JepaError, match="mode policy needs heads"):
        run(find_checkpoint("reach"), mode="policy")


def test_gradients_pass_through_the_torch_model_whatever_computes_rollouts(with_heads):
    bench = Bench(Settings("reach", str(with_heads), "checkpoint", PlannerConfig(), dict(DEFAULT_WEIGHTS)))
    checkpoint, made = bench.checkpoint, []
    assert checkpoint.model.runtime == "onnx" and isinstance(checkpoint.network, WorldModel)
    image, goal = bench.simulator.render(), bench.simulator.goal_image(bench.task.episode(3)[1])
    for steps in (0, 4):
        config = replace(PlannerConfig(mode="search", seed=3), refine_steps=steps)
        agent = PlannerAgent(checkpoint, config, Energy(checkpoint.spec))
        agent.reset(goal, 3)
        agent.act(image, np.zeros(checkpoint.spec.dim))
        made.append(agent.episode.solution)
    assert made[1].cost < made[0].cost and made[1].evaluations == made[0].evaluations + config.refine_best
