"""The launch file, run for real where launch_ros is importable."""

import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("launch_ros", reason="needs launch_ros (an installed ROS 2, or the launch overlay)")

from jepa_ros.nodes.client import GraphClient  # noqa: E402
from jepa_ros.nodes.graph import Graph, find  # noqa: E402

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
