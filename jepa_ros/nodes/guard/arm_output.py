"""What a setpoint is to the arm's controller: a trajectory, positions, or a twist."""

from array import array
from collections.abc import Callable
from typing import NamedTuple

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import TwistStamped
from std_msgs.msg import Float64MultiArray, Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from jepa_ros.safety.guard import Setpoint


class Output(NamedTuple):
    """kind: of message.  topic: relative name.  positions: whether it says where the joints are to be."""

    kind: type
    topic: str
    positions: bool


OUTPUTS = {
    "trajectory": Output(JointTrajectory, "joint_trajectory", True),
    "commands": Output(Float64MultiArray, "commands", True),
    "twist_cmds": Output(TwistStamped, "twist_cmds", False),
}


def trajectory(setpoint: Setpoint, velocities: bool) -> JointTrajectory:
    """One point. Its stamp is 0, which tells a joint trajectory controller to begin on receipt."""
    point = JointTrajectoryPoint(
        positions=array("d", setpoint.positions),
        velocities=array("d", setpoint.velocities if velocities else ()),
        time_from_start=Duration(
            sec=int(setpoint.duration), nanosec=round((setpoint.duration - int(setpoint.duration)) * 1e9)
        ),
    )
    return JointTrajectory(joint_names=list(setpoint.joint_names), points=[point])


def positions(setpoint: Setpoint) -> Float64MultiArray:
    """In the order of robot.joint_names."""
    return Float64MultiArray(data=array("d", setpoint.positions))


def twist(setpoint: Setpoint, jacobian: Callable, frame: str, stamp) -> TwistStamped:
    """How the end effector moves on the way to the setpoint. jacobian: (A,) rad -> (6, A), in ``frame``."""
    message = TwistStamped(header=Header(stamp=stamp, frame_id=frame))
    moves = (jacobian(setpoint.positions) @ setpoint.velocities).tolist()
    for vector, values in ((message.twist.linear, moves[:3]), (message.twist.angular, moves[3:])):
        vector.x, vector.y, vector.z = values
    return message
