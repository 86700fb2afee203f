"""The real processes: reach a goal in both compositions, survive a killed world model, end cleanly."""

import os
import signal

import numpy as np
import pytest
from jepa_ros.action import ReachGoal
from jepa_ros.msg import ActionPlan, PlannerStatus, SafetyStatus
from node_bench import PATIENT_GUARD, Inbox
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from jepa_ros.data.stamps import nanoseconds
from jepa_ros.errors import JepaError
from jepa_ros.nodes.bringup.graph import Graph
from jepa_ros.nodes.bringup.running import Bringup
from jepa_ros.nodes.client import GraphClient
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task

SEED = 1  # of an episode that the shipped model reaches in simulation
NAMESPACE = f"test{os.getpid()}"  # another session may share the domain
GOAL_S = 60.0
# A busy test machine may be slow; what is tested is not its speed.
PATIENT = {"planner": {"deadline_s": 0.0, "costs_timeout_s": 3.0}, "action_publisher": PATIENT_GUARD}


def episode(seed):
    """(goal image, goal)"""
    with Simulator("reach") as simulator:
        _, goal = make_task("reach").episode(seed)
        return simulator.goal_image(goal), goal


def listen(client, kind, topic):
    inbox = Inbox()
    client.node.create_subscription(kind, topic, inbox, QoSProfile(depth=500))
    return inbox


@pytest.mark.parametrize("composition", ["distributed", "single"])
def test_graph_reaches_a_goal_and_ends_cleanly(composition, tmp_path):
    graph = Graph(NAMESPACE, composition=composition, seed=SEED, overrides=PATIENT)
    image, goal = episode(SEED)
    with Bringup(graph, tmp_path) as bringup, GraphClient(NAMESPACE) as client:
        client.wait_active(graph.nodes, check=bringup.check)
        images, plans = listen(client, Image, "image"), listen(client, ActionPlan, "plan")
        status, safety = (
            listen(client, PlannerStatus, "planner/status"),
            listen(client, SafetyStatus, "action_publisher/safety_status"),
        )
        feedback = Inbox()
        images.wait()
        result = client.send_goal(image, 0.08, GOAL_S, feedback).result(GOAL_S + 10)
        assert result.termination_reason == ReachGoal.Result.REACHED, result.text
        assert result.plans == len(plans.messages) and feedback.wait(lambda m: m.plans >= 1)
        status.wait(lambda m: m.state == PlannerStatus.REACHED)
        seen = {nanoseconds(m.header.stamp) for m in images.messages}
        assert all(
            nanoseconds(p.header.stamp) in seen for p in plans.messages
        )  # stamps are the images', end to end
        assert 0 < safety.wait(lambda m: m.state == SafetyStatus.RUNNING).plan_age_s < 5
        with Simulator("reach") as simulator:
            reached = np.array(safety.messages[-1].command, dtype=float)
            assert np.linalg.norm(simulator.forward_kinematics(reached) - goal.end_effector) < 0.05
    for name, process in bringup._running.items():
        log = (tmp_path / f"{name}.log").read_text()
        assert process.returncode == 0 and "Traceback" not in log, f"{name}: {log}"


def test_killed_world_model_means_hold_and_a_clear_status_and_its_restart_recovery(tmp_path):
    graph = Graph(NAMESPACE, seed=SEED, overrides=PATIENT)
    image, _ = episode(SEED)
    with Bringup(graph, tmp_path) as bringup, GraphClient(NAMESPACE) as client:
        client.wait_active(graph.nodes, check=bringup.check)
        status, plans = listen(client, PlannerStatus, "planner/status"), listen(client, ActionPlan, "plan")
        safety = listen(client, SafetyStatus, "action_publisher/safety_status")
        goal = client.send_goal(
            image, tolerance=1e-6, timeout_s=120.0
        )  # never reached: it plans until canceled
        plans.wait()
        bringup.stop_one("world_model", signal.SIGKILL)
        blocked = status.wait(
            lambda m: (m.state, m.reason) == (PlannerStatus.WAITING, PlannerStatus.NO_ROLLOUTS)
        )
        assert "world_model" in blocked.text
        safety.clear()
        held = safety.wait(lambda m: m.state == SafetyStatus.HOLDING)
        assert held.reason == SafetyStatus.NO_PLAN
        with pytest.raises(JepaError, match="world_model ended with exit code -9"):
            bringup.check()
        plans.clear()
        bringup.start_one("world_model")
        plans.wait()
        safety.wait(lambda m: m.state == SafetyStatus.RUNNING)
        goal.cancel()
        assert goal.result(20.0).termination_reason == ReachGoal.Result.CANCELED


def test_failed_start_is_told_with_the_nodes_log(checkpoint, tmp_path):
    graph = Graph(
        NAMESPACE,
        composition="single",
        checkpoint=checkpoint,
        simulator=False,
        overrides={"encoder": {"device": "tpu9"}},
    )
    with Bringup(graph, tmp_path) as bringup, GraphClient(NAMESPACE) as client:
        with pytest.raises(JepaError, match="node encoder is unconfigured"):
            client.wait_active(("encoder",), check=bringup.check)
        assert "device is 'tpu9'" in bringup.log_tail("encoder")


def test_sim_time_without_a_clock_does_not_hang_the_shutdown(checkpoint, tmp_path):
    graph = Graph(NAMESPACE, checkpoint=checkpoint, use_sim_time=True, simulator=False)
    image, _ = episode(SEED)
    with Bringup(graph, tmp_path) as bringup, GraphClient(NAMESPACE) as client:
        client.wait_active(graph.nodes, check=bringup.check)
        status = listen(client, PlannerStatus, "planner/status")
        client.send_goal(image, timeout_s=300.0)
        status.wait(lambda m: m.reason == PlannerStatus.NO_IMAGE)
    assert all(process.returncode == 0 for process in bringup._running.values())
