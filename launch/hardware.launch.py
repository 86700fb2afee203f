"""A real arm: its driver's own launch file, and the graph.

`ros2 launch jepa_ros hardware.launch.py robot:=ur5e robot_ip:=192.168.56.101 checkpoint:=runs/mine`

Disarmed, and a dry run, until you say otherwise: docs/robots/.
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction

from jepa_ros.errors import JepaError
from jepa_ros.nodes.bringup.launching import (
    BOOLEAN,
    GRAPH_ARGUMENTS,
    arm_arguments,
    bring_up,
    given,
    included,
    launch_file,
    with_preset,
)
from jepa_ros.nodes.bringup.preset import read_preset
from launch import LaunchDescription

DRIVER_ARGUMENTS = (
    DeclareLaunchArgument(
        "robot",
        description="Joints, limits, topics and driver: a preset in config/robots/ (so101, ur5e, panda, "
        "mock_hardware), or a YAML file.",
    ),
    DeclareLaunchArgument(
        "robot_ip", default_value="", description="Address of the arm, given to its driver; empty: not given."
    ),
    DeclareLaunchArgument(
        "launch_driver",
        default_value="true",
        choices=BOOLEAN,
        description="false: the driver runs already, as with jepa.launch.py.",
    ),
    DeclareLaunchArgument(
        "driver_launch_package",
        default_value="",
        description="Package of the driver's launch file; empty: as the robot's preset says.",
    ),
    DeclareLaunchArgument(
        "driver_launch_file",
        default_value="",
        description="The driver's own launch file, in that package's launch folder, or an absolute path; "
        "empty: as the robot's preset says.",
    ),
    DeclareLaunchArgument(
        "driver_arguments",
        default_value="",
        description='Arguments for it, such as "use_mock_hardware:=true launch_rviz:=true"; they add to the '
        "preset's and are stronger.",
    ),
)
ARGUMENTS = (
    *DRIVER_ARGUMENTS,
    *(argument for argument in GRAPH_ARGUMENTS if argument.name != "robot"),
    *arm_arguments(dry_run=True),
)


def driver(chosen):
    """The launch action of the arm's driver."""
    if not chosen["driver_launch_file"]:
        raise JepaError(
            f"robot {chosen['robot']} names no driver: give driver_launch_package and driver_launch_file, or "
            "start the driver yourself and give launch_driver:=false"
        )
    words = [
        *read_preset(chosen["robot"]).bringup.get("driver_arguments", ()),
        *chosen["driver_arguments"].split(),
    ]
    for word in words:
        if ":=" not in word:
            raise JepaError(f"driver_arguments: {word!r} is not of the form name:=value")
    arguments = dict(word.split(":=", 1) for word in words)
    if chosen["robot_ip"]:
        arguments["robot_ip"] = chosen["robot_ip"]
    return included(launch_file(chosen["driver_launch_package"], chosen["driver_launch_file"]), arguments)


def hardware(context):
    """The driver, and the processes of the graph."""
    chosen = with_preset(given(context, ARGUMENTS))
    return [*([driver(chosen)] if chosen["launch_driver"] else []), *bring_up(chosen, simulator=False)]


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=hardware)])
