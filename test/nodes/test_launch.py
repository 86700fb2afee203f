"""The launch files, run for real where launch_ros is importable."""

import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("launch_ros", reason="needs launch_ros (an installed ROS 2, or the launch overlay)")

from ament_index_python.packages import get_packages_with_prefixes  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402
from node_bench import make_spec  # noqa: E402

from jepa_ros.data.episode_bag import EpisodeBag  # noqa: E402
from jepa_ros.nodes.bringup.graph import Graph, find  # noqa: E402
from jepa_ros.nodes.client import GraphClient  # noqa: E402
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
            client.wait_active(Graph(composition="single", checkpoint=checkpoint).nodes)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        output, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert process.returncode == 0 and "Traceback" not in output, output
    assert output.count("process has finished cleanly") == 3, output


def launch(name, *arguments):
    """The outcome of a launch that ends by itself."""
    command = [sys.executable, "-c", RUN, str(find(f"launch/{name}.launch.py")), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        output, _ = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
    return process.returncode, output


def test_replay_brings_the_graph_up_plays_and_ends_with_the_bag(checkpoint, tmp_path):
    spec, rng = make_spec(), np.random.default_rng(0)
    with EpisodeBag(tmp_path / "bag", spec, {"width": 64, "height": 64, "k": np.eye(3)}) as bag:
        for i in range(40):
            bag.command(1.0 + 0.1 * i, np.zeros(spec.dim))
            image = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            bag.observe(1.0 + 0.1 * i, image, np.zeros(spec.dim), np.zeros(spec.dim))
    arguments = [f"bag:={tmp_path / 'bag'}", f"namespace:={NAMESPACE}", "composition:=single"]
    code, output = launch("replay", *arguments, f"checkpoint:={checkpoint}", "goal_image:=last")
    assert code == 0 and "Traceback" not in output, output
    assert "played 3.9 of 3.9 s" in output and "playing without" not in output, output
    assert f"/{NAMESPACE}/recorded/joint_trajectory" in output
    assert "plan vetoed: the guard is not armed" in output  # it planned, and nothing may move
    assert output.count("process has finished cleanly") == 3, output


@pytest.mark.parametrize(
    "name, arguments, named",
    [
        ("sim", ["checkpoint:=/nowhere"], "/nowhere"),
        ("replay", ["bag:=/nowhere"], "/nowhere"),
        pytest.param(
            *("gazebo", ["headless:=true"], "package ros_gz_sim"),
            marks=pytest.mark.skipif(
                "ros_gz_sim" in get_packages_with_prefixes(), reason="Gazebo is installed"
            ),
        ),
    ],
    ids=["sim", "replay", "gazebo"],
)
def test_what_is_not_there_is_named(name, arguments, named):
    code, output = launch(name, *arguments)
    assert code == 1 and named in output


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
