"""Two levels in the graph: the planner asks world_model where macro-actions lead, announces the target, and plans for it."""

import re
import threading

import numpy as np
import pytest
from jepa_ros.msg import ActionCandidates, ActionProposals, Goal, PlannerStatus, ProposalRequest
from node_bench import add_heads, make_checkpoint, make_spec
from planner_bench import GOAL, SOON_S, Bench
from std_msgs.msg import Header

from jepa_ros.nodes.planner import PlannerNode
from jepa_ros.nodes.wire import qos, tensor
from jepa_ros.nodes.world_model import WorldModelNode
from jepa_ros.planning.memory import Context
from jepa_ros.world_model.checkpoint import load_checkpoint

SPEC, D, T, U, MACROS, ITERATIONS = make_spec(), 16, 2, 3, 2, 2
TWO = {
    "mode": "search",
    "levels": 2,
    "macros": MACROS,
    "macro_samples": 8,
    "macro_iterations": ITERATIONS,
    "near_blocks": 3.0,
    "target_looks": 2,
}
FAR, NEAR = 20.0, 2.0  # blocks


@pytest.fixture(scope="module")
def two_levels(tmp_path_factory):
    return add_heads(make_checkpoint(tmp_path_factory.mktemp("heads")), stride=3, macro=U)


class SlowBench(Bench):
    """The planner's bench with a slow level: macro-action u leads to the latent u[0] (all of D), ``blocks`` away; the larger
    u[0], the fewer blocks are left."""

    def __init__(self, world, checkpoint, **parameters):
        self.blocks, self.wrong = FAR, 0
        super().__init__(world, checkpoint, **TWO | parameters)
        self.requests = world.listen(ProposalRequest, "proposal_request")
        self.answers = world.talk(ActionProposals, "proposals", qos.LATENT)
        world.bench.create_subscription(
            ProposalRequest, "proposal_request", lambda msg: self.on_request(msg), qos.LATENT
        )
        world.until(lambda: self.node._link._requests.get_subscription_count() == 2)

    def on_request(self, msg):
        macros = tensor.from_msg(msg.macros)
        self.answers.publish(self.answered(msg, macros, iteration=msg.iteration + self.wrong))

    def answered(self, msg, macros, **changes):
        firsts = np.repeat(macros[:, :1, 0], D, 1).astype(np.float32)
        steps = np.cumsum(macros[:, :, 0], 1)
        blocks = self.blocks - np.concatenate([np.zeros((len(macros), 1)), steps], 1)
        values = {"plan_id": msg.plan_id, "iteration": msg.iteration, "policy_ms": 0.5}
        tensors = {
            "latents": tensor.to_msg("latents", firsts),
            "blocks": tensor.to_msg("blocks", blocks.astype(np.float32)),
        }
        return ActionProposals(**values | tensors | changes)

    def asked(self, plan_id):
        return [m for m in self.requests.messages if m.plan_id == plan_id]


def test_a_far_goal_is_planned_for_by_way_of_targets_that_everybody_is_told_of(world, two_levels):
    bench = SlowBench(world, two_levels)
    bench.send()
    bench.plans.wait(lambda _: len(bench.plans.messages) >= 3)
    status = bench.status.wait(lambda m: m.state == PlannerStatus.EXECUTING and m.level == 2)
    goal, first, *_ = bench.goals.messages
    assert first.part_of == goal.goal_id == status.goal_id and first.goal_id == f"{goal.goal_id}/1"
    latent = tensor.from_msg(first.embedding.latent)
    assert latent.shape == (1, D) and latent[0, 0] > 0  # the larger the nearer
    # One look at how far the goal is, then the search; all about the goal itself.
    requests = bench.requests.messages[: 1 + ITERATIONS]
    assert [m.iteration for m in requests] == list(range(1 + ITERATIONS))
    assert [tuple(m.macros.shape) for m in requests] == [(1, 1, U)] + [(8, MACROS, U)] * ITERATIONS
    assert {m.goal_id for m in requests} == {goal.goal_id} and len({m.plan_id for m in requests}) == 1
    np.testing.assert_array_equal(tensor.from_msg(requests[0].goal), GOAL)
    # Candidates and plans are about the target; two looks later there is another one.
    assert [m.goal_id for m in bench.plans.messages[:3]] == [f"{goal.goal_id}/{n}" for n in (1, 1, 2)]
    assert bench.candidates.messages[0].goal_id == first.goal_id
    assert status.blocks_to_go == FAR and status.targets_asked >= 1 and status.policy_ms > 0
    assert status.target_distance == pytest.approx(float(latent[0, 0]), abs=1e-4)  # the look is all zeros


def test_a_near_goal_is_planned_for_itself(world, two_levels):
    bench = SlowBench(world, two_levels)
    bench.blocks = NEAR
    bench.send()
    plan = bench.plans.wait()
    status = bench.status.wait(lambda m: m.state == PlannerStatus.EXECUTING)
    assert plan.goal_id == status.goal_id and (status.level, status.targets_asked) == (1, 1)
    assert status.blocks_to_go == NEAR and np.isnan(status.target_distance)
    assert [g.part_of for g in bench.goals.messages] == [""]


def test_an_answer_to_another_request_is_none(world, two_levels):
    bench = SlowBench(world, two_levels, costs_timeout_s=SOON_S)
    bench.wrong = 7
    bench.send()
    status = bench.status.wait(lambda m: m.reason == PlannerStatus.NO_ROLLOUTS and m.dropped >= 1)
    assert "no proposals within" in status.text and not bench.plans.messages
    bench.wrong = 0
    bench.plans.wait()


def test_a_silent_slow_level_sends_no_plan_and_says_so(world, two_levels):
    bench = Bench(world, two_levels, costs_timeout_s=SOON_S, **TWO)
    bench.send()
    status = bench.status.wait(lambda m: m.reason == PlannerStatus.NO_ROLLOUTS)
    assert "no proposals within" in status.text and not bench.plans.messages


def test_what_the_slow_level_took_is_not_left_to_the_lower_one(world, two_levels):
    deadline_s = 0.2
    bench = SlowBench(world, two_levels, deadline_s=deadline_s, iterations=50)
    answer = bench.on_request
    bench.on_request = lambda msg: threading.Timer(deadline_s, answer, (msg,)).start()
    bench.send()
    status = bench.status.wait(lambda m: m.state == PlannerStatus.EXECUTING)
    asked = [m for m in bench.candidates.messages if m.plan_id == status.plan_id]
    assert status.deadline_misses == 1 and len(asked) == 1


def test_without_a_slow_level_two_levels_are_refused(world, checkpoint, tmp_path):
    flat = add_heads(make_checkpoint(tmp_path))
    for path in (checkpoint, flat):
        node = world.make(PlannerNode, start=False, parameters={"checkpoint": path, "levels": 2})
        assert not node.start()
        assert re.search("levels is 2, and .* has no heads.safetensors with a slow level", str(node.failure))


@pytest.fixture
def context():
    rng = np.random.default_rng(2)
    shapes = (T, D), (T, SPEC.dim), (T - 1, SPEC.block_dim)
    return Context(*(0.1 * rng.standard_normal(s).astype(np.float32) for s in shapes), T, 0.0)


def request(checkpoint, context, goal, macros, **changes):
    values = {
        "header": Header(frame_id="camera"),
        "plan_id": "p",
        "iteration": 4,
        "model_id": load_checkpoint(checkpoint).model_id,
        "joint_names": list(SPEC.joint_names),
        "goal": tensor.to_msg("goal", goal),
        "context_latents": tensor.to_msg("l", context.latents),
        "context_proprio": tensor.to_msg("p", context.proprio),
        "context_actions": tensor.to_msg("a", context.actions),
        "macros": tensor.to_msg("macros", macros),
    }
    return ProposalRequest(**values | changes)


def test_the_world_model_answers_with_what_its_slow_level_foresees(world, two_levels, context):
    world.make(WorldModelNode, parameters={"checkpoint": two_levels})
    answers, logs = world.listen(ActionProposals, "proposals"), world.said()
    ask = world.talk(ProposalRequest, "proposal_request", qos.LATENT)
    world.talk(ActionCandidates, "candidates", qos.LATENT)
    goal, rng = np.linspace(-1, 1, D).astype(np.float32), np.random.default_rng(0)
    macros = rng.standard_normal((5, 2, U)).astype(np.float32)
    ask.publish(request(two_levels, context, goal, macros[:, :, :2]))
    logs.wait(lambda log: re.search(r"macros have shape \(5, 2, 2\).*needs \(S, M, 3\)", log.msg))
    ask.publish(request(two_levels, context, goal, macros))
    answer = answers.wait()
    assert (answer.plan_id, answer.iteration, answer.header.frame_id) == ("p", 4, "camera")
    firsts, blocks = load_checkpoint(two_levels).heads.foresee(context, goal, macros)
    np.testing.assert_array_equal(tensor.from_msg(answer.latents), firsts)
    np.testing.assert_array_equal(tensor.from_msg(answer.blocks), blocks)
    assert not answer.actions.shape and answer.policy_ms > 0


def test_a_world_model_without_a_slow_level_says_so(world, tmp_path, context):
    flat = add_heads(make_checkpoint(tmp_path))
    world.make(WorldModelNode, parameters={"checkpoint": flat})
    logs, ask = world.said(), world.talk(ProposalRequest, "proposal_request", qos.LATENT)
    ask.publish(request(flat, context, np.zeros(D, np.float32), np.zeros((1, 1, U), np.float32)))
    logs.wait(lambda log: "a planner of two levels needs a slow level" in log.msg)


def test_goals_of_the_topic_have_targets_too(world, two_levels):
    bench = SlowBench(world, two_levels)
    goal = tensor.to_msg("latent", GOAL[None])
    sender = world.talk(Goal, "goal", qos.GOAL, readers=2)
    message = Goal(goal_id="from the topic")
    message.embedding.encoder_id, message.embedding.latent = "model", goal
    sender.publish(message)
    plan = bench.plans.wait()
    assert plan.goal_id == "from the topic/1"
    bench.plans.wait(lambda _: len(bench.plans.messages) >= 3)
    bench.status.wait(lambda m: m.targets_asked >= 4)
    assert {m.goal_id for m in bench.status.messages if m.goal_id} == {"from the topic"}
    assert not [m for m in bench.status.messages if m.reason == PlannerStatus.PREEMPTED]
