"""The simulated SO-101 in the place of an arm's driver and a camera's: what robot:=mock_hardware starts."""

from launch.actions import DeclareLaunchArgument, OpaqueFunction

from jepa_ros.nodes.bringup.graph import LOG_LEVELS, Graph
from jepa_ros.nodes.bringup.launching import given, graph_nodes
from launch import LaunchDescription

ARGUMENTS = (
    DeclareLaunchArgument(
        "namespace", default_value="mock_arm", description="Namespace of the arm's and the camera's topics."
    ),
    DeclareLaunchArgument("task", default_value="reach", description="Scene: reach, or push (a cube)."),
    DeclareLaunchArgument("seed", default_value="0", description="Episode whose start pose is taken."),
    DeclareLaunchArgument(
        "log_level", default_value="info", choices=LOG_LEVELS, description="Of the simulator."
    ),
)


def mock_driver(context):
    """The simulator's process alone."""
    chosen = given(context, ARGUMENTS)
    return graph_nodes(Graph(**chosen | {"seed": int(chosen["seed"])}), executables=("simulator",))


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=mock_driver)])
