"""The simulator node has the topics of a real arm and camera, and follows trajectories."""

from array import array

import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from jepa_ros.nodes.simulator import SimulatorNode
from jepa_ros.nodes.wire import images, qos
from jepa_ros.simulation import arm
from jepa_ros.simulation.tasks import make_task


def trajectory(positions, seconds=0.2, names=arm.JOINT_NAMES):
    point = JointTrajectoryPoint(
        positions=array("d", positions), time_from_start=Duration(nanosec=int(seconds * 1e9))
    )
    return JointTrajectory(joint_names=list(names), points=[point])


def near(message, positions, tolerance=0.03):
    return np.allclose(message.position, positions, atol=tolerance)


def test_topics_of_a_camera_and_an_arm(world):
    world.make(SimulatorNode, parameters={"seed": 4, "image_width": 80})
    image, info = world.listen(Image, "image"), world.listen(CameraInfo, "camera_info")
    joints, clock = world.listen(JointState, "joint_states"), world.listen(Clock, "/clock", qos.CLOCK)
    compressed = world.listen(CompressedImage, "image/compressed")
    frame = image.wait()
    assert images.from_msg(frame).shape == (64, 80, 3) and images.from_msg(frame).std() > 5
    assert images.from_msg(compressed.wait()).shape == (64, 80, 3)
    info = info.wait(lambda m: m.header.stamp.sec > 0)
    assert (
        (info.width, info.height) == (80, 64)
        and info.header.frame_id == frame.header.frame_id
        and info.k[0] > 0
    )
    state = joints.wait()
    assert tuple(state.name) == arm.JOINT_NAMES
    joints.wait(lambda m: m.header.stamp in [f.header.stamp for f in image.messages])  # one moment, one stamp
    clock.wait(lambda m: m.clock == image.messages[-1].header.stamp)
    start, _ = make_task("reach").episode(4)
    assert near(state, start.joints, 0.05)


def test_follows_a_trajectory_with_joints_in_any_order(world):
    world.make(SimulatorNode)
    joints, command = (
        world.listen(JointState, "joint_states"),
        world.talk(JointTrajectory, "joint_trajectory"),
    )
    goal = np.array(joints.wait().position) + 0.1
    command.publish(trajectory(goal[::-1], names=arm.JOINT_NAMES[::-1]))
    joints.wait(lambda m: near(m, goal))


@pytest.mark.parametrize(
    "bad",
    [
        trajectory(np.zeros(5), names=arm.JOINT_NAMES[:5]),
        trajectory(np.full(6, np.nan)),
        JointTrajectory(joint_names=list(arm.JOINT_NAMES)),
    ],
    ids=["joints", "nan", "empty"],
)
def test_bad_trajectory_is_ignored(world, bad):
    world.make(SimulatorNode)
    joints, command = (
        world.listen(JointState, "joint_states"),
        world.talk(JointTrajectory, "joint_trajectory"),
    )
    start = np.array(joints.wait().position)
    logs = world.said()
    command.publish(bad)
    logs.wait(lambda log: "trajectory" in log.msg)
    command.publish(trajectory(start + 0.05))
    joints.wait(lambda m: near(m, start + 0.05, 0.02))


def test_reset_begins_the_episode_of_the_seed_and_a_bad_task_is_named(world):
    from rclpy.parameter import Parameter

    node = world.make(SimulatorNode)
    joints = world.listen(JointState, "joint_states")
    node.set_parameters([Parameter("seed", value=9)])
    assert world.call(Trigger, "simulator/reset", Trigger.Request()).success
    joints.wait(lambda m: near(m, make_task("reach").episode(9)[0].joints, 0.05))
    node.set_parameters([Parameter("task", value="juggle")])
    reply = world.call(Trigger, "simulator/reset", Trigger.Request())
    assert not reply.success and "juggle" in reply.message


def test_rests_while_inactive_and_goes_on(world):
    node = world.make(SimulatorNode)
    image = world.listen(Image, "image")
    image.wait()
    world.in_executor(node.stop)
    image.clear()
    assert not world.call(Trigger, "simulator/reset", Trigger.Request()).success
    world.in_executor(node.trigger_activate)
    image.wait()


def test_unknown_task_stays_unconfigured_and_says_why(world):
    node = world.make(SimulatorNode, start=False, parameters={"task": "juggle"})
    assert not world.in_executor(node.start) and "juggle" in node.failure
