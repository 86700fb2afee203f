"""Goals by way of sub-goals, in the live graph of both compositions: in order, refused, canceled, lost and found again."""

import dataclasses
import itertools
import os

import numpy as np
import pytest
from jepa_ros.action import ReachGoal
from jepa_ros.msg import ActionPlan, CandidateCosts, Embedding, Goal, PlannerStatus
from node_bench import PATIENT_GUARD, Inbox, put_at_start
from rclpy.qos import QoSProfile
from rclpy.time import Time
from sensor_msgs.msg import JointState

from jepa_ros.nodes.bringup.graph import Graph
from jepa_ros.nodes.bringup.running import Bringup
from jepa_ros.nodes.client import GraphClient
from jepa_ros.nodes.wire import images, tensor
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task

SEED = 8  # of an episode whose goal is far from its start
WAIT_S = 90.0
NEVER = 1e-6  # a tolerance that no look is within
PASSED = 0.2  # one that passes a sub-goal
RESULT = ReachGoal.Result
# A busy test machine may be slow; what is tested is not its speed. An arm that is put elsewhere is a surprise to the
# planner, which would hold it.
PATIENT = {
    "planner": {"deadline_s": 0.0, "costs_timeout_s": 5.0, "surprise.enabled": False},
    "action_publisher": PATIENT_GUARD,
}


@pytest.fixture(scope="module", params=["distributed", "single"])
def client(request, tmp_path_factory):
    namespace = f"way{os.getpid()}{request.param}"
    graph = Graph(namespace, composition=request.param, overrides=PATIENT)
    with Bringup(graph, tmp_path_factory.mktemp("log")) as bringup, GraphClient(namespace) as client:
        client.wait_active(graph.nodes, check=bringup.check)
        yield client


@pytest.fixture(scope="module")
def way():
    """Share of the way from the start to the goal -> the picture there."""
    start, goal = make_task("reach").episode(SEED)
    with Simulator("reach") as simulator:
        yield lambda share: simulator.goal_image(
            dataclasses.replace(
                goal, joints=np.array(start.joints) + share * np.subtract(goal.joints, start.joints)
            )
        )


class Run:
    """The topics and the goal of one test, from the start of the episode on."""

    def __init__(self, client):
        self.client, self.subscriptions, self.feedback, self.goal = client, [], Inbox(), None
        self.status = self.listen(PlannerStatus, "planner/status")
        self.plans, self.goals = self.listen(ActionPlan, "plan"), self.listen(Goal, "goal")
        self.costs, self.joints = (
            self.listen(CandidateCosts, "costs"),
            self.listen(JointState, "joint_states"),
        )
        put_at_start(client, self.joints, "reach", SEED)
        self.client.arm(True)

    def listen(self, kind, topic):
        inbox = Inbox()
        subscription = self.client.node.create_subscription(kind, topic, inbox, QoSProfile(depth=500))
        self.subscriptions.append(subscription)
        return inbox

    def wait_for_looks_after_the_plan(self):
        """Until the planner has seen what comes after the plan that is being executed: of two, the first has arrived."""
        looks = self.listen(Embedding, "embedding")

        def after(_):
            planned = header_stamp(self.status.messages[-1])
            return sum(header_stamp(look) > planned for look in looks.messages) >= 2

        looks.wait(after, WAIT_S)

    def send(self, image, sub_goals, tolerance=0.08):
        self.goal = self.client.send_goal(image, tolerance, WAIT_S, self.feedback, sub_goals, PASSED)
        return self.goal


@pytest.fixture
def run(client):
    run = Run(client)
    yield run
    if run.goal is not None:
        run.goal.cancel()
        run.goal.result(WAIT_S)
    for subscription in run.subscriptions:
        client.destroy_subscription(subscription)


def header_stamp(msg):
    """ns"""
    return Time.from_msg(msg.header.stamp).nanoseconds


def in_order(values):
    """Each value once, as often as it changes."""
    return [value for value, _ in itertools.groupby(values)]


def test_two_sub_goals_are_passed_and_then_the_goal_is_reached(run, way):
    result = run.send(way(1.0), [way(0.35), way(0.7)]).result(WAIT_S)
    assert result.termination_reason == RESULT.REACHED, result.text
    assert (result.sub_goal, result.advances, result.fallbacks) == (2, 2, 0)
    last = run.status.wait(lambda m: m.state == PlannerStatus.REACHED)
    assert (last.sub_goal, last.sub_goals, last.advances) == (2, 2, 2)
    assert last.sub_goal_distance == last.distance == result.final_distance <= 0.08
    whole = last.goal_id
    assert {m.goal_id for m in run.status.messages if m.plans} == {whole}
    # What is pursued is on the topic before it is planned for; nothing is planned for what is past.
    goals = run.goals.messages
    run.goals.wait(lambda _: len(goals) >= 3)
    assert [m.goal_id for m in goals] == [f"{whole}.0", f"{whole}.1", whole]
    assert [m.part_of for m in goals] == [whole, whole, ""]
    assert [g for g in in_order(m.goal_id for m in run.plans.messages)] == [
        m.goal_id for m in goals if m.goal_id in {p.goal_id for p in run.plans.messages}
    ]
    planned_for = {plan.plan_id: plan.goal_id for plan in run.plans.messages}
    assert all(planned_for.get(m.plan_id, m.goal_id) == m.goal_id for m in run.costs.messages)
    told = in_order((m.sub_goal, m.sub_goals) for m in run.feedback.messages)
    assert told[0] == (0, 2) and told[-1] == (2, 2) and told == sorted(told)


def test_a_goal_with_an_unusable_sub_goal_is_refused_and_says_which(run, way, monkeypatch):
    sent, to_msg = [], images.to_msg

    def spoil_the_last(image, header):
        sent.append(to_msg(image, header))
        sent[-1].encoding = "rgb8" if len(sent) < 3 else "unheard of"
        return sent[-1]

    monkeypatch.setattr(images, "to_msg", spoil_the_last)
    result = run.send(way(1.0), [way(0.3), way(0.6)]).result(WAIT_S)
    assert result.termination_reason == RESULT.REJECTED and result.text.startswith("sub_goal_images[1]: ")
    assert not run.plans.messages and not run.goals.messages


def test_canceled_amid_its_sub_goals_it_ends_there(run, way):
    goal = run.send(way(1.0), [way(0.35), way(0.9)], tolerance=NEVER)
    run.feedback.wait(lambda m: m.sub_goal == 1)
    run.wait_for_looks_after_the_plan()
    goal.cancel()
    result = goal.result(WAIT_S)
    assert result.termination_reason == RESULT.CANCELED and (result.sub_goal, result.advances) == (1, 1)
    end = run.status.wait(lambda m: m.reason == PlannerStatus.CANCELED)
    assert end.state == PlannerStatus.FAILED and end.sub_goal == 1
    last = run.plans.wait(lambda m: m.plan_id == end.plan_id)
    assert last.goal_id == f"{end.goal_id}.1" and not tensor.from_msg(last.actions).any()


def test_moved_away_from_what_it_pursues_it_takes_the_way_up_again(run, way):
    run.send(way(1.0), [way(0.8)], tolerance=NEVER)
    there = run.feedback.wait(lambda m: m.sub_goal == 1)
    assert there.advances == 1 and there.fallbacks == 0
    put_at_start(run.client, run.joints, "reach", SEED)
    back = run.status.wait(lambda m: m.fallbacks == 1)
    run.client.arm(True)
    assert (back.sub_goal, back.state) != (1, PlannerStatus.FAILED) and back.sub_goal_distance < back.distance
    again = run.status.wait(lambda m: m.advances == 2)
    assert (again.sub_goal, again.fallbacks) == (1, 1)
    whole = again.goal_id
    run.goals.wait(lambda _: len(run.goals.messages) >= 4)
    assert [m.goal_id for m in run.goals.messages] == [f"{whole}.0", whole, f"{whole}.0", whole]
