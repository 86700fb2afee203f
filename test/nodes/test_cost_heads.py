"""Cost terms that are heads, in the cost node: the checkpoint's, for rollouts of the checkpoint's model alone."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from jepa_ros.msg import ActionCandidates, CandidateCosts, Goal, LatentRollouts
from jepa_ros.srv import LoadCheckpoint
from node_bench import add_heads, make_checkpoint
from test_world_model_and_cost import A, D, H, S, arrays, candidates, goal_message  # noqa: F401

from jepa_ros.costs.energy import Energy
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.errors import JepaError
from jepa_ros.nodes.cost import CostNode
from jepa_ros.nodes.wire import qos, tensor
from jepa_ros.nodes.world_model import WorldModelNode
from jepa_ros.planning.memory import Context
from jepa_ros.world_model.checkpoint import load_checkpoint, save_tensors
from jepa_ros.world_model.trust import HEADS, file_sha256
from jepa_ros.world_model.trust import WEIGHTS as WEIGHTS_FILE

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


@pytest.fixture
def with_objects(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "with_objects")
    add_heads(folder, scale=100, objects=3)
    return str(folder)


def pin_of(folder, *names):
    return ",".join(file_sha256(Path(folder) / name) for name in names)


def test_objects_are_in_the_costs_where_the_heads_have_found_some(world, with_objects, arrays):  # noqa: F811
    world.make(WorldModelNode, parameters={"checkpoint": with_objects})
    pin = pin_of(with_objects, WEIGHTS_FILE, HEADS)
    world.make(CostNode, parameters={"checkpoint": with_objects, "checkpoint_sha256": pin})
    costs = world.listen(CandidateCosts, "costs")
    ask = world.talk(ActionCandidates, "candidates", qos.LATENT)
    world.talk(Goal, "goal", qos.GOAL).publish(goal_message("g", GOAL))
    ask.publish(candidates(with_objects, arrays))
    answer, checkpoint = costs.wait(), load_checkpoint(with_objects)
    assert answer.term_names == ["goal_distance", "joint_limit", "objects"]
    evaluator = LatentEvaluator(
        checkpoint.model,
        Energy.of(checkpoint),
        Context(arrays["context_latents"], arrays["context_proprio"], arrays["context_actions"], 2, 0.0),
        GOAL,
        "min",
    )
    np.testing.assert_array_equal(tensor.from_msg(answer.totals), evaluator.evaluate(arrays["actions"]))
    assert (tensor.from_msg(answer.terms)[2] > 0).all()  # nothing is in place


def test_elsewhere_there_is_no_such_term(world, with_heads, with_objects):
    for name, parameters in (
        ("heads without objects", {"checkpoint": with_heads}),
        ("no weight", {"checkpoint": with_objects, "weights.objects": 0.0}),
        ("no checkpoint", {}),
        (
            "heads not pinned",
            {"checkpoint": with_objects, "checkpoint_sha256": pin_of(with_objects, WEIGHTS_FILE)},
        ),
    ):
        node = world.make(CostNode, parameters=parameters)
        assert [term.name for _, term in node.energy.terms] == ["goal_distance", "joint_limit"], name
        assert node.model_id == "", name  # rollouts of every model are scored


def test_heads_that_cannot_be_used_are_refused_at_configure_though_no_term_needs_any(
    world, with_objects, tmp_path
):
    other = Path(make_checkpoint(tmp_path / "other", seed=1))
    shutil.copy(Path(with_objects) / HEADS, other)
    torn = Path(shutil.copytree(with_objects, tmp_path / "torn"))
    (torn / HEADS).write_bytes((torn / HEADS).read_bytes()[:100])
    renamed = Path(shutil.copytree(with_objects, tmp_path / "renamed"))
    save_tensors(renamed / HEADS, {"x": torch.zeros(1)})
    stale = pin_of(with_objects, WEIGHTS_FILE) + "," + 64 * "0"
    for folder, pin, words in (
        (other, "", "made for model .*, this is .*train them again"),
        (torn, "", "not a readable safetensors file .*jepa heads"),
        (renamed, "", "not one that `jepa heads` wrote .*train them again"),
        (Path(with_objects), stale, "refused, its sha256 is"),
    ):
        parameters = {"checkpoint": str(folder), "checkpoint_sha256": pin}
        node = world.make(CostNode, start=False, parameters=parameters)
        assert not world.in_executor(node.start)
        assert str(folder / HEADS) in node.failure and re.search(words, node.failure), node.failure


def test_a_world_model_that_loads_another_checkpoint_is_not_scored_until_cost_has_it_too(
    world,
    with_objects,
    arrays,  # noqa: F811
    tmp_path,
):
    other = make_checkpoint(tmp_path / "other", seed=1)
    world.make(WorldModelNode, parameters={"checkpoint": with_objects})
    world.make(CostNode, parameters={"checkpoint": with_objects})
    costs, said = world.listen(CandidateCosts, "costs"), world.said()
    ask = world.talk(ActionCandidates, "candidates", qos.LATENT)
    world.talk(Goal, "goal", qos.GOAL).publish(goal_message("g", GOAL))
    assert world.call(
        LoadCheckpoint, "world_model/load_checkpoint", LoadCheckpoint.Request(path=other)
    ).success
    ask.publish(candidates(other, arrays))
    said.wait(lambda log: "the heads are of" in log.msg and "the same checkpoint" in log.msg)
    again = LoadCheckpoint.Request(path=with_objects)
    assert world.call(LoadCheckpoint, "world_model/load_checkpoint", again).success
    ask.publish(candidates(with_objects, arrays, plan_id="again"))
    assert costs.wait().plan_id == "again"
