"""When the planner in the graph keeps a plan and when it searches, what it asks for that, and what it says of it."""

import numpy as np
import pytest
from jepa_ros.msg import ActionPlan, PlannerStatus
from planner_bench import SPEC, Bench, D, embedded

from jepa_ros.nodes.wire import tensor
from jepa_ros.planning.trigger import Cause

FAR = 2.0  # a goal of this latent is not reached within a few plans
LONG = {"samples": 64, "iterations": 5, "horizon": 4, "space": "free_blocks"}


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
    bench = Bench(world, checkpoint, replan=replan, **LONG)
    bench.position = np.zeros(SPEC.dim)
    Follower(bench)
    bench.send(goal_embedding=embedded(FAR))
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
    bench = Bench(world, checkpoint, costs_timeout_s=2.0, **LONG)
    bench.position = np.zeros(SPEC.dim)
    Follower(bench)
    bench.on_asked = lambda msg: len(msg.actions.data) > 4000 and bench.costs.publish(bench.answer(msg))
    bench.send(goal_embedding=embedded(FAR))
    silent = bench.status.wait(
        lambda m: (m.state, m.reason) == (PlannerStatus.WAITING, PlannerStatus.NO_ROLLOUTS)
    )
    assert silent.plans == 1
    again = bench.status.wait(lambda m: m.state == PlannerStatus.EXECUTING and m.plans == 2)
    assert (again.cause, again.searched, again.kept) == (PlannerStatus.CAUSE_NO_PLAN, 2, 0)


def test_after_a_search_without_costs_the_next_one_starts_with_what_is_left_of_the_plan(world, checkpoint):
    bench = Bench(world, checkpoint, replan="always", costs_timeout_s=2.0, **LONG)
    bench.position = np.zeros(SPEC.dim)
    Follower(bench)
    asked = []  # plan ids; nobody answers the second

    def answer_all_but_the_second(msg):
        if msg.plan_id not in asked:
            asked.append(msg.plan_id)
        if asked.index(msg.plan_id) != 1:
            bench.costs.publish(bench.answer(msg))

    bench.on_asked = answer_all_but_the_second
    bench.send(goal_embedding=embedded(FAR))
    first = tensor.from_msg(bench.plans.wait().actions).reshape(4, -1)
    third = bench.candidates.wait(lambda m: len(asked) > 2 and m.plan_id == asked[2])
    tried = tensor.from_msg(third.actions)[1]  # after no motion
    np.testing.assert_allclose(tried[:3], first[1:], atol=1e-6)


def test_causes_are_numbered_as_in_the_message():
    told = {name: getattr(PlannerStatus, f"CAUSE_{name}") for name in Cause.__members__}
    assert told == {cause.name: cause.value for cause in Cause}
