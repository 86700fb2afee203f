"""The policy in the graph: the planner asks world_model, takes what is good enough, and says how often it was."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from jepa_ros.msg import ActionCandidates, ActionProposals, PlannerStatus, ProposalRequest
from jepa_ros.srv import LoadCheckpoint
from node_bench import add_heads, make_checkpoint, make_spec
from planner_bench import GOAL, SOON_S, Bench
from std_msgs.msg import Header

from jepa_ros.nodes.planner import PlannerNode
from jepa_ros.nodes.wire import qos, tensor
from jepa_ros.nodes.world_model import WorldModelNode
from jepa_ros.planning.memory import Context
from jepa_ros.world_model.checkpoint import load_checkpoint
from jepa_ros.world_model.trust import HEADS, WEIGHTS, file_sha256

SPEC, D, T, N, H = make_spec(), 16, 2, 3, 2


@pytest.fixture(scope="module")
def with_heads(tmp_path_factory):
    return add_heads(make_checkpoint(tmp_path_factory.mktemp("heads")))


class PolicyBench(Bench):
    """The planner's bench with a policy: ``proposals`` (N, H, KA), and ``ends`` of candidates by their actions."""

    def __init__(self, world, checkpoint, proposals, left, things_first=False, **parameters):
        self.proposals, self.left, self.things_first, self.lie = proposals, left, things_first, None
        super().__init__(world, checkpoint, **parameters)
        self.requests = world.listen(ProposalRequest, "proposal_request")
        self.answers = world.talk(ActionProposals, "proposals", qos.LATENT)
        world.bench.create_subscription(ProposalRequest, "proposal_request", self.on_request, qos.LATENT)
        world.until(lambda: self.node._link._requests.get_subscription_count() == 2)

    def on_request(self, msg):
        if self.lie is not None:
            self.answers.publish(self.lie)
        answer = ActionProposals(
            plan_id=msg.plan_id,
            actions=tensor.to_msg("a", self.proposals),
            things_first=self.things_first,
            policy_ms=0.5,
        )
        self.answers.publish(answer)

    def answer(self, msg, **changes):
        actions = tensor.from_msg(msg.actions)
        ends = np.where(np.abs(actions).sum((1, 2)) > 0, self.left, 1.0)
        steps = np.repeat(ends[:, None], actions.shape[1], axis=1).astype(np.float32)
        return super().answer(msg, **{"steps": tensor.to_msg("steps", steps)} | changes)


def proposals():
    """(N, H, KA), of which the last moves farthest, which the bench's costs like best."""
    shares = np.array([0.2, 0.5, 0.9])[:, None, None]
    return (0.1 * shares * np.ones((N, H, SPEC.block_dim))).astype(np.float32)


def test_a_proposal_that_is_good_enough_is_sent_after_one_iteration(world, with_heads):
    bench = PolicyBench(world, with_heads, proposals(), left=0.1, hybrid_left=0.2)
    bench.send()
    plan = bench.plans.wait()
    request = bench.requests.wait(lambda m: m.plan_id == plan.plan_id)
    asked = [m for m in bench.candidates.messages if m.plan_id == plan.plan_id]
    assert [tensor.from_msg(m.actions).shape for m in asked] == [(N + 1, H, SPEC.block_dim)]
    np.testing.assert_allclose(tensor.from_msg(plan.actions).reshape(H, -1), proposals()[-1], atol=1e-7)
    assert (request.model_id, request.goal_id, request.header) == (
        asked[0].model_id,
        asked[0].goal_id,
        asked[0].header,
    )
    np.testing.assert_array_equal(tensor.from_msg(request.goal), GOAL)
    for name in ("context_latents", "context_proprio", "context_actions"):
        np.testing.assert_array_equal(
            tensor.from_msg(getattr(request, name)), tensor.from_msg(getattr(asked[0], name))
        )
    status = bench.status.wait(lambda m: m.plan_id == plan.plan_id and m.state == PlannerStatus.EXECUTING)
    assert (status.proposed, status.searched, status.kept) == (1, 0, 0)
    assert status.proposal_left == pytest.approx(0.1) and status.policy_ms == pytest.approx(0.5)


def test_where_it_is_not_good_enough_the_search_is_asked_with_the_proposals_in_it(world, with_heads):
    bench = PolicyBench(world, with_heads, proposals(), left=0.3, hybrid_left=0.2, space="free_blocks")
    bench.send()
    plan = bench.plans.wait()
    bench.status.wait(
        lambda m: m.plan_id == plan.plan_id and (m.proposed, m.searched, m.state) == (0, 1, m.EXECUTING)
    )
    asked = [tensor.from_msg(m.actions) for m in bench.candidates.messages if m.plan_id == plan.plan_id]
    assert [len(a) for a in asked] == [N + 1, 16, 16]
    assert all(min(np.abs(a - p).max() for a in asked[1]) < 1e-6 for p in proposals())


def test_what_brings_things_to_their_places_is_sent_without_a_search(world, with_heads):
    bench = PolicyBench(world, with_heads, proposals(), left=0.3, things_first=True, hybrid_left=0.2)
    bench.send()
    plan = bench.plans.wait()
    bench.status.wait(
        lambda m: m.plan_id == plan.plan_id and (m.proposed, m.searched, m.state) == (1, 0, m.EXECUTING)
    )
    np.testing.assert_allclose(tensor.from_msg(plan.actions).reshape(H, -1), proposals()[-1], atol=1e-7)


def test_foreign_proposals_are_dropped_and_none_at_all_means_search(world, with_heads):
    nothing = np.empty((0, 1, SPEC.block_dim), np.float32)
    bench = PolicyBench(world, with_heads, nothing, left=0.0)
    bench.lie = ActionProposals(plan_id="foreign", actions=tensor.to_msg("a", proposals()))
    bench.send()
    bench.status.wait(lambda m: (m.proposed, m.searched) == (0, 1) and np.isnan(m.proposal_left))


def test_a_silent_policy_sends_no_plan_and_says_so(world, with_heads):
    bench = Bench(world, with_heads, costs_timeout_s=SOON_S)
    bench.send()
    status = bench.status.wait(lambda m: m.reason == PlannerStatus.NO_ROLLOUTS)
    assert "no proposals within" in status.text and not bench.plans.messages


@pytest.mark.parametrize("asked", [False, True])
def test_only_where_there_are_heads_and_the_mode_wants_them_the_policy_is_asked(
    world, with_heads, checkpoint, asked
):
    bench = Bench(world, with_heads if asked else checkpoint, mode="search" if asked else "hybrid")
    requests = world.listen(ProposalRequest, "proposal_request")
    bench.send()
    bench.status.wait(lambda m: m.searched == 1 and m.proposed == 0)
    assert not requests.messages


@pytest.mark.parametrize(
    "parameters, says",
    [
        ({"mode": "policy"}, "mode is policy, and .* has no heads.safetensors"),
        ({"refine_steps": 3}, "gradients do not pass through messages.*composition:=single"),
    ],
)
def test_what_this_graph_cannot_do_is_refused(world, checkpoint, parameters, says):
    node = world.make(PlannerNode, start=False, parameters={"checkpoint": checkpoint, **parameters})
    assert not node.start()
    assert re.search(says, str(node.failure))


def test_a_pin_of_the_weights_alone_trusts_no_heads(world, with_heads):
    folder = Path(with_heads)
    weights, heads = (file_sha256(folder / name) for name in (WEIGHTS, HEADS))
    for pin, trusted in ((weights, False), (f"{weights},{heads}", True)):
        node = world.make(PlannerNode, parameters={"checkpoint": with_heads, "checkpoint_sha256": pin})
        assert node._proposes == trusted


def request(checkpoint, context, latent, **changes):
    values = {
        "header": Header(frame_id="camera"),
        "plan_id": "p",
        "goal_id": "g",
        "model_id": load_checkpoint(checkpoint).model_id,
        "joint_names": list(SPEC.joint_names),
        "goal": tensor.to_msg("goal", latent),
        "context_latents": tensor.to_msg("l", context.latents),
        "context_proprio": tensor.to_msg("p", context.proprio),
        "context_actions": tensor.to_msg("a", context.actions),
    }
    return ProposalRequest(**values | changes)


@pytest.fixture
def context():
    rng = np.random.default_rng(2)
    shapes = (T, D), (T, SPEC.dim), (T - 1, SPEC.block_dim)
    return Context(*(0.1 * rng.standard_normal(s).astype(np.float32) for s in shapes), T, 0.0)


@pytest.mark.parametrize("heads", [True, False])
def test_the_world_model_answers_with_what_its_heads_propose(world, with_heads, checkpoint, context, heads):
    path = with_heads if heads else checkpoint
    world.make(WorldModelNode, parameters={"checkpoint": path})
    answers = world.listen(ActionProposals, "proposals")
    ask = world.talk(ProposalRequest, "proposal_request", qos.LATENT)
    world.talk(ActionCandidates, "candidates", qos.LATENT)
    goal = np.linspace(-1, 1, D).astype(np.float32)
    ask.publish(request(path, context, goal))
    answer = answers.wait()
    found = tensor.from_msg(answer.actions)
    assert (answer.plan_id, answer.header.frame_id) == ("p", "camera")
    if heads:
        np.testing.assert_array_equal(found, load_checkpoint(path).heads.propose(context, goal)[0])
        assert found.shape == (4, 3, SPEC.block_dim) and found.any() and answer.policy_ms > 0
    else:
        assert len(found) == 0


def test_a_checkpoint_whose_heads_are_of_another_leaves_the_one_in_use(world, with_heads, context, tmp_path):
    """Its own weights can be read, so that only the heads are in the way."""
    strange = Path(make_checkpoint(tmp_path / "strange", seed=1))
    shutil.copy(Path(with_heads) / HEADS, strange / HEADS)
    node = world.make(WorldModelNode, parameters={"checkpoint": with_heads})
    answers = world.listen(ActionProposals, "proposals")
    ask = world.talk(ProposalRequest, "proposal_request", qos.LATENT)
    before = load_checkpoint(with_heads)
    answer = world.call(
        LoadCheckpoint,
        f"{node.get_fully_qualified_name()}/load_checkpoint",
        LoadCheckpoint.Request(path=str(strange)),
    )
    assert not answer.success and "made for model" in answer.message and answer.model_id == before.model_id
    ask.publish(request(with_heads, context, np.zeros(D, np.float32)))
    found = tensor.from_msg(answers.wait().actions)
    np.testing.assert_array_equal(found, before.heads.propose(context, np.zeros(D))[0])
    (strange / HEADS).unlink()
    answer = world.call(
        LoadCheckpoint,
        f"{node.get_fully_qualified_name()}/load_checkpoint",
        LoadCheckpoint.Request(path=str(strange)),
    )
    assert answer.success and answer.model_id == load_checkpoint(strange).model_id != before.model_id


@pytest.mark.parametrize("change", ["model_id", "goal", "context_proprio"])
def test_foreign_or_misshapen_requests_are_dropped_and_named(world, with_heads, context, change):
    world.make(WorldModelNode, parameters={"checkpoint": with_heads})
    answers, logs = world.listen(ActionProposals, "proposals"), world.said()
    ask = world.talk(ProposalRequest, "proposal_request", qos.LATENT)
    wrong = "other" if change == "model_id" else tensor.to_msg("x", np.zeros((3, 3), np.float32))
    goal = np.zeros(D, np.float32)
    ask.publish(request(with_heads, context, goal, **{change: wrong}))
    logs.wait(lambda log: "proposal request dropped" in log.msg)
    ask.publish(request(with_heads, context, goal, plan_id="right"))
    assert answers.wait().plan_id == "right" and len(answers.messages) == 1
