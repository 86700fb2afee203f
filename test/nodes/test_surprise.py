"""The surprise gate in the live graph: each disturbance holds the arm with its reason, its end lets it go on."""

import os
from contextlib import suppress

import numpy as np
import pytest
from jepa_ros.action import ReachGoal
from jepa_ros.msg import ActionPlan, PlannerStatus, SafetyStatus
from node_bench import PATIENT_GUARD, Inbox, put_at_start
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from jepa_ros.nodes.bringup.graph import Graph
from jepa_ros.nodes.bringup.running import Bringup
from jepa_ros.nodes.client import GraphClient
from jepa_ros.nodes.wire import tensor
from jepa_ros.simulation.disturbance import NONE
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task

SEEDS = {NONE: 1, "camera_knocked": 2, "lens_covered": 3, "hand": 11, "image_frozen": 1}
NAMESPACE = f"surprise{os.getpid()}"
WAIT_S = 60.0
# A busy test machine may be slow; what is tested is not its speed.
PATIENT = {
    "planner": {"deadline_s": 0.0},
    "action_publisher": PATIENT_GUARD,
}
AT_REST = 0.02  # rad/s
RUN_ON = "hand"  # this pursuit is followed to its goal
WAITING, EXECUTING = PlannerStatus.WAITING, PlannerStatus.EXECUTING


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    graph = Graph(NAMESPACE, composition="single", overrides=PATIENT)
    with Bringup(graph, tmp_path_factory.mktemp("log")) as bringup, GraphClient(NAMESPACE) as client:
        client.wait_active(graph.nodes, check=bringup.check)
        yield client


class Topics:
    """The topics of one test."""

    def __init__(self, client):
        self.client, self.subscriptions, self.goal = client, [], None
        self.status = self.listen(PlannerStatus, "planner/status")
        self.plans = self.listen(ActionPlan, "plan")
        self.safety = self.listen(SafetyStatus, "action_publisher/safety_status")
        self.joints = self.listen(JointState, "joint_states")

    def listen(self, kind, topic):
        inbox = Inbox()
        self.subscriptions.append(self.client.node.create_subscription(kind, topic, inbox, 10))
        return inbox

    def begin(self, seed, tolerance=0.08):
        """Send the goal of an episode from its start."""
        _, goal = make_task("reach").episode(seed)
        put_at_start(self.client, self.joints, "reach", seed)
        self.client.arm(True)
        with Simulator("reach") as simulator:
            image = simulator.goal_image(goal)
        self.goal = self.client.send_goal(image, tolerance, WAIT_S)
        return self.goal


@pytest.fixture
def topics(client):
    topics = Topics(client)
    yield topics
    client.set_parameters("simulator", disturbance=NONE)
    if topics.goal is not None:
        topics.goal.cancel()
        topics.goal.result(WAIT_S)
    for subscription in topics.subscriptions:
        client.destroy_subscription(subscription)


def moving(msg):
    return np.abs(msg.velocity).max() > 0.2


def test_a_normal_run_is_not_held(client, topics):
    result = topics.begin(SEEDS[NONE]).result(WAIT_S)
    assert result.termination_reason == ReachGoal.Result.REACHED, result.text
    judged = [s for s in topics.status.messages if np.isfinite(s.surprise)]
    assert judged and all(s.surprise_threshold > 0 and s.unfamiliarity > 0 for s in judged)
    assert all(s.speed > 0 and s.reason != PlannerStatus.IMAGE_FROZEN for s in topics.status.messages)


@pytest.mark.parametrize("disturbance", [kind for kind in SEEDS if kind != NONE])
def test_a_disturbance_holds_the_arm_and_its_end_lets_it_go_on(client, topics, disturbance):
    """In one of three goals at least: of 22 hands 2 left the arm in a pose that the model takes for strange (docs/safety.md)."""
    for _ in range(3):
        goal = disturbed_and_held(client, topics, disturbance)
        client.set_parameters("simulator", disturbance=NONE)
        topics.status.clear()
        with suppress(AssertionError):
            topics.status.wait(
                lambda m: m.state == PlannerStatus.REACHED or (m.state, m.speed) == (EXECUTING, 1.0)
            )
            break
        goal.cancel()
        assert goal.result(WAIT_S).termination_reason in (
            ReachGoal.Result.CANCELED,
            ReachGoal.Result.SURPRISE,
        )
    else:
        pytest.fail(f"held three times by {disturbance}, and never released")
    if disturbance == RUN_ON:
        result = goal.result(WAIT_S)
        assert result.termination_reason == ReachGoal.Result.REACHED, result.text


def disturbed_and_held(client, topics, disturbance):
    """A goal whose pursuit the disturbance stops, as it must every time."""
    topics.status.clear()
    goal = topics.begin(SEEDS[disturbance])
    topics.joints.wait(moving)
    client.set_parameters("simulator", disturbance=disturbance)
    reason = PlannerStatus.IMAGE_FROZEN if disturbance == "image_frozen" else PlannerStatus.SURPRISE
    held = topics.status.wait(lambda m: (m.state, m.reason) == (WAITING, reason))
    assert held.speed == 0.0 and held.text.startswith("held: the image")
    assert held.surprises >= 1 and held.surprise_threshold > 0
    topics.plans.wait(lambda m: m.plan_id == held.plan_id and not tensor.from_msg(m.actions).any())
    topics.joints.clear()
    topics.joints.wait(lambda m: np.abs(m.velocity).max() < AT_REST)
    topics.status.clear()
    topics.joints.clear()
    topics.status.wait(lambda m: (m.state, m.reason) == (WAITING, reason))
    assert not any(map(moving, topics.joints.messages))
    return goal


def test_an_emergency_stop_ends_the_goal(client, topics):
    goal = topics.begin(SEEDS[NONE], tolerance=1e-6)
    topics.joints.wait(moving)
    client.call(Trigger, "action_publisher/estop", Trigger.Request())
    result = goal.result(WAIT_S)
    assert result.termination_reason == ReachGoal.Result.SAFETY and "emergency stop" in result.text
    topics.status.wait(lambda m: (m.state, m.reason) == (PlannerStatus.FAILED, PlannerStatus.SAFETY))
    client.call(Trigger, "action_publisher/reset_estop", Trigger.Request())
