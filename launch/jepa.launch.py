"""The graph alone, for an arm and a camera that run already.

`ros2 launch jepa_ros jepa.launch.py robot:=ur5e checkpoint:=runs/mine`

Disarmed, and a dry run, until you say otherwise. hardware.launch.py starts the arm's driver too.
"""

from launch.actions import OpaqueFunction

from jepa_ros.nodes.bringup.launching import (
    GRAPH_ARGUMENTS,
    arm_arguments,
    bring_up,
    given,
    with_preset,
)
from launch import LaunchDescription

ARGUMENTS = (*GRAPH_ARGUMENTS, *arm_arguments(dry_run=True))


def jepa(context):
    """The processes that the arguments describe."""
    return bring_up(with_preset(given(context, ARGUMENTS)), simulator=False)


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=jepa)])
