"""The launch files, run for real where launch_ros is importable."""

import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("launch_ros", reason="needs launch_ros (an installed ROS 2, or the launch overlay)")

from ament_index_python.packages import get_packages_with_prefixes  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402

from jepa_ros.nodes.client import GraphClient  # noqa: E402
from jepa_ros.nodes.graph import Graph, find  # noqa: E402
from launch import LaunchContext  # noqa: E402

USUAL = (
    *("namespace", "robot", "use_sim_time", "params_file", "checkpoint", "device", "image_topic"),
    *("camera_info_topic", "joint_state_topic", "command_topic", "output_type", "composition"),
    *("dry_run", "autostart", "log_level", "record"),
)
MORE = {
    "sim": ("task", "seed"),
    "hardware": ("robot_ip", "driver_launch_package", "driver_launch_file", "driver_arguments"),
    "gazebo": ("world", "gazebo_gui", "headless"),
}
NAMESPACE = f"launch{os.getpid()}"
RUN = """
import sys
from launch import LaunchService
from launch.actions import IncludeLaunchDescription
from launch import LaunchDescription
from ament_index_python.packages import get_packages_with_prefixes  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource
path, *arguments = sys.argv[1:]
service = LaunchService()
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(path), launch_arguments=[a.split(":=") for a in arguments])]))
sys.exit(service.run())
"""


def test_launch_file_brings_the_graph_up_and_ends_on_interrupt(checkpoint):
    arguments = [f"namespace:={NAMESPACE}", "composition:=single", "seed:=3", f"checkpoint:={checkpoint}"]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(find("launch/sim.launch.py")), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        with GraphClient(NAMESPACE) as client:
            client.wait_active(Graph(composition="single", checkpoint=checkpoint).nodes, 90.0)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert process.returncode == 0 and "Traceback" not in output, output
    assert output.count("process has finished cleanly") == 3, output


def test_bad_argument_is_named():
    process = subprocess.run(
        [sys.executable, "-c", RUN, str(find("launch/sim.launch.py")), "checkpoint:=/nowhere"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == 1 and "/nowhere" in process.stdout + process.stderr


@pytest.mark.parametrize("name", ["jepa", "sim", "hardware", "gazebo"])
def test_every_argument_is_known_by_its_usual_name_and_described(name):
    path = str(find(f"launch/{name}.launch.py"))
    description = PythonLaunchDescriptionSource(path).get_launch_description(LaunchContext())
    described = {a.name: a.description for a in description.get_launch_arguments()}
    assert set(USUAL + MORE.get(name, ())) <= set(described)
    assert all(text and text != "no description given" for text in described.values())


@pytest.mark.parametrize(
    "gui, headless, expected",
    [
        (True, False, "-r world.sdf"),
        (False, False, "-r -s world.sdf"),
        (True, True, "-r -s --headless-rendering world.sdf"),
    ],
)
def test_gazebo_is_started_with_or_without_a_window(gui, headless, expected):
    launch_file = runpy.run_path(str(find("launch/gazebo.launch.py")))
    assert launch_file["gz_arguments"](Path("world.sdf"), gui, headless) == expected


@pytest.mark.skipif("ros_gz_sim" in get_packages_with_prefixes(), reason="Gazebo is installed")
def test_gazebo_that_is_not_installed_is_named():
    process = subprocess.run(
        [sys.executable, "-c", RUN, str(find("launch/gazebo.launch.py")), "headless:=true"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == 1 and "package ros_gz_sim" in process.stdout + process.stderr
