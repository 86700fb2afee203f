"""The planner against a bench that plays camera, robot, encoder, world model and cost: what it asks, takes
and sends."""

import json
import math
import threading

import numpy as np
import pytest
from jepa_ros.action import ReachGoal
from jepa_ros.msg import (
    ActionCandidates,
    ActionPlan,
    CandidateCosts,
    Embedding,
    Goal,
    PlannerStatus,
    SafetyStatus,
)
from node_bench import WAIT_S, make_checkpoint, make_spec
from rclpy.action import ActionClient
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header

from jepa_ros.nodes.actor.pursuit import PlanRequest
from jepa_ros.nodes.planner import PlannerNode
from jepa_ros.nodes.wire import qos, tensor
from jepa_ros.planning.memory import Context
from jepa_ros.planning.protocols import EvaluationTimeout
from jepa_ros.planning.trigger import Cause
from jepa_ros.world_model.calibration import CALIBRATION, QUANTILES, Calibration

SPEC = make_spec()
D = 16
GOAL = np.ones(D, np.float32)
RESULT = ReachGoal.Result


class Bench:
    """Feeds looks of latent ``latent`` at 20 Hz; ``answer`` says what becomes of candidates."""

    def __init__(self, world, checkpoint, **parameters):
        self.world, self.latent, self.feed, self.silent = world, np.zeros(D, np.float32), True, False
        self.position, self.speed = 0.0, 0.0  # of every joint, or (A,), rad; per look
        self.encoder_id, self.on_asked = "model", lambda msg: self.costs.publish(self.answer(msg))
        defaults = {
            "checkpoint": checkpoint,
            "deadline_s": 0.0,
            "samples": 16,
            "iterations": 2,
            "horizon": 2,
            "settle_s": 0.0,
            "costs_timeout_s": 0.3,
            "image_timeout_s": 0.3,
        }
        self.node = world.make(PlannerNode, parameters=defaults | parameters)
        self.status = world.listen(PlannerStatus, "planner/status")
        self.plans, self.candidates = (
            world.listen(ActionPlan, "plan"),
            world.listen(ActionCandidates, "candidates"),
        )
        self.goals = world.listen(Goal, "goal", qos.GOAL_READER)
        self.costs = world.talk(CandidateCosts, "costs", qos.LATENT)
        self.embeddings = world.talk(Embedding, "embedding", qos.LATENT)
        self.joints = world.talk(JointState, "joint_states")
        world.bench.create_subscription(ActionCandidates, "candidates", self.on_candidates, qos.LATENT)
        self.action = ActionClient(world.bench, ReachGoal, "reach_goal")
        assert self.action.wait_for_server(WAIT_S)
        world.until(
            lambda: (
                world.bench.count_subscribers(f"{world.namespace}/candidates") == 2
                and self.node._statuses.get_subscription_count() == 1
                and self.node._link._candidates.get_subscription_count() == 2
            )
        )
        self.timer = world.bench.create_timer(0.05, self.look)

    def look(self):
        if self.feed:
            header = Header(stamp=self.world.bench.get_clock().now().to_msg(), frame_id="camera")
            self.position += self.speed
            self.joints.publish(
                JointState(
                    header=header,
                    name=list(SPEC.joint_names),
                    position=np.broadcast_to(self.position, SPEC.dim).tolist(),
                )
            )
            self.embeddings.publish(
                Embedding(
                    header=header,
                    encoder_id=self.encoder_id,
                    encode_ms=2.0,
                    latent=tensor.to_msg("latent", self.latent[None]),
                )
            )

    def on_candidates(self, msg):
        if not self.silent:
            self.on_asked(msg)

    def answer(self, msg, **changes):
        actions = tensor.from_msg(msg.actions)
        totals = 100.0 - actions.sum((1, 2))  # the best plan is never not to move
        values = dict(
            plan_id=msg.plan_id,
            iteration=msg.iteration,
            goal_id=msg.goal_id,
            term_names=["goal_distance"],
            totals=tensor.to_msg("totals", totals),
            steps=tensor.to_msg("steps", np.repeat(totals[:, None] / actions.shape[1], actions.shape[1], 1)),
            terms=tensor.to_msg("terms", totals[None]),
            best_next=tensor.to_msg("best_next", np.zeros(D, np.float32)),
            rollout_ms=1.0,
        )
        return CandidateCosts(**values | changes)

    def send(self, **request):
        """Send a goal; returns (handle, function that waits for the result)."""
        values = dict(
            use_embedding=True,
            timeout_s=30.0,
            goal_embedding=Embedding(encoder_id="model", latent=tensor.to_msg("latent", GOAL[None])),
        )
        goal = ReachGoal.Goal(**values | request)
        handle = _wait(self.world.in_executor(lambda: self.action.send_goal_async(goal)))
        assert handle.accepted
        result = self.world.in_executor(handle.get_result_async)
        return handle, lambda timeout_s=WAIT_S: _wait(result, timeout_s).result


def _wait(future, timeout_s=WAIT_S):
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    assert done.wait(timeout_s)
    return future.result()


def test_plan_is_bound_to_its_image_goal_and_model(world, checkpoint):
    bench = Bench(world, checkpoint)
    handle, _ = bench.send()
    plan = bench.plans.wait()
    asked = bench.candidates.wait(lambda m: m.plan_id == plan.plan_id)
    assert plan.header == asked.header and plan.header.frame_id == "camera"
    assert plan.goal_id == asked.goal_id == bytes(handle.goal_id.uuid).hex() == bench.goals.wait().goal_id
    assert plan.model_id == asked.model_id == "model" and tuple(plan.joint_names) == SPEC.joint_names
    assert (plan.space, plan.dt, plan.block, plan.execute) == ("joint_delta", SPEC.dt, SPEC.block, SPEC.block)
    actions = tensor.from_msg(plan.actions)
    assert actions.shape == (2 * SPEC.block, SPEC.dim) and np.all(np.abs(actions) <= 0.12 + 1e-6)
    assert tensor.from_msg(asked.actions).shape == (16, 2, SPEC.block_dim)
    assert [
        tensor.from_msg(t).shape
        for t in (asked.context_latents, asked.context_proprio, asked.context_actions)
    ] == [(2, D), (2, SPEC.dim), (1, SPEC.block_dim)]
    status = bench.status.wait(lambda m: m.state == PlannerStatus.EXECUTING)
    assert (
        status.plan_id == plan.plan_id
        and status.header == plan.header
        and status.distance == pytest.approx(1.0)
    )
    assert (status.encode_ms, status.rollout_ms, list(status.term_names)) == (2.0, 2.0, ["goal_distance"])


class Follower:
    """Makes the bench's arm do what plans say, and its encoder see where that leads: latents are what joint 0 says."""

    def __init__(self, bench):
        self.bench, self.done = bench, set()
        bench.speed = 0.0
        bench.world.bench.create_subscription(ActionPlan, "plan", self.execute, 10)
        bench.answer, self.costs = self.answer, bench.answer

    def execute(self, plan):
        self.bench.position += tensor.from_msg(plan.actions)[: SPEC.block].sum(axis=0)
        self.bench.latent = np.full(D, self.bench.position[0], np.float32)

    def answer(self, msg):
        """Costs: how far the arm is from 1 rad, over the horizon."""
        actions = tensor.from_msg(msg.actions).reshape(
            len(tensor.from_msg(msg.actions)), -1, SPEC.block, SPEC.dim
        )
        ends = tensor.from_msg(msg.context_proprio)[-1] + actions.sum(axis=2).cumsum(axis=1)
        totals = np.abs(ends - 1.0).max(axis=-1).sum(axis=-1)
        best = np.full(D, ends[np.argmin(totals), 0, 0], np.float32)
        return self.costs(
            msg,
            totals=tensor.to_msg("totals", totals),
            terms=tensor.to_msg("terms", totals[None]),
            best_next=tensor.to_msg("best_next", best),
        )


@pytest.mark.parametrize("replan", ["event", "always"])
def test_a_plan_that_goes_as_predicted_is_kept_and_the_status_tells(world, checkpoint, replan):
    bench = Bench(world, checkpoint, replan=replan, samples=64, iterations=5, horizon=4, space="free_blocks")
    bench.position = np.zeros(SPEC.dim)
    Follower(bench)
    bench.send(
        goal_embedding=Embedding(
            encoder_id="model", latent=tensor.to_msg("l", np.full((1, D), 2, np.float32))
        )
    )
    second = bench.status.wait(lambda m: m.state == PlannerStatus.EXECUTING and m.plans == 2)
    plans = [bench.plans.wait(lambda m, n=n: bench.plans.messages.index(m) == n) for n in (0, 1)]
    asked = [tensor.from_msg(m.actions) for m in bench.candidates.messages if m.plan_id == plans[1].plan_id]
    if replan == "always":
        assert (second.cause, second.searched, second.kept) == (PlannerStatus.CAUSE_ALWAYS, 2, 0)
        assert [len(a) for a in asked] == [64] * 5
        return
    assert (second.cause, second.searched, second.kept) == (PlannerStatus.CAUSE_NONE, 1, 1)
    first = bench.status.wait(lambda m: m.state == PlannerStatus.EXECUTING and m.plans == 1)
    assert (first.cause, first.searched, first.kept) == (PlannerStatus.CAUSE_NO_PLAN, 1, 0)
    # A kept block is a plan of its own, imagined once from its own look.
    assert [len(a) for a in asked] == [1]
    actions = [tensor.from_msg(plan.actions) for plan in plans]
    np.testing.assert_array_equal(asked[0].reshape(actions[1].shape), actions[1])
    np.testing.assert_allclose(actions[1][: SPEC.block], actions[0][SPEC.block : 2 * SPEC.block], atol=1e-6)
    assert plans[1].header == second.header != plans[0].header and plans[1].plan_id != plans[0].plan_id
    moved = sum(a[: SPEC.block, 0].sum() for a in actions)
    np.testing.assert_allclose(tensor.from_msg(plans[1].predicted.latent), moved, atol=1e-5)
    assert plans[1].expected_cost < plans[0].expected_cost


def test_without_costs_for_the_plan_at_hand_nothing_is_sent_and_then_it_is_searched(world, checkpoint):
    bench = Bench(world, checkpoint, samples=64, iterations=5, horizon=4, space="free_blocks")
    bench.position = np.zeros(SPEC.dim)
    Follower(bench)
    bench.on_asked = lambda msg: len(msg.actions.data) > 4000 and bench.costs.publish(bench.answer(msg))
    bench.send(
        goal_embedding=Embedding(
            encoder_id="model", latent=tensor.to_msg("l", np.full((1, D), 2, np.float32))
        )
    )
    silent = bench.status.wait(
        lambda m: (m.state, m.reason) == (PlannerStatus.WAITING, PlannerStatus.NO_ROLLOUTS)
    )
    assert silent.plans == 1
    again = bench.status.wait(lambda m: m.state == PlannerStatus.EXECUTING and m.plans == 2)
    assert (again.cause, again.searched, again.kept) == (PlannerStatus.CAUSE_NO_PLAN, 2, 0)


def test_after_a_search_without_costs_the_next_one_starts_with_what_is_left_of_the_plan(world, checkpoint):
    bench = Bench(
        world, checkpoint, replan="always", samples=64, iterations=5, horizon=4, space="free_blocks"
    )
    bench.position = np.zeros(SPEC.dim)
    Follower(bench)
    asked = []  # plan ids; nobody answers the second

    def answer_all_but_the_second(msg):
        if msg.plan_id not in asked:
            asked.append(msg.plan_id)
        if asked.index(msg.plan_id) != 1:
            bench.costs.publish(bench.answer(msg))

    bench.on_asked = answer_all_but_the_second
    far = np.full((1, D), 2, np.float32)
    bench.send(goal_embedding=Embedding(encoder_id="model", latent=tensor.to_msg("l", far)))
    first = tensor.from_msg(bench.plans.wait().actions).reshape(4, -1)
    third = bench.candidates.wait(lambda m: len(asked) > 2 and m.plan_id == asked[2])
    tried = tensor.from_msg(third.actions)[1]  # after no motion
    np.testing.assert_allclose(tried[:3], first[1:], atol=1e-6)


def test_a_late_answer_is_none_to_what_the_same_plan_asks_next(world, checkpoint):
    bench = Bench(world, checkpoint, costs_timeout_s=1.0)
    asked = []

    def answer_the_second_when_the_third_is_asked(msg):
        asked.append(msg)
        if len(asked) == 3:
            wrong = tensor.to_msg("totals", np.full(1, -1.0))
            bench.costs.publish(bench.answer(asked[1], totals=wrong))
        if len(asked) != 2:
            bench.costs.publish(bench.answer(msg))

    bench.on_asked = answer_the_second_when_the_third_is_asked
    still = np.zeros((1, SPEC.dim), np.float32)
    context = Context(np.zeros((1, D), np.float32), still, np.zeros((0, SPEC.block_dim), np.float32), 1, 0.0)
    evaluate = bench.node._link.evaluator(PlanRequest("p", "g", "model", Header(), context, GOAL, "sum"))
    actions = np.zeros((1, 2, SPEC.block_dim), np.float32)
    assert evaluate(actions) == 100.0
    with pytest.raises(EvaluationTimeout):
        evaluate(actions)
    assert evaluate(actions) == 100.0
    assert [msg.iteration for msg in asked] == [0, 1, 2]


def test_causes_are_numbered_as_in_the_message():
    told = {name: getattr(PlannerStatus, f"CAUSE_{name}") for name in Cause.__members__}
    assert told == {cause.name: cause.value for cause in Cause}


@pytest.mark.parametrize("speed", [0.02, 0.0], ids=["arm_moves", "arm_ignores_plans"])
def test_next_look_is_taken_after_the_block_and_remembers_what_became_of_it(world, checkpoint, speed):
    bench = Bench(world, checkpoint)
    bench.speed = speed
    bench.send()
    first = bench.plans.wait()
    second = bench.plans.wait(lambda m: m.plan_id != first.plan_id)

    def seconds(stamp):
        return stamp.sec + 1e-9 * stamp.nanosec

    assert seconds(second.header.stamp) - seconds(first.header.stamp) >= SPEC.block * SPEC.dt
    asked = bench.candidates.wait(lambda m: m.plan_id == second.plan_id)
    block = tensor.from_msg(first.actions)[: SPEC.block].reshape(-1)
    assert block.any()
    np.testing.assert_array_equal(tensor.from_msg(asked.context_actions)[0], block if speed else 0.0 * block)


def test_late_and_foreign_costs_are_dropped_and_counted(world, checkpoint):
    bench = Bench(world, checkpoint, costs_timeout_s=WAIT_S)
    told = []

    def lie_then_answer(msg):
        """In a thread of its own: every lie is taken before the next is told."""
        wrong = tensor.to_msg("totals", np.full(len(tensor.from_msg(msg.actions)), -1.0))
        for change in ({"plan_id": "foreign"}, {"iteration": msg.iteration + 7}):
            told.append(change)
            bench.costs.publish(bench.answer(msg, totals=wrong, **change))
            world.until(lambda: bench.node._link.dropped == len(told))
        bench.costs.publish(bench.answer(msg))

    bench.on_asked = lambda msg: threading.Thread(target=lie_then_answer, args=(msg,)).start()
    bench.send()
    plan, status = bench.plans.wait(), bench.status.wait(lambda m: m.state == PlannerStatus.EXECUTING)
    assert len(told) == 4 and status.dropped == 4 and plan.expected_cost > 0


def test_reached_after_the_confirming_looks(world, checkpoint):
    bench = Bench(world, checkpoint, confirm_looks=3)
    bench.latent = GOAL + 0.01
    _, result = bench.send()
    result = result()
    assert result.termination_reason == RESULT.REACHED and result.plans == 2 and result.final_distance < 0.05
    assert bench.status.wait(lambda m: m.state == PlannerStatus.REACHED).reason == PlannerStatus.NONE


def test_tolerance_of_the_request_counts(world, checkpoint):
    bench = Bench(world, checkpoint, confirm_looks=1)
    _, result = bench.send(tolerance=1.5)
    assert result().termination_reason == RESULT.REACHED and not bench.plans.messages


def test_no_costs_sends_no_plan_says_so_and_recovers(world, checkpoint):
    bench = Bench(world, checkpoint)
    bench.silent = True
    bench.send()
    status = bench.status.wait(lambda m: m.reason == PlannerStatus.NO_ROLLOUTS)
    assert status.state == PlannerStatus.WAITING and "world_model" in status.text and not bench.plans.messages
    bench.silent = False
    bench.plans.wait()
    assert bench.status.wait(lambda m: m.state == PlannerStatus.EXECUTING).reason == PlannerStatus.NONE


@pytest.mark.parametrize(
    "blocked, status_reason, result_reason",
    [
        ("image", PlannerStatus.NO_IMAGE, RESULT.NO_IMAGE),
        ("joints", PlannerStatus.NO_JOINT_STATE, RESULT.NO_JOINT_STATE),
        ("costs", PlannerStatus.NO_ROLLOUTS, RESULT.NO_COSTS),
    ],
)
def test_given_up_with_the_reason(world, checkpoint, blocked, status_reason, result_reason):
    bench = Bench(world, checkpoint, give_up_s=0.4)
    bench.feed, bench.silent = blocked != "image", blocked == "costs"
    if blocked == "joints":
        bench.joints.publish = lambda msg: None
    _, result = bench.send()
    assert bench.status.wait(lambda m: m.reason == status_reason).state == PlannerStatus.WAITING
    result = result()
    assert result.termination_reason == result_reason and result.text and not bench.plans.messages


@pytest.mark.parametrize("speed", [0.02, 0.0], ids=["arm_moves", "arm_ignores_plans"])
def test_timeout_says_where_the_arm_never_moved(world, checkpoint, speed):
    bench = Bench(world, checkpoint)
    bench.speed = speed
    _, result = bench.send(timeout_s=2.0)
    result = result()
    assert result.termination_reason == RESULT.TIMEOUT and "out of time" in result.text
    assert ("is action_publisher armed?" in result.text) == (not speed)


def test_cancel_ends_the_goal_with_a_plan_not_to_move(world, checkpoint):
    bench = Bench(world, checkpoint)
    handle, result = bench.send()
    first = bench.plans.wait()
    world.until(
        lambda: bench.node._inbox.newest_look.header.stamp != first.header.stamp
    )  # the hold is from it
    _wait(world.in_executor(handle.cancel_goal_async))
    assert result().termination_reason == RESULT.CANCELED
    assert bench.status.wait(lambda m: m.state == PlannerStatus.FAILED).reason == PlannerStatus.CANCELED
    last = bench.plans.wait(lambda m: not tensor.from_msg(m.actions).any())
    assert last.header.stamp != first.header.stamp and tensor.from_msg(last.actions).shape == (
        SPEC.block,
        SPEC.dim,
    )
    _, second = bench.send(tolerance=9.0)  # the planner goes on, and nothing more was sent for the first goal
    assert second().termination_reason == RESULT.REACHED
    after = bench.plans.messages[bench.plans.messages.index(last) + 1 :]
    assert first.goal_id not in [plan.goal_id for plan in after]


def test_cancel_interrupts_the_wait_for_costs(world, checkpoint):
    bench = Bench(world, checkpoint, costs_timeout_s=300.0)
    bench.silent = True
    handle, result = bench.send(timeout_s=600.0)
    bench.candidates.wait()
    _wait(world.in_executor(handle.cancel_goal_async))
    assert result().termination_reason == RESULT.CANCELED and not bench.plans.messages


def test_newer_goal_takes_the_place(world, checkpoint):
    bench = Bench(world, checkpoint)
    _, first = bench.send()
    bench.plans.wait()
    handle, _ = bench.send()
    assert first().termination_reason == RESULT.PREEMPTED
    bench.plans.wait(lambda m: m.goal_id == bytes(handle.goal_id.uuid).hex())


def embedded(value, width=D, encoder_id="model"):
    """The embedding of an image whose latent is ``value`` throughout."""
    latent = np.full((1, width), value, np.float32)
    return Embedding(encoder_id=encoder_id, latent=tensor.to_msg("latent", latent))


def test_what_is_pursued_is_announced_and_costs_of_what_is_past_are_foreign(world, checkpoint):
    bench = Bench(world, checkpoint)
    late = []

    def answer(msg):
        for old in late:  # asked for the sub-goal, answered when the goal is pursued
            bench.costs.publish(bench.answer(old))
        bench.costs.publish(bench.answer(msg))

    bench.on_asked = answer
    handle, _ = bench.send(sub_goal_embeddings=[embedded(0.5)], sub_goal_tolerance=0.2)
    whole = bytes(handle.goal_id.uuid).hex()
    first = bench.status.wait(lambda m: m.state == PlannerStatus.EXECUTING)
    assert (first.goal_id, first.sub_goal, first.sub_goals) == (whole, 0, 1)
    assert (first.sub_goal_distance, first.distance) == (pytest.approx(0.5), pytest.approx(1.0))
    asked = bench.candidates.wait(lambda m: m.plan_id == first.plan_id)
    assert asked.goal_id == bench.plans.wait().goal_id == f"{whole}.0"
    late.append(asked)
    bench.latent = np.full(D, 0.6, np.float32)
    second = bench.status.wait(lambda m: m.state == PlannerStatus.EXECUTING and m.sub_goal == 1)
    assert (second.advances, second.cause) == (1, PlannerStatus.CAUSE_NO_PLAN) and second.dropped > 0
    assert second.sub_goal_distance == second.distance == pytest.approx(0.4)
    assert bench.plans.wait(lambda m: m.plan_id == second.plan_id).goal_id == whole
    for goal_id, part_of, latent in ((f"{whole}.0", whole, 0.5), (whole, "", 1.0)):
        goal = bench.goals.wait(lambda m, goal_id=goal_id: m.goal_id == goal_id)
        assert goal.part_of == part_of
        np.testing.assert_allclose(tensor.from_msg(goal.embedding.latent), latent)


def test_the_goal_counts_after_its_sub_goals_only(world, checkpoint):
    bench = Bench(world, checkpoint, confirm_looks=1)
    bench.latent = GOAL
    _, result = bench.send(sub_goal_embeddings=[embedded(0.0)], tolerance=0.1)
    on_the_way = bench.status.wait(lambda m: m.plans == 2)
    assert on_the_way.distance == 0.0 and on_the_way.sub_goal == 0
    bench.latent = np.zeros(D, np.float32)
    bench.status.wait(lambda m: m.sub_goal == 1)
    bench.latent = GOAL
    assert result().termination_reason == RESULT.REACHED


def test_lost_once_more_than_it_falls_back_it_ends_and_says_so(world, checkpoint):
    bench = Bench(world, checkpoint, **{"sub_goals.max_fallbacks": 1, "sub_goals.lost_looks": 1})
    _, result = bench.send(sub_goal_embeddings=[embedded(0.5)], sub_goal_tolerance=0.1, tolerance=0.01)
    for fallbacks in range(2):
        bench.latent = np.full(D, 0.5, np.float32)
        bench.status.wait(lambda m, n=fallbacks: (m.sub_goal, m.fallbacks) == (1, n))
        bench.latent = np.zeros(D, np.float32)
        if fallbacks == 0:
            bench.status.wait(lambda m: (m.sub_goal, m.fallbacks) == (0, 1))
    result = result()
    assert result.termination_reason == RESULT.SUB_GOAL_LOST and "after 1 fallbacks" in result.text
    assert (result.sub_goal, result.advances, result.fallbacks) == (1, 2, 1)
    end = bench.status.wait(lambda m: m.state == PlannerStatus.FAILED)
    assert end.reason == PlannerStatus.SUB_GOAL_LOST and end.text == result.text


def test_out_of_time_amid_sub_goals_says_at_which(world, checkpoint):
    _, result = Bench(world, checkpoint).send(sub_goal_embeddings=[embedded(0.5)] * 3, timeout_s=4.0)
    result = result()
    assert result.termination_reason == RESULT.TIMEOUT and "from sub-goal 1 of 3" in result.text


@pytest.mark.parametrize(
    "request_, says",
    [
        ({"goal_embedding": Embedding(latent=tensor.to_msg("l", np.zeros((1, 3), np.float32)))}, "3 numbers"),
        (
            {"goal_embedding": Embedding(latent=tensor.to_msg("l", np.full((1, D), np.nan, np.float32)))},
            "NaN",
        ),
        ({"tolerance": math.nan}, "tolerance"),
        ({"timeout_s": -1.0}, "timeout_s"),
        ({"sub_goal_tolerance": math.inf}, "sub_goal_tolerance"),
        ({"sub_goal_embeddings": [embedded(0.5), embedded(0.5, width=3)]}, "sub_goal_embeddings[1]: its"),
        ({"sub_goal_embeddings": [embedded(0.5), embedded(math.nan)]}, "sub_goal_embeddings[1]: its"),
        ({"sub_goal_embeddings": [embedded(0.5, encoder_id="other")]}, "sub_goal_embeddings[0] is of"),
        ({"sub_goal_embeddings": [Embedding(encoder_id="model")]}, "sub_goal_embeddings[0]: "),
        ({"sub_goal_images": [Image()]}, "give sub_goal_embeddings"),
    ],
)
def test_unusable_goal_is_rejected_with_words(world, checkpoint, request_, says):
    _, result = Bench(world, checkpoint).send(**request_)
    result = result()
    assert result.termination_reason == RESULT.REJECTED and says in result.text


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    """A checkpoint that knows what is normal for the bench's encoder: latents around 0, surprises below 0.5."""
    folder = tmp_path_factory.mktemp("calibrated")
    make_checkpoint(folder)
    quantiles = {q: 0.5 for q in QUANTILES}
    found = Calibration(np.zeros(D), np.eye(D), 1.0, {q: 3.0 for q in QUANTILES}, quantiles, 1, "")
    (folder / CALIBRATION).write_text(json.dumps({"model_id": "model"} | found.to_dict()))
    return str(folder)


def test_what_stays_strange_is_held_and_ends_the_goal(world, calibrated):
    bench = Bench(world, calibrated, give_up_s=1.0)
    bench.speed = 0.02
    _, result = bench.send()
    held = bench.status.wait(lambda m: m.reason == PlannerStatus.IMAGE_FROZEN)
    assert (held.state, held.speed, round(held.surprise_threshold, 6)) == (PlannerStatus.WAITING, 0.0, 0.25)
    hold = bench.plans.wait(lambda m: m.plan_id == held.plan_id)
    assert not tensor.from_msg(hold.actions).any() and hold.execute == SPEC.block
    result = result()
    assert result.termination_reason == RESULT.SURPRISE and result.text.startswith("held: the image has not")
    moves = [tensor.from_msg(plan.actions).any() for plan in bench.plans.messages]
    assert moves == [True] + [False] * (len(moves) - 1) and result.plans == len(moves)


def test_a_strange_look_is_not_the_goal(world, calibrated):
    bench = Bench(world, calibrated, confirm_looks=1, give_up_s=1.0)
    bench.latent = GOAL + 5.0  # unlike any training data
    _, result = bench.send(tolerance=9.0)
    assert result().termination_reason == RESULT.SURPRISE


@pytest.mark.parametrize("why", ["no calibration", "another model's", "switched off"])
def test_without_a_yardstick_looks_are_not_judged_and_that_is_said(world, calibrated, checkpoint, why, capfd):
    found = {"no calibration": checkpoint}.get(why, calibrated)
    bench = Bench(world, found, **{"surprise.enabled": why != "switched off"})
    bench.encoder_id = "another" if why == "another model's" else "model"
    bench.speed = 0.02
    bench.send(goal_embedding=Embedding(encoder_id=bench.encoder_id, latent=tensor.to_msg("l", GOAL[None])))
    status = bench.status.wait(lambda m: m.state == PlannerStatus.EXECUTING and m.plans == 3)
    assert math.isnan(status.surprise) and math.isnan(status.surprise_threshold) and status.speed == 1.0
    said = bench.node.not_judged if why != "another model's" else capfd.readouterr().err
    assert "looks are not judged" in said


@pytest.mark.parametrize("reason", [SafetyStatus.TOO_MANY_VETOES, SafetyStatus.ESTOP])
def test_a_guard_that_lets_nothing_through_ends_the_goal(world, checkpoint, reason):
    bench = Bench(world, checkpoint)
    safety = world.talk(SafetyStatus, "action_publisher/safety_status", qos.STATUS)
    _, result = bench.send()
    bench.plans.wait()
    safety.publish(SafetyStatus(state=SafetyStatus.HOLDING, reason=SafetyStatus.PLAN_STALE, text="harmless"))
    state = SafetyStatus.ESTOPPED if reason == SafetyStatus.ESTOP else SafetyStatus.HOLDING
    safety.publish(SafetyStatus(state=state, reason=reason, text="come and see"))
    result = result()
    assert result.termination_reason == RESULT.SAFETY and result.text.endswith("come and see")
    assert bench.status.wait(lambda m: m.state == PlannerStatus.FAILED).reason == PlannerStatus.SAFETY


def test_no_plan_is_made_for_a_guard_that_fell_silent(world, checkpoint):
    bench = Bench(world, checkpoint)
    safety = world.talk(SafetyStatus, "action_publisher/safety_status", qos.STATUS)
    safety.publish(SafetyStatus(state=SafetyStatus.RUNNING))
    bench.send()
    bench.plans.wait()
    silent = bench.status.wait(lambda m: (m.state, m.reason) == (PlannerStatus.WAITING, PlannerStatus.SAFETY))
    assert "does it run" in silent.text
    bench.plans.clear()
    safety.publish(SafetyStatus(state=SafetyStatus.ARMED))
    bench.plans.wait()


def test_foreign_models_embeddings_end_the_goal(world, checkpoint):
    bench = Bench(world, checkpoint)
    bench.encoder_id = "another"
    _, result = bench.send()
    result = result()
    assert (
        result.termination_reason == RESULT.MODEL_MISMATCH
        and "'another'" in result.text
        and not bench.plans.messages
    )


def test_costs_without_a_finite_number_end_the_goal(world, checkpoint):
    bench = Bench(world, checkpoint)
    good = bench.answer
    bench.answer = lambda msg: good(msg, totals=tensor.to_msg("totals", np.full(16, np.nan)))
    _, result = bench.send()
    result = result()
    assert (
        result.termination_reason == RESULT.INTERNAL_ERROR
        and "finite" in result.text
        and not bench.plans.messages
    )


def test_goal_topic_is_pursued_unless_it_is_from_before_activation(world, checkpoint):
    latched = world.talk(Goal, "goal", qos.GOAL, readers=0)
    latent = Embedding(encoder_id="model", latent=tensor.to_msg("latent", GOAL[None]))
    latched.publish(Goal(goal_id="old", embedding=latent))
    bench = Bench(world, checkpoint)
    world.until(lambda: latched.get_subscription_count() == 2)
    bench.goals.wait(lambda m: m.goal_id == "old")
    latched.publish(Goal(goal_id="new", embedding=latent))
    assert bench.plans.wait().goal_id == "new"


def test_sim_time_without_a_clock_moves_nothing_and_ends(world, checkpoint):
    bench = Bench(world, checkpoint, use_sim_time=True, give_up_s=0.5)
    bench.feed = False
    _, result = bench.send()
    bench.status.wait(lambda m: m.reason == PlannerStatus.NO_IMAGE)
    ended = threading.Event()
    world.executor.create_task(lambda: (bench.node.stop(), ended.set()))
    assert ended.wait(WAIT_S) and result().termination_reason == RESULT.SHUTDOWN


def test_missing_joint_is_named(world, checkpoint):
    bench = Bench(world, checkpoint)
    world.until(lambda: bench.joints.get_subscription_count())
    logs = world.said()
    bench.joints.publish(JointState(name=["shoulder_pan"], position=[0.0]))
    logs.wait(lambda log: "joint_states lacks shoulder_lift" in log.msg)


@pytest.mark.parametrize(
    "parameters, says",
    [
        ({"checkpoint": ""}, "checkpoint is empty"),
        ({"checkpoint": "/nowhere"}, "/nowhere"),
        ({"elites": 32}, "elites"),
        ({"robot.rate_hz": 20.0}, "rate_hz"),
    ],
)
def test_bad_settings_stay_unconfigured_and_say_why(world, checkpoint, parameters, says):
    node = world.make(
        PlannerNode, start=False, parameters={"checkpoint": checkpoint, "samples": 16} | parameters
    )
    assert not world.in_executor(node.start) and says in node.failure


def test_config_that_is_no_checkpoint_is_named(world, tmp_path):
    make_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    node = world.make(PlannerNode, start=False, parameters={"checkpoint": str(tmp_path)})
    assert not world.in_executor(node.start) and "config.json" in node.failure
