"""The simulated SO-101 with the whole graph: `ros2 launch jepa_ros sim.launch.py`.

What is started is decided in jepa_ros/nodes/bringup/graph.py, which `jepa demo` uses too.
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction

from jepa_ros.nodes.bringup.launching import GRAPH_ARGUMENTS, arm_arguments, bring_up, given
from launch import LaunchDescription

ARGUMENTS = (
    *GRAPH_ARGUMENTS,
    DeclareLaunchArgument(
        "task",
        default_value="reach",
        description="Scene of the simulator: reach, or push (a cube).",
    ),
    DeclareLaunchArgument("seed", default_value="0", description="Episode whose start pose is taken."),
    *arm_arguments(dry_run=False, topics="docs/nodes.md"),
)


def sim(context):
    """The processes that the arguments describe."""
    chosen = given(context, ARGUMENTS)
    return bring_up(chosen | {"seed": int(chosen["seed"])})


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=sim)])
