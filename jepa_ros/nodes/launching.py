"""What the launch files that bring up the graph share. Importable where `launch` and `launch_ros` are."""

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from jepa_ros.nodes.graph import COMPOSITIONS, LOG_LEVELS, Graph

BOOLEAN = ("true", "false")
GRAPH_ARGUMENTS = (
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
        "autostart",
        default_value="true",
        choices=BOOLEAN,
        description="false: a lifecycle manager configures and activates the nodes.",
    ),
    DeclareLaunchArgument(
        "log_level", default_value="info", choices=LOG_LEVELS, description="Of every node."
    ),
)
"""Named as the fields of Graph that they set."""


def given(context, arguments) -> dict[str, str | bool]:
    """What the user gave: name of argument to value, a bool where those are the choices."""
    values = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in arguments}
    boolean = {argument.name for argument in arguments if tuple(argument.choices or ()) == BOOLEAN}
    return {name: value == "true" if name in boolean else value for name, value in values.items()}


def graph_nodes(graph: Graph) -> list[Node]:
    """A launch action for each process of the graph."""
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
