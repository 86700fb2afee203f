"""The launch files, run for real where launch_ros is importable."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("launch_ros", reason="needs launch_ros (an installed ROS 2, or the launch overlay)")

from node_bench import make_spec  # noqa: E402

from jepa_ros.data.episode_bag import EpisodeBag  # noqa: E402
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
        for i in range(10):
            bag.command(1.0 + 0.1 * i, np.zeros(spec.dim))
            image = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            bag.observe(1.0 + 0.1 * i, image, np.zeros(spec.dim), np.zeros(spec.dim))
    arguments = [f"bag:={tmp_path / 'bag'}", f"namespace:={NAMESPACE}", "composition:=single"]
    code, output = launch("replay", *arguments, f"checkpoint:={checkpoint}", "goal_image:=last")
    assert code == 0 and "Traceback" not in output, output
    assert "played 0.9 of 0.9 s" in output and "playing without" not in output, output
    assert f"/{NAMESPACE}/recorded/joint_trajectory" in output
    assert "plan vetoed: the guard is not armed" in output  # it planned, and nothing may move
    assert output.count("process has finished cleanly") == 3, output


@pytest.mark.parametrize(
    "name, arguments",
    [("sim", ["checkpoint:=/nowhere"]), ("replay", ["bag:=/nowhere"])],
    ids=["sim", "replay"],
)
def test_bad_argument_is_named(name, arguments):
    code, output = launch(name, *arguments)
    assert code == 1 and "/nowhere" in output
