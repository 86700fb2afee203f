"""Several futures of every candidate, from the world model through the cost node: the numbers of the model and the energy."""

import numpy as np
import pytest
from jepa_ros.msg import ActionCandidates, CandidateCosts, Goal, LatentRollouts
from node_bench import make_checkpoint, make_spec
from test_compositions import frames, one_plan, require_equal_plans  # noqa: F401
from test_world_model_and_cost import A, D, H, S, arrays, candidates, goal_message  # noqa: F401

from jepa_ros.costs.energy import Energy
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.costs.risk import Risk
from jepa_ros.errors import JepaError
from jepa_ros.export.choose import with_runtime
from jepa_ros.export.writer import export_checkpoint
from jepa_ros.nodes.cost import CostNode
from jepa_ros.nodes.wire import qos, tensor
from jepa_ros.nodes.world_model import WorldModelNode
from jepa_ros.planning.memory import Context
from jepa_ros.world_model.checkpoint import load_checkpoint
from jepa_ros.world_model.futures import Futures

F = 5
GOAL = np.linspace(-1, 1, D).astype(np.float32)
MIX = {"risk": "mix", "risk_weight": 0.7, "risk_tail": 0.4}


@pytest.fixture(scope="module")
def uncertain(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("uncertain"), codes=4)


def test_costs_through_the_graph_are_those_of_all_futures_bit_for_bit(world, uncertain, arrays):  # noqa: F811
    world.make(WorldModelNode, parameters={"checkpoint": uncertain, "futures": F, "futures_seed": 3})
    world.make(CostNode, parameters=MIX)
    costs, rollouts = world.listen(CandidateCosts, "costs"), world.listen(LatentRollouts, "rollouts")
    ask = world.talk(ActionCandidates, "candidates", qos.LATENT)
    world.talk(Goal, "goal", qos.GOAL).publish(goal_message("g", GOAL))
    ask.publish(candidates(uncertain, arrays))
    answer, imagined = costs.wait(), rollouts.wait()
    assert tensor.from_msg(imagined.latents).shape == (F, S, H, D)
    assert tensor.from_msg(imagined.proprio).shape == (F, S, H, A)
    model = load_checkpoint(uncertain).model
    model.futures = Futures(F, 3)
    evaluator = LatentEvaluator(
        model,
        Energy(make_spec(), risk=Risk("mix", 0.7, 0.4)),
        Context(arrays["context_latents"], arrays["context_proprio"], arrays["context_actions"], 2, 0.0),
        GOAL,
        "min",
    )
    totals = evaluator.evaluate(arrays["actions"])
    np.testing.assert_array_equal(tensor.from_msg(answer.totals), totals)
    assert tensor.from_msg(answer.steps)[1].tolist() == evaluator.steps((0, 1))
    np.testing.assert_allclose(tensor.from_msg(answer.terms).sum(0), totals, rtol=1e-5)
    following = evaluator.predicted((0, int(totals.argmin())))
    np.testing.assert_array_equal(tensor.from_msg(answer.best_next), following)
    assert following.shape == (F, D)


def test_rollouts_whose_futures_do_not_fit_are_dropped_and_named(world):
    node = world.make(CostNode, parameters={"weights.effort": 1.0})
    latents, proprio, actions = (
        np.zeros((*axes, S, H, width), np.float32) for axes, width in (((F,), D), ((F,), A), ((), 24))
    )
    for wrong in (
        dict(proprio=proprio[1:]),
        dict(proprio=proprio[0]),
        dict(latents=latents[:0], proprio=proprio[:0]),
        dict(latents=latents[None], proprio=proprio[None]),
        dict(actions=actions[1:]),
        dict(actions=actions[None]),
    ):
        parts = {"latents": latents, "proprio": proprio, "actions": actions} | wrong
        msg = LatentRollouts(**{name: tensor.to_msg(name, parts[name]) for name in ("latents", "proprio")})
        with pytest.raises(JepaError, match="rollouts dropped: latents, proprio and actions"):
            node._answer(msg, GOAL, parts["actions"])


def test_same_seed_same_plan_in_both_compositions(uncertain, frames):  # noqa: F811
    (distributed, graph, _), (single, alone, _) = (
        one_plan(composition, uncertain, frames) for composition in ("distributed", "single")
    )
    require_equal_plans(distributed, single)
    assert tensor.from_msg(single[0].predicted.latent).shape == (Futures().count, D)


def test_torch_computes_a_model_with_futures_and_says_so(uncertain):
    checkpoint, said = load_checkpoint(uncertain), []
    assert with_runtime(checkpoint, "auto", say=said.append) is checkpoint
    assert "no ONNX export" in said[0]
    for refused in (lambda: with_runtime(checkpoint, "onnx"), lambda: export_checkpoint(checkpoint)):
        with pytest.raises(JepaError, match="no ONNX export"):
            refused()


def test_a_risk_that_is_none_is_refused(world):
    with pytest.raises(JepaError, match="risk"):
        world.make(CostNode, start=False, parameters={"risk": "best"})
