"""hardware.launch.py, run for real with the simulator in the place of the driver: mock_hardware."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from node_bench import Inbox

pytest.importorskip("launch_ros", reason="needs launch_ros (an installed ROS 2, or the launch overlay)")

from jepa_ros.action import ReachGoal  # noqa: E402
from jepa_ros.msg import SafetyStatus  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from test_launch import RUN  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402

from jepa_ros.nodes.bringup.graph import Graph, find  # noqa: E402
from jepa_ros.nodes.bringup.preset import BRINGUP  # noqa: E402
from jepa_ros.nodes.client import GraphClient  # noqa: E402
from jepa_ros.simulation.simulator import Simulator  # noqa: E402
from jepa_ros.simulation.tasks import make_task  # noqa: E402

NAMESPACE, ARM = f"hardware{os.getpid()}", f"mock{os.getpid()}"  # another session may share the domain
SEED = 1  # of an episode that the shipped model reaches in simulation
GOAL_S = 60.0
STILL = 0.02  # rad
# A busy test machine may be slow; what is tested is not its speed.
ROBOT = f"""
{BRINGUP}:
  ros__parameters:
    based_on: mock_hardware
    driver_arguments: ["namespace:={ARM}", "seed:={SEED}"]
    image_topic: /{ARM}/image
    camera_info_topic: /{ARM}/camera_info
    joint_state_topic: /{ARM}/joint_states
    command_topic: /{ARM}/joint_trajectory
/**/planner: {{ros__parameters: {{deadline_s: 0.0}}}}
/**/action_publisher:
  ros__parameters:
    max_plan_age: 5.0
    watchdog: {{plan_s: 5.0, joint_state_s: 2.0, image_s: 2.0, embedding_s: 2.0}}
"""


class Arm:
    """What goes to the arm and to the dry run, and where the arm is."""

    def __init__(self, client):
        self.sent, self.dry, self.joints, self.safety = Inbox(), Inbox(), Inbox(), Inbox()
        for kind, topic, inbox in (
            (JointTrajectory, f"/{ARM}/joint_trajectory", self.sent),
            (JointTrajectory, "action_publisher/dry_run/joint_trajectory", self.dry),
            (JointState, f"/{ARM}/joint_states", self.joints),
            (SafetyStatus, "action_publisher/safety_status", self.safety),
        ):
            client.node.create_subscription(kind, topic, inbox, 10)
        self.joints.wait()

    def has_moved(self):
        """Farthest that a joint was from where it began, rad."""
        positions = np.array([msg.position for msg in list(self.joints.messages)])
        return np.abs(positions - positions[0]).max()


@contextmanager
def hardware(tmp_path, *arguments):
    """A client of the launched graph that is up; its end is checked."""
    robot = tmp_path / "arm.yaml"
    robot.write_text(ROBOT)
    arguments = (f"robot:={robot}", f"namespace:={NAMESPACE}", "composition:=single", *arguments)
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(find("launch/hardware.launch.py")), *arguments],
        stdout=(tmp_path / "log").open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        with GraphClient(NAMESPACE) as client:
            client.wait_active(Graph(composition="single", simulator=False).nodes)
            yield client, Arm(client)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        process.wait(60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        print((tmp_path / "log").read_text())
    log = (tmp_path / "log").read_text()
    assert process.returncode == 0 and "Traceback" not in log
    assert log.count("process has finished cleanly") == 3


def goal_image():
    with Simulator("reach") as simulator:
        return simulator.goal_image(make_task("reach").episode(SEED)[1])


def test_an_armed_dry_run_says_what_it_would_send_and_moves_nothing(tmp_path):
    with hardware(tmp_path) as (client, arm):
        client.arm()
        run = client.send_goal(goal_image(), 0.08, GOAL_S)
        arm.dry.wait()
        assert arm.safety.wait(lambda status: status.state == SafetyStatus.RUNNING).dry_run
        run.cancel()
        run.result(GOAL_S)
        assert not arm.sent.messages and arm.has_moved() < STILL


def test_nothing_moves_before_arming_then_the_goal_is_reached(tmp_path):
    with hardware(tmp_path, "dry_run:=false") as (client, arm):
        run = client.send_goal(goal_image(), 0.08, GOAL_S)
        status = arm.safety.wait(lambda status: status.vetoed >= 3)
        assert status.state == SafetyStatus.IDLE and status.reason == SafetyStatus.NOT_ARMED
        assert not arm.sent.messages and arm.has_moved() < STILL
        client.arm()
        result = run.result(GOAL_S + 10)
        assert result.termination_reason == ReachGoal.Result.REACHED, result.text
        assert arm.sent.messages and arm.has_moved() > 10 * STILL
        assert not arm.dry.messages


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["robot:=so101"], "launch_driver:=false"),
        (["robot:=ur5e", "driver_launch_package:=no_such_driver"], "no_such_driver"),
        (["robot:=mock_hardware", "driver_arguments:=fast"], "name:=value"),
        (["robot:=so101", "driver_launch_file:=/nowhere.launch.py"], "/nowhere.launch.py"),
    ],
)
def test_a_driver_that_cannot_be_started_is_named(arguments, says):
    process = subprocess.run(
        [sys.executable, "-c", RUN, str(find("launch/hardware.launch.py")), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == 1 and says in process.stdout + process.stderr
