"""The planner by way of sub-goals, against its bench: what it announces, passes, loses and says."""

import threading

import numpy as np
import pytest
from jepa_ros.msg import PlannerStatus
from planner_bench import GOAL, RESULT, Bench, D, embedded

from jepa_ros.nodes.wire import tensor


def test_what_is_pursued_is_announced_and_costs_of_what_is_past_are_foreign(world, checkpoint):
    bench = Bench(world, checkpoint)
    late = []

    def answer(msg):
        """In a thread of its own: what is late is taken before the answer is sent."""
        for old in late:  # asked for the sub-goal, answered when the goal is pursued
            dropped = bench.node._link.dropped
            bench.costs.publish(bench.answer(old))
            world.until(lambda dropped=dropped: bench.node._link.dropped > dropped)
        bench.costs.publish(bench.answer(msg))

    bench.on_asked = lambda msg: threading.Thread(target=answer, args=(msg,)).start()
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
