"""The simulated SO-101 with the whole graph: `ros2 launch jepa_ros sim.launch.py`.

What is started is decided in jepa_ros/nodes/graph.py, which `jepa demo` uses too.
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction

from jepa_ros.nodes.graph import Graph
from jepa_ros.nodes.launching import BOOLEAN, GRAPH_ARGUMENTS, given, graph_nodes
from launch import LaunchDescription

ARGUMENTS = (
    *GRAPH_ARGUMENTS,
    DeclareLaunchArgument(
        "task", default_value="reach", description="Scene of the simulator: reach, or push (a cube)."
    ),
    DeclareLaunchArgument("seed", default_value="0", description="Episode whose start pose is taken."),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="false",
        choices=BOOLEAN,
        description="Take time from /clock. The simulator keeps real time, so either works.",
    ),
    DeclareLaunchArgument(
        "simulator",
        default_value="true",
        choices=BOOLEAN,
        description="false: a robot or another simulator gives image and joint_states.",
    ),
)


def bring_up(context):
    """The processes of the graph that the arguments describe."""
    chosen = given(context, ARGUMENTS)
    return graph_nodes(
        Graph(**chosen | {"seed": int(chosen["seed"]), "params_file": chosen["params_file"] or None})
    )


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=bring_up)])
