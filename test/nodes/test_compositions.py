"""Distributed and single are one thing: the same seed and inputs give the same plan, bit for bit."""

import math
import shutil
from functools import partial

import numpy as np
import pytest
from jepa_ros.action import ReachGoal
from jepa_ros.msg import ActionPlan, PlannerStatus
from jepa_ros.srv import LoadCheckpoint
from node_bench import WAIT_S, World, add_heads, make_checkpoint, make_spec
from rclpy.action import ActionClient
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header

from jepa_ros.export.verify import TOLERANCE
from jepa_ros.export.writer import export_checkpoint
from jepa_ros.nodes.actor.pursuit import PlanRequest
from jepa_ros.nodes.cost import CostNode
from jepa_ros.nodes.direct_evaluator import DirectLink
from jepa_ros.nodes.encoder import EncoderNode
from jepa_ros.nodes.planner import PlannerNode
from jepa_ros.nodes.wire import images, tensor
from jepa_ros.nodes.world_model import WorldModelNode
from jepa_ros.planning.memory import Context
from jepa_ros.planning.protocols import EvaluationTimeout
from jepa_ros.world_model.checkpoint import load_checkpoint

SPEC = make_spec()
HOPS = ("candidates", "rollouts", "costs", "proposal_request", "proposals")


def compose(world, composition, checkpoint, runtime, **planning):
    """The four nodes, wired as the processes of a composition wire them."""
    model = {"checkpoint": checkpoint, "runtime": runtime}
    single = composition == "single"
    encoder = world.make(
        EncoderNode, parameters=model, on_embedding=(lambda msg: planner.see(msg)) if single else None
    )
    world_model = world.make(WorldModelNode, parameters=model, in_graph=not single)
    cost = world.make(CostNode, in_graph=not single)
    planner = world.make(
        PlannerNode,
        parameters=model | {"deadline_s": 0.0, "costs_timeout_s": WAIT_S, "seed": 5} | planning,
        link=DirectLink(encoder, world_model, cost) if single else None,
    )


def one_plan(*args, **kwargs):
    """The first two plans for a goal, from the same frames."""
    for _ in range(3):  # a machine that stalls may show the first frame until after its block
        made, shown, *told = two_plans(*args, **kwargs)
        if made[1].header.stamp in shown:
            return made, *told
    raise AssertionError("the second plan was never of the second frame")


def two_plans(composition, checkpoint, frames, runtime="auto", **planning):
    """The first two plans, the stamps of the second frame, the topics, and the status of the second plan."""
    world = World()
    try:
        compose(world, composition, checkpoint, runtime, **planning)
        plans, status = world.listen(ActionPlan, "plan"), world.listen(PlannerStatus, "planner/status")
        camera, joints = world.talk(Image, "image"), world.talk(JointState, "joint_states")
        names = [world.namespace + "/" + topic for topic in HOPS]
        if composition == "distributed":
            world.until(
                lambda: (
                    [world.bench.count_subscribers(n) for n in names] == [1] * len(HOPS)
                    and [world.bench.count_publishers(n) for n in names] == [1] * len(HOPS)
                )
            )
        action = ActionClient(world.bench, ReachGoal, "reach_goal")
        assert action.wait_for_server(WAIT_S)
        goal = ReachGoal.Goal(goal_image=images.to_msg(frames[-1], Header()), timeout_s=WAIT_S)
        world.in_executor(lambda: action.send_goal_async(goal))
        made = []
        for frame in frames[:2]:
            shown = []

            def look(frame=frame, shown=shown):
                header = Header(stamp=world.bench.get_clock().now().to_msg())
                joints.publish(
                    JointState(header=header, name=list(SPEC.joint_names), position=[0.1] * SPEC.dim)
                )
                shown.append(header.stamp)
                camera.publish(images.to_msg(frame, header))

            timer = world.bench.create_timer(0.02, look)
            made.append(plans.wait(lambda m: m.plan_id not in [p.plan_id for p in made]))
            world.in_executor(partial(world.bench.destroy_timer, timer))
        told = status.wait(lambda m: m.plan_id == made[-1].plan_id)
        topics = {
            name.split("/")[-1]
            for name, _ in world.bench.get_topic_names_and_types()
            if name.startswith(world.namespace + "/")
        }
        return made, shown, topics, told
    finally:
        world.close()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A small checkpoint that ONNX Runtime computes."""
    folder = make_checkpoint(tmp_path_factory.mktemp("exported"))
    export_checkpoint(load_checkpoint(folder))
    return folder


@pytest.fixture
def frames():
    rng = np.random.default_rng(1)
    return [rng.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(3)]


@pytest.mark.parametrize("composition", ["distributed", "single"])
def test_onnx_plans_as_torch_does_within_the_tolerance(composition, exported, frames):
    (onnx, *_), (torch, *_) = (one_plan(composition, exported, frames, r) for r in ("onnx", "torch"))
    for ours, theirs in zip(onnx, torch, strict=True):
        assert ours.expected_cost == pytest.approx(theirs.expected_cost, rel=TOLERANCE, abs=TOLERANCE)
        for name in ("actions", "predicted"):
            a, b = ((p.actions if name == "actions" else p.predicted.latent) for p in (ours, theirs))
            np.testing.assert_allclose(tensor.from_msg(a), tensor.from_msg(b), atol=10 * TOLERANCE)


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_same_seed_same_plan_in_both_compositions(exported, frames, runtime):
    (distributed, graph, _), (single, alone, _) = (
        one_plan(c, exported, frames, runtime) for c in ("distributed", "single")
    )
    require_equal_plans(distributed, single)
    assert set(HOPS) <= graph and not set(HOPS) & alone


@pytest.mark.parametrize("mode, left", [("policy", 0.2), ("hybrid", 0.0), ("hybrid", 10.0)])
def test_a_policy_proposes_the_same_in_both_compositions(exported, frames, tmp_path, mode, left):
    with_heads = add_heads(str(shutil.copytree(exported, tmp_path / "with_heads")))
    planning = {"mode": mode, "hybrid_left": left, "replan": "always"}
    (distributed, _, far), (single, _, near) = (
        one_plan(c, with_heads, frames, **planning) for c in ("distributed", "single")
    )
    require_equal_plans(distributed, single)
    by_policy = left != 0
    for told in (far, near):
        assert (told.proposed, told.searched) == ((2, 0) if by_policy else (0, 2))
        assert math.isfinite(told.proposal_left) and told.policy_ms > 0
    assert far.proposal_left == near.proposal_left


def test_a_plan_is_of_one_checkpoint_though_another_is_loaded_meanwhile(exported, tmp_path):
    other = tmp_path / "other"
    make_checkpoint(other, seed=9)
    world = World()
    try:
        model = {"checkpoint": exported, "runtime": "torch"}
        world_model = world.make(WorldModelNode, parameters=model, in_graph=False)
        cost = world.make(CostNode, parameters={"checkpoint": exported}, in_graph=False)
        link = DirectLink(world.make(EncoderNode, parameters=model), world_model, cost)
        latents, joints = np.zeros((2, 16), np.float32), np.zeros((2, SPEC.dim), np.float32)
        context = Context(latents, joints, np.zeros((1, SPEC.block_dim), np.float32), 2, 0.0)
        evaluate = link.evaluator(
            PlanRequest("p", "g", world_model.model_id, Header(), context, latents[0], "sum")
        )
        actions = np.zeros((2, 3, SPEC.block_dim), np.float32)
        assert evaluate(actions).shape == (2,)
        request = LoadCheckpoint.Request(path=str(other))
        assert world.call(LoadCheckpoint, "world_model/load_checkpoint", request).success
        for ask in (evaluate, lambda actions: evaluate.refine(actions, 1, 0.1)):
            with pytest.raises(EvaluationTimeout, match="give both the same"):
                ask(actions)
    finally:
        world.close()


def test_gradients_refine_the_plan_in_single_whatever_computes_rollouts(exported, frames):
    plain, refined = (
        one_plan("single", exported, frames, mode="search", refine_steps=steps)[0][0] for steps in (0, 5)
    )
    assert refined.expected_cost < plain.expected_cost


def require_equal_plans(distributed, single):
    """Bit for bit, and not the same twice."""
    for ours, theirs in zip(distributed, single, strict=True):
        for name in ("actions", "predicted"):
            a, b = ((p.actions if name == "actions" else p.predicted.latent) for p in (ours, theirs))
            np.testing.assert_array_equal(tensor.from_msg(a), tensor.from_msg(b), err_msg=name)
        assert ours.expected_cost == theirs.expected_cost and ours.model_id == theirs.model_id
    assert np.any(tensor.from_msg(distributed[0].actions)) and np.any(
        tensor.from_msg(distributed[0].actions) != tensor.from_msg(distributed[1].actions)
    )
