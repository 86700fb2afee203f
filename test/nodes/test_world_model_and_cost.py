"""Candidates to rollouts to costs: the same numbers as the model and the energy give, and nothing for foreign
requests."""

import numpy as np
import pytest
from jepa_ros.msg import ActionCandidates, CandidateCosts, Embedding, Goal, LatentRollouts
from jepa_ros.srv import LoadCheckpoint
from node_bench import make_checkpoint, make_spec, stamp
from std_msgs.msg import Header

from jepa_ros.costs.energy import Energy
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.nodes.cost import CostNode
from jepa_ros.nodes.wire import qos, tensor
from jepa_ros.nodes.world_model import WorldModelNode
from jepa_ros.planning.memory import Context
from jepa_ros.planning.protocols import REDUCTIONS
from jepa_ros.world_model.checkpoint import load_checkpoint

S, H, T, D, A, K = 7, 3, 2, 16, 6, 4


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    shapes = {
        "context_latents": (T, D),
        "context_proprio": (T, A),
        "context_actions": (T - 1, K * A),
        "actions": (S, H, K * A),
    }
    return {name: (0.1 * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}


def candidates(checkpoint, arrays, **changes):
    values = dict(
        header=Header(stamp=stamp(4.0), frame_id="camera"),
        plan_id="p",
        iteration=3,
        goal_id="g",
        model_id=load_checkpoint(checkpoint).model_id,
        reduction=REDUCTIONS.index("min"),
        joint_names=list(make_spec().joint_names),
    )
    values |= {name: tensor.to_msg(name, array) for name, array in arrays.items()}
    return ActionCandidates(**values | changes)


def goal_message(goal_id, latent, part_of=""):
    embedding = Embedding(latent=tensor.to_msg("latent", latent[None]))
    return Goal(goal_id=goal_id, embedding=embedding, part_of=part_of)


def test_costs_through_the_graph_are_those_of_the_model_bit_for_bit(world, checkpoint, arrays):
    world.make(WorldModelNode, parameters={"checkpoint": checkpoint})
    world.make(CostNode, parameters={"weights.effort": 0.5})
    costs = world.listen(CandidateCosts, "costs")
    ask = world.talk(ActionCandidates, "candidates", qos.LATENT, readers=2)  # effort needs them as well
    goal = np.linspace(-1, 1, D).astype(np.float32)
    world.talk(Goal, "goal", qos.GOAL).publish(goal_message("g", goal))
    ask.publish(candidates(checkpoint, arrays))
    answer = costs.wait()
    assert (answer.plan_id, answer.iteration, answer.goal_id) == (
        "p",
        3,
        "g",
    ) and answer.header.stamp == stamp(4.0)
    energy = Energy(make_spec(), {"goal_distance": 1.0, "effort": 0.5, "joint_limit": 0.1})
    evaluator = LatentEvaluator(
        load_checkpoint(checkpoint).model,
        energy,
        Context(arrays["context_latents"], arrays["context_proprio"], arrays["context_actions"], 2, 0.0),
        goal,
        "min",
    )
    np.testing.assert_array_equal(tensor.from_msg(answer.totals), evaluator.evaluate(arrays["actions"]))
    assert answer.term_names == ["goal_distance", "effort", "joint_limit"]
    np.testing.assert_allclose(
        tensor.from_msg(answer.terms).sum(0), tensor.from_msg(answer.totals), rtol=1e-5
    )


def test_rollouts_wait_for_their_goal(world, checkpoint, arrays):
    world.make(CostNode)
    costs, imagined = (
        world.listen(CandidateCosts, "costs"),
        world.talk(LatentRollouts, "rollouts", qos.LATENT),
    )
    goals = world.talk(Goal, "goal", qos.GOAL)
    goals.publish(goal_message("other", np.zeros(D, np.float32)))
    imagined.publish(
        LatentRollouts(
            plan_id="p",
            goal_id="g",
            latents=tensor.to_msg("l", np.zeros((S, H, D), np.float32)),
            proprio=tensor.to_msg("p", np.zeros((S, H, A), np.float32)),
        )
    )
    goals.publish(goal_message("g", np.ones(D, np.float32)))
    answer = costs.wait()
    assert answer.goal_id == "g"
    np.testing.assert_allclose(tensor.from_msg(answer.totals), np.full(S, float(H)), rtol=1e-6)
    assert len(costs.messages) == 1
    assert world.bench.count_subscribers(f"{world.namespace}/candidates") == 0  # no term needs them


@pytest.mark.parametrize(
    "said",
    [
        ["g", "a", "b", "c", "g", "x", "y", "z"],  # of the six, the four newest are kept
        ["g", *(("g", f"g/{n}") for n in range(1, 9))],  # its parts do not take its place
    ],
    ids=["again", "by its parts"],
)
def test_a_goal_that_is_said_again_or_has_new_parts_is_kept(world, arrays, said):
    world.make(CostNode)
    costs, imagined = (
        world.listen(CandidateCosts, "costs"),
        world.talk(LatentRollouts, "rollouts", qos.LATENT),
    )
    goals = world.talk(Goal, "goal", qos.GOAL)
    for each in said:
        part_of, goal_id = each if isinstance(each, tuple) else ("", each)
        goals.publish(goal_message(goal_id, np.ones(D, np.float32), part_of))
        world.until(lambda goal_id=goal_id: list(world.nodes[0]._goals)[-1:] == [goal_id])
        assert len(world.nodes[0]._goals) <= 4
    imagined.publish(
        LatentRollouts(
            goal_id="g",
            latents=tensor.to_msg("l", np.zeros((S, H, D), np.float32)),
            proprio=tensor.to_msg("p", np.zeros((S, H, A), np.float32)),
        )
    )
    assert costs.wait().goal_id == "g"


def test_rollouts_wait_for_their_candidates_where_a_term_needs_them(world, checkpoint, arrays):
    world.make(CostNode, parameters={"weights.effort": 1.0, "weights.goal_distance": 0.0})
    costs = world.listen(CandidateCosts, "costs")
    imagined = world.talk(LatentRollouts, "rollouts", qos.LATENT)
    ask = world.talk(ActionCandidates, "candidates", qos.LATENT)
    world.talk(Goal, "goal", qos.GOAL).publish(goal_message("g", np.zeros(D, np.float32)))
    full = np.tile(np.float32(make_spec().upper), K * H).reshape(1, H, K * A).repeat(S, 0)
    of_rollouts = {
        "latents": tensor.to_msg("l", np.zeros((S, H, D), np.float32)),
        "proprio": tensor.to_msg("p", np.zeros((S, H, A), np.float32)),
    }
    imagined.publish(LatentRollouts(plan_id="p", iteration=4, goal_id="g", **of_rollouts))
    ask.publish(candidates(checkpoint, arrays, iteration=3))
    ask.publish(candidates(checkpoint, arrays | {"actions": full}, iteration=4))
    answer = costs.wait()
    assert (answer.plan_id, answer.iteration) == ("p", 4) and "effort" in answer.term_names
    effort = tensor.from_msg(answer.terms)[answer.term_names.index("effort")]
    np.testing.assert_allclose(effort, np.full(S, float(H)), rtol=1e-6)
    assert len(costs.messages) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"model_id": "another"},
        {"joint_names": ["a", "b", "c", "d", "e", "f"]},
        {"context_latents": tensor.to_msg("x", np.zeros((T, D + 1), np.float32))},
        {"actions": tensor.to_msg("x", np.zeros((S, H, 5), np.float32))},
    ],
    ids=lambda c: next(iter(c)),
)
def test_foreign_or_misshapen_candidates_are_dropped_and_named(world, checkpoint, arrays, change):
    world.make(WorldModelNode, parameters={"checkpoint": checkpoint})
    rollouts, ask = (
        world.listen(LatentRollouts, "rollouts"),
        world.talk(ActionCandidates, "candidates", qos.LATENT),
    )
    logs = world.said()
    ask.publish(candidates(checkpoint, arrays, plan_id="foreign", **change))
    logs.wait(lambda log: "candidates dropped" in log.msg)
    ask.publish(candidates(checkpoint, arrays, plan_id="good"))
    rollouts.wait(lambda m: m.plan_id == "good")
    assert [m.plan_id for m in rollouts.messages] == ["good"]


def test_load_checkpoint_changes_the_model_and_a_bad_one_changes_nothing(world, checkpoint, tmp_path):
    node = world.make(WorldModelNode, parameters={"checkpoint": checkpoint})
    before = node.model_id
    bad = world.call(
        LoadCheckpoint, "world_model/load_checkpoint", LoadCheckpoint.Request(path=str(tmp_path))
    )
    assert not bad.success and str(tmp_path) in bad.message and bad.model_id == before == node.model_id
    other = make_checkpoint(tmp_path / "other", seed=5)
    good = world.call(LoadCheckpoint, "world_model/load_checkpoint", LoadCheckpoint.Request(path=other))
    assert good.success and good.model_id == node.model_id != before
