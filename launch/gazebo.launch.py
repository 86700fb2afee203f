"""The SO-101 in Gazebo, on its table, with the graph: `ros2 launch jepa_ros gazebo.launch.py`.

Needs ros_gz_sim, ros_gz_bridge, gz_ros2_control, robot_state_publisher and ros2_controllers: docs/gazebo.md.
The world has table, cube and camera; the arm comes into it from its URDF, which names its controllers' file
as package://jepa_ros/gazebo/controllers.yaml.
"""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from jepa_ros.nodes.bringup.files import find
from jepa_ros.nodes.bringup.launching import (
    BOOLEAN,
    GRAPH_ARGUMENTS,
    arm_arguments,
    bring_up,
    given,
    included,
    launch_file,
)
from launch import LaunchDescription

GAZEBO_ARGUMENTS = (
    DeclareLaunchArgument(
        "world",
        default_value="so101_table",
        description="An SDF file, or a world of gazebo/worlds: so101_table, so101_table_no_cube.",
    ),
    DeclareLaunchArgument(
        "gazebo_gui", default_value="true", choices=BOOLEAN, description="false: the server only."
    ),
    DeclareLaunchArgument(
        "headless",
        default_value="false",
        choices=BOOLEAN,
        description="true: no window and no display; the camera renders through EGL.",
    ),
)
ARGUMENTS = (
    *GRAPH_ARGUMENTS,
    *GAZEBO_ARGUMENTS,
    *arm_arguments(dry_run=False, use_sim_time=True, topics="gazebo/bridge.yaml"),
)
TOPICS = {
    "image_topic": "/camera/image_raw",
    "camera_info_topic": "/camera/camera_info",
    "joint_state_topic": "/joint_states",
    "robot_description_topic": "/robot_description",
    "command_topic": "/joint_trajectory_controller/joint_trajectory",
}
"""As bridge and controllers name them."""
CONTROLLERS = ("joint_state_broadcaster", "joint_trajectory_controller")


def gz_arguments(world: Path, gui: bool, headless: bool) -> str:
    """What `gz sim` is given: run at once (-r), server only (-s)."""
    options = (
        ["-r"] + (["-s"] if headless or not gui else []) + (["--headless-rendering"] if headless else [])
    )
    return " ".join([*options, str(world)])


def find_world(name: str) -> Path:
    """A file of the user's, or a world of this package."""
    return Path(name).resolve() if Path(name).is_file() else find(f"gazebo/worlds/{name}.sdf")


def simulation(chosen):
    """Gazebo with the world, the arm in it, its controllers, and the bridge."""
    server = launch_file("ros_gz_sim", "gz_sim.launch.py")
    world = find_world(chosen["world"])
    gazebo = included(
        server,
        {
            "gz_args": gz_arguments(world, chosen["gazebo_gui"], chosen["headless"]),
            "on_exit_shutdown": "true",
        },
    )
    time = {"use_sim_time": chosen["use_sim_time"]}
    controllers = str(find("gazebo/controllers.yaml"))
    share = str(find("package.xml").parent)
    urdf = find("gazebo/so101.urdf").read_text().replace("package://jepa_ros", share)
    describe = Node(
        package="robot_state_publisher",
        executable="robot_state_publisher",
        output="screen",
        parameters=[{"robot_description": ParameterValue(urdf, value_type=str), **time}],
    )
    bridge = Node(
        package="ros_gz_bridge",
        executable="parameter_bridge",
        output="screen",
        parameters=[{"config_file": str(find("gazebo/bridge.yaml")), **time}],
    )
    spawn = Node(
        package="ros_gz_sim",
        executable="create",
        output="screen",
        arguments=["-topic", TOPICS["robot_description_topic"], "-name", "so101"],
    )
    control = Node(
        package="controller_manager",
        executable="spawner",
        output="screen",
        arguments=[*CONTROLLERS, "--param-file", controllers],
    )
    return [
        gazebo,
        describe,
        bridge,
        spawn,
        RegisterEventHandler(OnProcessExit(target_action=spawn, on_exit=[control])),
    ]


def gazebo(context):
    """The simulation, and the graph as on a real arm, in the simulation's time."""
    chosen = given(context, ARGUMENTS)
    chosen |= {name: topic for name, topic in TOPICS.items() if not chosen[name]}
    overrides = {"action_publisher": {"auto_arm": True}}  # a simulated arm may move at once
    return [*simulation(chosen), *bring_up(chosen, simulator=False, overrides=overrides)]


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=gazebo)])
