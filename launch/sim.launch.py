"""The simulated SO-101 with the whole graph: `ros2 launch jepa_ros sim.launch.py`.

What is started is decided in jepa_ros/nodes/graph.py, which `jepa demo` uses too.
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from jepa_ros.nodes.graph import COMPOSITIONS, LOG_LEVELS, Graph
from launch import LaunchDescription

ARGUMENTS = (
    DeclareLaunchArgument(
        "namespace", default_value="jepa", description="Namespace of every node and topic."
    ),
    DeclareLaunchArgument(
        "composition",
        default_value="distributed",
        choices=COMPOSITIONS,
        description="distributed: a process per node. single: encoder, world model, cost and planner in "
        "one process, by direct calls.",
    ),
    DeclareLaunchArgument(
        "task", default_value="reach", description="Scene of the simulator: reach, or push (a cube)."
    ),
    DeclareLaunchArgument("seed", default_value="0", description="Episode whose start pose is taken."),
    DeclareLaunchArgument(
        "checkpoint",
        default_value="reach",
        description="Checkpoint directory, or the name of a model shipped in models/.",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value="",
        description="Parameters of the nodes (YAML); empty: config/so101.yaml of this package.",
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="false",
        choices=("true", "false"),
        description="Take time from /clock. The simulator keeps real time, so either works.",
    ),
    DeclareLaunchArgument(
        "simulator",
        default_value="true",
        choices=("true", "false"),
        description="false: a robot or another simulator gives image and joint_states.",
    ),
    DeclareLaunchArgument(
        "autostart",
        default_value="true",
        choices=("true", "false"),
        description="false: a lifecycle manager configures and activates the nodes.",
    ),
    DeclareLaunchArgument(
        "log_level", default_value="info", choices=LOG_LEVELS, description="Of every node."
    ),
)


def bring_up(context):
    """The processes of the graph that the arguments describe."""
    given = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in ARGUMENTS}
    for name in ("use_sim_time", "simulator", "autostart"):
        given[name] = given[name] == "true"
    graph = Graph(**given | {"seed": int(given["seed"]), "params_file": given["params_file"] or None})
    return [
        Node(
            package="jepa_ros",
            executable=process.executable,
            output="screen",
            emulate_tty=True,
            arguments=list(process.arguments),
        )
        for process in graph.processes()
    ]


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=bring_up)])
