"""What the launch files that bring up the graph share. Importable where `launch` and `launch_ros` are."""

import tempfile
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path

import yaml
from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_share_directory,
)
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from jepa_ros.errors import JepaError
from jepa_ros.nodes.bringup.files import find
from jepa_ros.nodes.bringup.graph import COMPOSITIONS, LOG_LEVELS, OUTPUT_TOPICS, Graph
from jepa_ros.nodes.bringup.preset import KEYS, read_preset
from jepa_ros.nodes.bringup.record_topics import read_record_topics

BOOLEAN = ("true", "false")
TIME_TO_STOP = LaunchConfiguration("sigterm_timeout", default="20")
"""s after Ctrl-C before launch ends a process by force: on a busy computer torch stops late, and a recorder closes its bag."""
GRAPH_ARGUMENTS = (
    DeclareLaunchArgument(
        "namespace", default_value="jepa", description="Namespace of every node and topic."
    ),
    DeclareLaunchArgument(
        "robot",
        default_value="",
        description="Joints, limits and topics: a preset in config/robots/ (so101, ur5e, panda), or a YAML "
        "file; empty: the simulated SO-101.",
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
        default_value="",
        description="Checkpoint directory, or the name of a model shipped in models/: reach, or reach_push; empty: the one "
        "that does the simulator's task.",
    ),
    DeclareLaunchArgument(
        "checkpoint_sha256",
        default_value="",
        description="sha256 of the checkpoint's model.safetensors, and after a comma of its heads.safetensors; nodes refuse "
        "another file. Empty: what the parameters say.",
    ),
    DeclareLaunchArgument(
        "device",
        default_value="",
        description="Where the model computes: cpu, cuda, cuda:0; empty: what the parameters say.",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value="",
        description="Parameters of the nodes (YAML) that add to the robot's and are stronger.",
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


def arm_arguments(
    dry_run: bool, use_sim_time: bool = False, topics: str = "the robot's preset"
) -> tuple[DeclareLaunchArgument, ...]:
    """The arguments between the graph and its arm. dry_run, use_sim_time: the defaults.  topics: who says a
    topic that is not given."""

    def topic(name: str, what: str) -> DeclareLaunchArgument:
        return DeclareLaunchArgument(name, default_value="", description=f"{what}; empty: as {topics} says.")

    return (
        topic("image_topic", "Camera image (sensor_msgs/Image; compressed: this and /compressed)"),
        topic("camera_info_topic", "Its sensor_msgs/CameraInfo, for recordings"),
        topic("joint_state_topic", "sensor_msgs/JointState of the arm"),
        topic("robot_description_topic", "URDF as std_msgs/String, for a workspace or twists"),
        topic("command_topic", "What the arm's controller listens to"),
        DeclareLaunchArgument(
            "output_type",
            default_value="",
            choices=("", *OUTPUT_TOPICS),
            description="What goes to command_topic: JointTrajectory (trajectory), Float64MultiArray "
            "(commands), TwistStamped for MoveIt Servo (twist_cmds); empty: what the parameters say.",
        ),
        DeclareLaunchArgument(
            "dry_run",
            default_value=str(dry_run).lower(),
            choices=BOOLEAN,
            description="true: commands go to ~/dry_run of action_publisher, and none to the arm.",
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value=str(use_sim_time).lower(),
            choices=BOOLEAN,
            description="Take time from /clock.",
        ),
        DeclareLaunchArgument(
            "record",
            default_value="false",
            choices=BOOLEAN,
            description="true: record.launch.py too; its arguments, such as out:=my_run, can be given here.",
        ),
    )


def given(context, arguments) -> dict[str, str | bool]:
    """What the user gave: name of argument to value, a bool where those are the choices."""
    values = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in arguments}
    boolean = {argument.name for argument in arguments if tuple(argument.choices or ()) == BOOLEAN}
    return {name: value == "true" if name in boolean else value for name, value in values.items()}


def with_preset(chosen: dict[str, str | bool]) -> dict[str, str | bool]:
    """``chosen``, with empty arguments answered by the robot's preset where it knows them."""
    preset = read_preset(chosen["robot"]).bringup
    known = {name for name, kind in KEYS.items() if kind is str} & set(chosen)
    return chosen | {name: preset.get(name, "") for name in known if not chosen[name]}


def bring_up(chosen: dict[str, str | bool], **more) -> list:
    """Launch actions of the graph that the arguments (and ``more`` fields of Graph) describe; of a recorder
    too, where one is asked for."""
    names = {field.name for field in fields(Graph)}
    graph = Graph(**{name: value for name, value in chosen.items() if name in names} | more)
    return [*graph_nodes(graph), *([recorder(graph)] if chosen["record"] else [])]


def graph_nodes(graph: Graph, executables: Iterable[str] = ()) -> list[Node]:
    """A launch action for each process of the graph; of ``executables`` only, where given."""
    return [
        Node(
            package="jepa_ros",
            executable=process.executable,
            output="screen",
            emulate_tty=True,
            arguments=list(process.arguments),
            sigterm_timeout=TIME_TO_STOP,
        )
        for process in graph.processes()
        if not executables or process.executable in executables
    ]


def recorder(graph: Graph) -> IncludeLaunchDescription:
    """record.launch.py, with the robot's names of the graph's topics."""
    topics = [asdict(entry) for entry in read_record_topics()]
    for entry in topics:
        for key in ("topic", "unless"):
            entry[key] = graph.remappings.get(entry[key], entry[key])
    topics_file = Path(tempfile.mkdtemp(prefix="jepa_ros_")) / "record_topics.yaml"
    topics_file.write_text(yaml.safe_dump({"topics": topics}))
    arguments = {
        "namespace": graph.namespace,
        "checkpoint": graph.checkpoint,
        "params_file": str(graph.parameter_files[0]),
        "use_sim_time": str(graph.use_sim_time).lower(),
        "topics_file": str(topics_file),
    }
    return IncludeLaunchDescription(
        AnyLaunchDescriptionSource(str(launch_file("jepa_ros", "record.launch.py"))),
        launch_arguments=arguments.items(),
    )


def launch_file(package: str, file: str) -> Path:
    """A launch file: absolute, or in the launch folder of an installed package."""
    if Path(file).is_absolute():
        path = Path(file)
    elif not package:
        raise JepaError(f"launch file {file}: give its package too, or an absolute path")
    elif package == "jepa_ros":
        return find(f"launch/{file}")  # in the source tree too
    else:
        try:
            path = Path(get_package_share_directory(package)) / "launch" / file
        except PackageNotFoundError:
            raise JepaError(f"package {package}, which has {file}, is not installed or not sourced") from None
    if not path.is_file():
        raise JepaError(f"launch file {path}: there is no such file")
    return path


def included(path: Path, arguments: dict[str, str]) -> GroupAction:
    """Another package's launch file, which sees these arguments and none of ours."""
    include = IncludeLaunchDescription(
        AnyLaunchDescriptionSource(str(path)), launch_arguments=arguments.items()
    )
    return GroupAction([include], scoped=True, forwarding=False)
