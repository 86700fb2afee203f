"""The planner against a bench that plays camera, robot, encoder, world model and cost: what it asks, takes
and sends."""

import json
import math
import threading
from contextlib import suppress

import numpy as np
import pytest
from jepa_ros.msg import Embedding, Goal, PlannerStatus, SafetyStatus
from node_bench import WAIT_S, make_checkpoint
from planner_bench import (
    ENCODE_MS,
    GOAL,
    HORIZON,
    ITERATIONS,
    RESULT,
    ROLLOUT_MS,
    SAMPLES,
    SOON_S,
    SPEC,
    Bench,
    D,
    embedded,
    wait_for,
)
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header

from jepa_ros.nodes.actor.pursuit import PlanRequest
from jepa_ros.nodes.planner import PlannerNode
from jepa_ros.nodes.wire import qos, tensor
from jepa_ros.planning.memory import Context
from jepa_ros.planning.protocols import EvaluationTimeout
from jepa_ros.world_model.calibration import CALIBRATION, Calibration
from jepa_ros.world_model.quantiles import QUANTILES

SLOW = 0.02  # rad per look: an arm that moves


def test_plan_is_bound_to_its_image_goal_and_model(world, checkpoint):
    bench = Bench(world, checkpoint)
    handle, _ = bench.send()
    plan = bench.plans.wait()
    asked = bench.candidates.wait(lambda m: m.plan_id == plan.plan_id)
    assert plan.header == asked.header and plan.header.frame_id == "camera"
    assert plan.goal_id == asked.goal_id == bytes(handle.goal_id.uuid).hex() == bench.goals.wait().goal_id
    assert plan.model_id == asked.model_id == "model" and tuple(plan.joint_names) == SPEC.joint_names
    assert (plan.space, plan.dt, plan.block, plan.execute) == ("joint_delta", SPEC.dt, SPEC.block, SPEC.block)
    assert list(plan.proprio) == [bench.position] * SPEC.dim
    actions = tensor.from_msg(plan.actions)
    assert actions.shape == (HORIZON * SPEC.block, SPEC.dim) and np.all(
        np.abs(actions) <= max(SPEC.upper) + 1e-6
    )
    assert tensor.from_msg(asked.actions).shape == (SAMPLES, HORIZON, SPEC.block_dim)
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
    assert (status.encode_ms, status.rollout_ms) == (ENCODE_MS, ITERATIONS * ROLLOUT_MS)
    assert list(status.term_names) == ["goal_distance"]


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
    actions = np.zeros((1, HORIZON, SPEC.block_dim), np.float32)
    assert evaluate(actions) == 100.0
    with pytest.raises(EvaluationTimeout):
        evaluate(actions)
    assert evaluate(actions) == 100.0
    assert [msg.iteration for msg in asked] == [0, 1, 2]


@pytest.mark.parametrize("speed", [SLOW, 0.0], ids=["arm_moves", "arm_ignores_plans"])
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
    bench = Bench(world, checkpoint)
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
    assert len(told) == status.dropped == 2 * ITERATIONS and plan.expected_cost > 0


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
    bench = Bench(world, checkpoint, costs_timeout_s=SOON_S)
    bench.silent = True
    bench.send()
    status = bench.status.wait(lambda m: m.reason == PlannerStatus.NO_ROLLOUTS)
    assert status.state == PlannerStatus.WAITING and "world_model" in status.text and not bench.plans.messages
    bench.silent = False
    bench.plans.wait()
    assert bench.status.wait(lambda m: m.state == PlannerStatus.EXECUTING).reason == PlannerStatus.NONE


@pytest.mark.parametrize(
    "blocked, limits, status_reason, result_reason",
    [
        ("image", {"image_timeout_s": SOON_S}, PlannerStatus.NO_IMAGE, RESULT.NO_IMAGE),
        ("joints", {}, PlannerStatus.NO_JOINT_STATE, RESULT.NO_JOINT_STATE),
        ("costs", {"costs_timeout_s": SOON_S}, PlannerStatus.NO_ROLLOUTS, RESULT.NO_COSTS),
    ],
    ids=["image", "joints", "costs"],
)
def test_given_up_with_the_reason(world, checkpoint, blocked, limits, status_reason, result_reason):
    bench = Bench(world, checkpoint, give_up_s=0.4, **limits)
    bench.feed, bench.silent = blocked != "image", blocked == "costs"
    if blocked == "joints":
        bench.joints.publish = lambda msg: None
    _, result = bench.send()
    assert bench.status.wait(lambda m: m.reason == status_reason).state == PlannerStatus.WAITING
    result = result()
    assert result.termination_reason == result_reason and result.text and not bench.plans.messages


@pytest.mark.parametrize("speed", [SLOW, 0.0], ids=["arm_moves", "arm_ignores_plans"])
def test_timeout_says_where_the_arm_never_moved(world, checkpoint, speed):
    bench = Bench(world, checkpoint)
    bench.speed = speed
    _, result = bench.send(timeout_s=2.0)
    result = result()
    assert result.termination_reason == RESULT.TIMEOUT and "out of time" in result.text
    assert ("is action_publisher armed?" in result.text) == (not speed)


@pytest.mark.parametrize("by_another", [False, True], ids=["canceled", "preempted"])
def test_a_first_goal_that_ends_before_its_image_is_encoded_leaves_the_planner_working(
    world, checkpoint, by_another
):
    bench = Bench(world, checkpoint)  # nobody encodes
    handle, result = bench.send(use_embedding=False, goal_image=Image(height=1, width=1, encoding="rgb8"))
    goal_id = bytes(handle.goal_id.uuid).hex()
    world.until(lambda: bench.node._pursuit.status.goal_id == goal_id)
    if by_another:
        bench.send()
        assert result().termination_reason == RESULT.PREEMPTED
    else:
        wait_for(world.in_executor(handle.cancel_goal_async))
        assert result().termination_reason == RESULT.CANCELED
        bench.send()
    bench.plans.wait()


def test_cancel_ends_the_goal_with_a_plan_not_to_move(world, checkpoint):
    bench = Bench(world, checkpoint)
    handle, result = bench.send()
    first = bench.plans.wait()
    world.until(
        lambda: bench.node._inbox.newest_look.header.stamp != first.header.stamp
    )  # the hold is from it
    wait_for(world.in_executor(handle.cancel_goal_async))
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


def test_cancel_waits_for_the_next_look_to_end_the_block(world, checkpoint):
    bench = Bench(world, checkpoint)
    bench.timer.cancel()
    handle, result = bench.send()
    while not bench.plans.messages:
        world.in_executor(bench.look)
        with suppress(AssertionError):
            bench.plans.wait(timeout_s=1.0)  # from this look: none is newer
    wait_for(world.in_executor(handle.cancel_goal_async))
    bench.timer.reset()
    assert result().termination_reason == RESULT.CANCELED
    bench.plans.wait(lambda m: not tensor.from_msg(m.actions).any())


def test_cancel_interrupts_the_wait_for_costs(world, checkpoint):
    bench = Bench(world, checkpoint, costs_timeout_s=300.0)
    bench.silent = True
    handle, result = bench.send(timeout_s=600.0)
    bench.candidates.wait()
    wait_for(world.in_executor(handle.cancel_goal_async))
    assert result().termination_reason == RESULT.CANCELED and not bench.plans.messages


def test_newer_goal_takes_the_place(world, checkpoint):
    bench = Bench(world, checkpoint)
    _, first = bench.send()
    bench.plans.wait()
    handle, _ = bench.send()
    assert first().termination_reason == RESULT.PREEMPTED
    bench.plans.wait(lambda m: m.goal_id == bytes(handle.goal_id.uuid).hex())


@pytest.mark.parametrize(
    "request_, says",
    [
        ({"goal_embedding": embedded(0.0, width=3)}, "3 numbers"),
        ({"goal_embedding": embedded(math.nan)}, "NaN"),
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
    bench = Bench(world, checkpoint)
    handle, result = bench.send(**request_)
    result = result()
    assert result.termination_reason == RESULT.REJECTED and says in result.text
    status = bench.status.wait(lambda m: m.state == PlannerStatus.FAILED)
    assert status.reason == PlannerStatus.REJECTED and status.text == result.text
    assert status.goal_id == bytes(handle.goal_id.uuid).hex()


def test_a_planner_that_is_shut_down_answers_for_the_goal_at_hand(world, checkpoint):
    bench = Bench(world, checkpoint)
    _, result = bench.send()
    bench.plans.wait()
    world.in_executor(bench.node.trigger_shutdown)
    assert result().termination_reason == RESULT.SHUTDOWN
    world.until(lambda: not bench.node._holds)


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
    bench.speed = SLOW
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
    bench.speed = SLOW
    bench.send(goal_embedding=embedded(GOAL, encoder_id=bench.encoder_id))
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


@pytest.mark.parametrize("images", [True, False], ids=["images", "no_images"])
def test_no_plan_is_made_for_a_guard_that_fell_silent(world, checkpoint, images):
    bench = Bench(world, checkpoint, image_timeout_s=SOON_S)
    safety = world.talk(SafetyStatus, "action_publisher/safety_status", qos.STATUS)

    def guard(state):
        return world.bench.create_timer(0.2, lambda: safety.publish(SafetyStatus(state=state)))

    running = guard(SafetyStatus.RUNNING)
    world.until(lambda: bench.node._guard_seen)
    bench.send()
    bench.plans.wait()
    running.cancel()
    bench.feed = images
    silent = bench.status.wait(lambda m: (m.state, m.reason) == (PlannerStatus.WAITING, PlannerStatus.SAFETY))
    assert "does it run" in silent.text
    bench.plans.clear()
    bench.feed = True
    guard(SafetyStatus.ARMED)
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
    bench.answer = lambda msg: good(msg, totals=tensor.to_msg("totals", np.full(SAMPLES, np.nan)))
    _, result = bench.send()
    result = result()
    assert (
        result.termination_reason == RESULT.INTERNAL_ERROR
        and "finite" in result.text
        and not bench.plans.messages
    )
    status = bench.status.wait(lambda m: m.state == PlannerStatus.FAILED)
    assert status.reason == PlannerStatus.INTERNAL_ERROR and status.text == result.text


def test_goal_topic_is_pursued_unless_it_is_from_before_activation(world, checkpoint):
    latched = world.talk(Goal, "goal", qos.GOAL, readers=0)
    latent = embedded(GOAL)
    latched.publish(Goal(goal_id="old", embedding=latent))
    bench = Bench(world, checkpoint)
    world.until(lambda: latched.get_subscription_count() == 2)
    bench.goals.wait(lambda m: m.goal_id == "old")
    latched.publish(Goal(goal_id="new", embedding=latent))
    assert bench.plans.wait().goal_id == "new"


def test_sim_time_without_a_clock_moves_nothing_and_ends(world, checkpoint):
    bench = Bench(world, checkpoint, use_sim_time=True, give_up_s=0.5, image_timeout_s=SOON_S)
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
        ({"elites": 2 * SAMPLES}, "elites"),
        ({"robot.rate_hz": 20.0}, "rate_hz"),
    ],
)
def test_bad_settings_stay_unconfigured_and_say_why(world, checkpoint, parameters, says):
    node = world.make(
        PlannerNode, start=False, parameters={"checkpoint": checkpoint, "samples": SAMPLES} | parameters
    )
    assert not world.in_executor(node.start) and says in node.failure


def test_config_that_is_no_checkpoint_is_named(world, tmp_path):
    make_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    node = world.make(PlannerNode, start=False, parameters={"checkpoint": str(tmp_path)})
    assert not world.in_executor(node.start) and "config.json" in node.failure
