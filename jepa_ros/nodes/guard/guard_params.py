"""The guard's parameters, and what they say in the guard's own terms."""

from collections.abc import Callable

import numpy as np
from std_msgs.msg import String

from jepa_ros.errors import JepaError
from jepa_ros.nodes.base.lifecycle import ManagedNode
from jepa_ros.nodes.base.parameters import Param
from jepa_ros.nodes.base.robot import ROBOT_PARAMS
from jepa_ros.nodes.guard.arm_output import OUTPUTS
from jepa_ros.nodes.wire import qos
from jepa_ros.safety.guard import GuardConfig
from jepa_ros.safety.limits import JointLimits
from jepa_ros.safety.workspace import Workspace

_DEFAULT = GuardConfig()
_NONE = [0.0]  # a list that was not given; ROS has no typed empty list
_URDF_WAIT_S = 5.0
_WATCHED = {
    "joint_state_s": ("joint_states", "Oldest joint_states to move by, s"),
    "image_s": ("the camera image", "Oldest camera image to move by, s"),
    "embedding_s": ("embedding", "Oldest embedding to move by, s"),
    "plan_s": ("plan", "Hold when no plan was accepted for this long, s"),
    "clock_s": ("the ROS clock", "Hold when the ROS clock stood still for this long, s"),
}


def _watchdog(name: str) -> Param:
    return Param(
        f"watchdog.{name}",
        getattr(_DEFAULT, name),
        f"{_WATCHED[name][1]}. 0 switches it off.",
        0.0,
        600.0,
    )


GUARD_PARAMS = (
    *ROBOT_PARAMS,
    Param("auto_arm", False, "Arm at activation. For simulation; on a robot, arm with ~/arm."),
    Param("dry_run", False, "Send to ~/dry_run/... what would be sent to the arm, and nothing to the arm."),
    Param(
        "output_type",
        "trajectory",
        "trajectory: JointTrajectory on joint_trajectory; commands: Float64MultiArray of positions on commands; "
        "twist_cmds: TwistStamped of tip_link on twist_cmds, for MoveIt Servo.",
        choices=tuple(OUTPUTS),
    ),
    Param(
        "point_velocities",
        False,
        "Trajectory points hold velocities too. joint_trajectory_controller then needs "
        "allow_nonzero_velocity_at_trajectory_end.",
    ),
    Param(
        "nice",
        0,
        "Niceness of this process, below 0 to be preferred on a busy machine, where the user may do so; 0 leaves it.",
        -20,
        19,
        read_only=True,
    ),
    Param("publish_rate_hz", 50.0, "Setpoints per second while the arm moves.", 5.0, 500.0),
    Param(
        "limits.velocity",
        _NONE,
        "Velocity limit of every joint, rad/s. Must be given, unless limits.from_urdf.",
        0.0,
        1000.0,
    ),
    Param(
        "limits.acceleration",
        _NONE,
        "Acceleration limit of every joint, rad/s^2, braking included. Must be given.",
        0.0,
        1e5,
    ),
    Param(
        "limits.position_margin",
        _NONE,
        "Kept from both position limits, rad: one for all, or one per joint.",
        0.0,
        1.0,
    ),
    Param(
        "limits.max_step",
        _NONE,
        "Farthest that a setpoint may lie from the one before, rad: one for all, or one per joint. 0: what the "
        "velocity limit allows.",
        0.0,
        10.0,
    ),
    Param(
        "limits.from_urdf",
        False,
        "Keep the URDF's position and velocity limits too, where they are stricter.",
    ),
    Param(
        "workspace.lower",
        _NONE,
        "Lowest x, y, z of workspace.tip_link in workspace.base_link, m. One value: no workspace.",
        -100.0,
        100.0,
    ),
    Param(
        "workspace.upper",
        _NONE,
        "Highest x, y, z of workspace.tip_link in workspace.base_link, m.",
        -100.0,
        100.0,
    ),
    Param("workspace.margin", 0.01, "Braking ends this far inside the workspace box, m.", 0.0, 1.0),
    Param("workspace.urdf_file", "", "The arm's URDF; empty: the topic robot_description."),
    Param("workspace.base_link", "", "Frame of the workspace box and of twists; empty: the URDF's root."),
    Param(
        "workspace.tip_link", "", "The end effector: what stays in the workspace box, and what twists move."
    ),
    *(_watchdog(name) for name in _WATCHED),
    Param(
        "watchdog.deadman_s", 0.3, "Oldest message of the dead-man switch that counts as held, s.", 0.01, 60.0
    ),
    Param("deadman_topic", "", "std_msgs/Bool that must be true for the arm to move; empty: there is none."),
    Param("max_plan_age", _DEFAULT.max_plan_age, "Oldest image a plan may come from, s.", 0.01, 600.0),
    Param(
        "max_vetoes",
        _DEFAULT.max_vetoes,
        "After so many vetoed plans in a row, hold until ~/arm.",
        1,
        1_000_000,
    ),
    Param(
        "tracking_tolerance",
        _DEFAULT.tracking_tolerance,
        "Hold where a joint is measured farther than this from its command, rad.",
        0.001,
        10.0,
    ),
    Param("model_id", "", "Accept plans of this checkpoint only; empty accepts any."),
    Param(
        "image_transport",
        "raw",
        "Watch image (raw), or image/compressed.",
        choices=("raw", "compressed"),
    ),
    Param(
        "image_reliability",
        "reliable",
        "As the camera publishes; best_effort also meets a reliable camera.",
        choices=("reliable", "best_effort"),
    ),
)


def guard_config(node: ManagedNode) -> GuardConfig:
    """The guard's settings; warns of every watchdog that is switched off."""
    param = node.param
    positions, dry_run = OUTPUTS[param("output_type")].positions, param("dry_run")
    for name, (what, _) in _WATCHED.items():
        if param(f"watchdog.{name}") == 0:
            node.get_logger().warning(f"watchdog.{name} is 0: nothing watches over {what}")
    return GuardConfig(
        period=1.0 / param("publish_rate_hz"),
        **{name: param(f"watchdog.{name}") for name in _WATCHED},
        deadman_s=param("watchdog.deadman_s") if param("deadman_topic") else 0.0,
        max_plan_age=param("max_plan_age"),
        tracking_tolerance=param("tracking_tolerance"),
        max_vetoes=param("max_vetoes"),
        follows=positions and not dry_run,
        drifts=not positions and not dry_run,
        model_id=param("model_id"),
    )


def needs_urdf(node: ManagedNode) -> bool:
    """Whether the arm's kinematics or the URDF's limits are asked for."""
    no_positions = not OUTPUTS[node.param("output_type")].positions
    return _has_workspace(node) or node.param("limits.from_urdf") or no_positions


def read_urdf(node: ManagedNode, description: Callable[[], str]):
    """The UrdfArm of the parameters; JepaError where there is none. description: gives the robot_description, asked
    for where no file is named."""
    # Here, so that MuJoCo is loaded only where it is needed.
    from jepa_ros.simulation.urdf import UrdfArm

    tip = node.param("workspace.tip_link")
    if not tip:
        raise JepaError("workspace.tip_link is empty; name the URDF's link at the end effector")
    chain = node.param("robot.joint_names"), tip, node.param("workspace.base_link")
    if node.param("workspace.urdf_file"):
        return UrdfArm.from_file(node.param("workspace.urdf_file"), *chain)
    return UrdfArm(description(), *chain)


def awaited_description(node: ManagedNode) -> str:
    """The URDF on the topic robot_description; JepaError where none comes."""
    message = node.reader(String, "robot_description", qos.GOAL).take(_URDF_WAIT_S)
    if message is None:
        raise JepaError(
            f"no robot_description came within {_URDF_WAIT_S:g} s; start robot_state_publisher, remap the topic, "
            "or set workspace.urdf_file"
        )
    return message.data


def joint_limits(node: ManagedNode, urdf=None) -> JointLimits:
    """The limits of every joint; JepaError where they are not complete. urdf: the UrdfArm, where there is one."""
    names, from_urdf = node.param("robot.joint_names"), node.param("limits.from_urdf")
    for name in ("robot.position_lower", "robot.position_upper"):
        if "robot.joint_names" in node.given and name not in node.given:  # the default is another arm's
            raise JepaError(f"{name} is not given; the guard needs it for each of the joints {names}")
    lower, upper = node.param("robot.position_lower"), node.param("robot.position_upper")
    velocity, acceleration = (
        _per_joint(node, f"limits.{name}", optional=from_urdf and name == "velocity")
        for name in ("velocity", "acceleration")
    )
    if from_urdf:
        lower, upper = np.maximum(lower, urdf.lower), np.minimum(upper, urdf.upper)
        velocity = np.minimum(velocity, urdf.velocity)
    max_step = [value or np.inf for value in node.param("limits.max_step")]
    margin = node.param("limits.position_margin")
    return JointLimits(names, lower, upper, velocity, acceleration, _for_all(margin), _for_all(max_step))


def _per_joint(node: ManagedNode, name: str, optional: bool) -> np.ndarray:
    """(A,) numbers, infinite where they may be missing and are."""
    names, values = node.param("robot.joint_names"), list(node.param(name))
    if values == _NONE and optional:
        return np.full(len(names), np.inf)
    if values == _NONE:
        raise JepaError(f"{name} is not given; the guard needs it for each of the joints {names}")
    if len(values) != len(names):
        raise JepaError(f"{name} has {len(values)} values for the {len(names)} joints {names}")
    return np.array(values)


def workspace(node: ManagedNode, urdf) -> Workspace | None:
    """The box of the parameters; None where there is none."""
    if not _has_workspace(node):
        return None
    corners = node.param("workspace.lower"), node.param("workspace.upper")
    return Workspace(*corners, urdf.position, node.param("workspace.margin"))


def _has_workspace(node: ManagedNode) -> bool:
    return [list(node.param(f"workspace.{end}")) for end in ("lower", "upper")] != [_NONE, _NONE]


def _for_all(values):
    return values[0] if len(values) == 1 else values
