"""Records a run for evaluation and training: `ros2 launch jepa_ros record.launch.py out:=my_run`.

With rosbag2 it is `ros2 bag record`, else `jepa record`: jepa_ros/nodes/bags/record_command.py. Ctrl-C closes the bag.
"""

from launch.actions import DeclareLaunchArgument, ExecuteProcess, LogInfo, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from jepa_ros.nodes.bags.record_command import RECORDERS, record_command
from jepa_ros.nodes.bringup.launching import TIME_TO_STOP
from launch import LaunchDescription

ARGUMENTS = (
    DeclareLaunchArgument(
        "namespace", default_value="jepa", description="Namespace of the nodes and of relative topics."
    ),
    DeclareLaunchArgument(
        "out", default_value="", description="Bag folder to create; empty: jepa_ and the date, here."
    ),
    DeclareLaunchArgument(
        "topics_file",
        default_value="",
        description="Topics (YAML); empty: config/record_topics.yaml of this package.",
    ),
    DeclareLaunchArgument(
        "checkpoint",
        default_value="",
        description="Checkpoint that the bag names: a directory, or the name of a model shipped in models/. "
        "Empty: `jepa record` asks the nodes; a bag of rosbag2 names what params_file says, if anything.",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value="",
        description="Parameters that a bag of rosbag2 names (YAML); `jepa record` asks the nodes instead.",
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="false",
        choices=("true", "false"),
        description="Log times from /clock, and wait for it.",
    ),
    DeclareLaunchArgument(
        "recorder",
        default_value="auto",
        choices=RECORDERS,
        description="auto: rosbag2 where it is installed, else `jepa record`.",
    ),
)
SAYS_LESS = (
    "ros2 bag asks no node: give checkpoint:= and params_file:= for the bag to name the model, the parameters and the "
    "ActionSpec"
)


def record(context):
    """The recorder that the arguments describe."""
    given = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in ARGUMENTS}
    given["use_sim_time"] = given["use_sim_time"] == "true"
    command = record_command(**given)
    actions = [ExecuteProcess(cmd=command, output="screen", name="record", sigterm_timeout=TIME_TO_STOP)]
    if command[0] == "ros2" and not (given["checkpoint"] and given["params_file"]):
        actions.insert(0, LogInfo(msg=SAYS_LESS))
    return actions


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=record)])
