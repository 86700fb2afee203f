"""A recorded run played into the graph: `ros2 launch jepa_ros replay.launch.py bag:=my_run`.

The graph has no simulator and no robot: it lives in the bag's time, its action_publisher stays disarmed, and
recorded commands go to recorded/. `jepa replay` refuses to play while a robot listens.
"""

import sys

from launch.actions import DeclareLaunchArgument, EmitEvent, ExecuteProcess, OpaqueFunction
from launch.events import Shutdown

from jepa_ros.data.topics import Topics
from jepa_ros.nodes.bags.replay_routes import image_transport
from jepa_ros.nodes.bringup.graph import Graph
from jepa_ros.nodes.bringup.launching import BOOLEAN, GRAPH_ARGUMENTS, TIME_TO_STOP, given, graph_nodes
from launch import LaunchDescription

PATIENCE_S = 120
"""How long `jepa replay` waits for the nodes, which load a model first."""
ARGUMENTS = (
    DeclareLaunchArgument("bag", description="A folder with metadata.yaml, an .mcap or a .db3 file."),
    *GRAPH_ARGUMENTS,
    DeclareLaunchArgument("rate", default_value="1.0", description="Times real time."),
    DeclareLaunchArgument("start", default_value="0.0", description="Seconds of the bag to leave out first."),
    DeclareLaunchArgument(
        "loop", default_value="false", choices=BOOLEAN, description="Begin again at the end of the bag."
    ),
    DeclareLaunchArgument(
        "goal_image",
        default_value="",
        description="A picture to reach in place of the recorded goal; last: the bag's last camera image.",
    ),
    DeclareLaunchArgument(
        "topics_file",
        default_value="",
        description="Which topic of the bag plays which role (YAML); empty: found by type and end of name.",
    ),
    DeclareLaunchArgument(
        "force",
        default_value="false",
        choices=BOOLEAN,
        description="true: play although a robot listens or sensors are live. It may MOVE.",
    ),
    DeclareLaunchArgument(
        "keep_running",
        default_value="false",
        choices=BOOLEAN,
        description="true: the nodes stay when the bag has been played.",
    ),
)


def replay(context):
    """The processes of the graph that the arguments describe, and the one that plays."""
    chosen = given(context, ARGUMENTS)
    topics = Topics.from_yaml(chosen["topics_file"]) if chosen["topics_file"] else Topics()
    transport = {"image_transport": image_transport(chosen["bag"], topics)}
    graph = Graph(
        **{argument.name: chosen[argument.name] for argument in GRAPH_ARGUMENTS}
        | {"params_file": chosen["params_file"] or None},
        simulator=False,
        use_sim_time=True,
        overrides={"encoder": transport, "action_publisher": transport},
    )
    command = [sys.executable, "-m", "jepa_ros.cli.main", "replay", chosen["bag"]]
    command += ["--namespace", chosen["namespace"], "--rate", chosen["rate"], "--start", chosen["start"]]
    command += ["--wait-for-subscribers", str(PATIENCE_S)]
    for option, value in (("--topics", chosen["topics_file"]), ("--goal-image", chosen["goal_image"])):
        command += [option, value] if value else []
    command += [f"--{name}" for name in ("loop", "force") if chosen[name]]
    ended = [] if chosen["keep_running"] else [EmitEvent(event=Shutdown(reason="the replay has ended"))]
    player = ExecuteProcess(
        cmd=command, name="replay", output="screen", on_exit=ended, sigterm_timeout=TIME_TO_STOP
    )
    return [*graph_nodes(graph), player]


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=replay)])
