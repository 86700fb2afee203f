"""Cost terms that are heads, in the cost node: the checkpoint's, for rollouts of the checkpoint's model alone."""

import shutil

import numpy as np
import pytest
from jepa_ros.msg import ActionCandidates, CandidateCosts, Goal, LatentRollouts
from node_bench import add_heads
from test_world_model_and_cost import A, D, H, S, arrays, candidates, goal_message  # noqa: F401

from jepa_ros.costs.energy import Energy
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.errors import JepaError
from jepa_ros.nodes.cost import CostNode
from jepa_ros.nodes.wire import qos, tensor
from jepa_ros.nodes.world_model import WorldModelNode
from jepa_ros.planning.memory import Context
from jepa_ros.world_model.checkpoint import load_checkpoint

WEIGHTS = {"goal_distance": 0.0, "joint_limit": 0.0, "temporal_distance": 1.0, "value": 0.5}
PARAMETERS = {f"weights.{name}": weight for name, weight in WEIGHTS.items()}
GOAL = np.linspace(-1, 1, D).astype(np.float32)


@pytest.fixture
def with_heads(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "with_heads")
    add_heads(folder)
    return str(folder)


def test_costs_and_energies_along_the_way_are_those_of_the_heads(world, with_heads, arrays):  # noqa: F811
    world.make(WorldModelNode, parameters={"checkpoint": with_heads})
    world.make(CostNode, parameters={"checkpoint": with_heads, **PARAMETERS})
    costs = world.listen(CandidateCosts, "costs")
    ask = world.talk(ActionCandidates, "candidates", qos.LATENT)
    world.talk(Goal, "goal", qos.GOAL).publish(goal_message("g", GOAL))
    ask.publish(candidates(with_heads, arrays))
    answer = costs.wait()
    checkpoint = load_checkpoint(with_heads)
    evaluator = LatentEvaluator(
        checkpoint.model,
        Energy.of(checkpoint, WEIGHTS),
        Context(arrays["context_latents"], arrays["context_proprio"], arrays["context_actions"], 2, 0.0),
        GOAL,
        "min",
    )
    np.testing.assert_array_equal(tensor.from_msg(answer.totals), evaluator.evaluate(arrays["actions"]))
    assert answer.term_names == ["temporal_distance", "value"]
    steps = tensor.from_msg(answer.steps)
    assert steps.shape == (S, H)
    np.testing.assert_array_equal(steps.min(1), tensor.from_msg(answer.totals))
    assert steps[2].tolist() == evaluator.steps((0, 2))


def test_without_a_checkpoint_or_without_heads_it_does_not_configure_and_says_why(world, checkpoint):
    for parameters, words in (
        (PARAMETERS, "set the parameter checkpoint"),
        (PARAMETERS | {"checkpoint": checkpoint}, "jepa heads"),
    ):
        node = world.make(CostNode, start=False, parameters=parameters)
        assert not world.in_executor(node.start)
        assert "temporal_distance and value needs heads" in node.failure and words in node.failure


def test_rollouts_of_another_model_are_not_scored(world, with_heads):
    node = world.make(CostNode, parameters={"checkpoint": with_heads, **PARAMETERS})
    latents, proprio = np.zeros((S, H, D), np.float32), np.zeros((S, H, A), np.float32)

    def rollouts(model_id):
        return LatentRollouts(
            model_id=model_id, latents=tensor.to_msg("l", latents), proprio=tensor.to_msg("p", proprio)
        )

    node._answer(rollouts(load_checkpoint(with_heads).model_id), GOAL, None)
    with pytest.raises(JepaError, match="rollouts dropped: of checkpoint '000000000000', the heads are of"):
        node._answer(rollouts("0" * 12), GOAL, None)
