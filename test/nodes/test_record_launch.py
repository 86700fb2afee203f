"""record.launch.py, run for real with `jepa record` where launch_ros is importable."""

import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("launch_ros", reason="needs launch_ros (an installed ROS 2, or the launch overlay)")

from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from test_launch import RUN  # noqa: E402

from jepa_ros.data.bag_files import BagFile  # noqa: E402
from jepa_ros.errors import JepaError  # noqa: E402
from jepa_ros.nodes.bringup.graph import find  # noqa: E402
from launch import LaunchContext  # noqa: E402

PATH = str(find("launch/record.launch.py"))


def written(bag):
    """The messages that a reader finds now."""
    try:
        with BagFile(bag) as file:
            return list(file.messages())
    except JepaError:  # nothing yet
        return []


def test_an_interrupt_of_the_launch_closes_the_bag(world, checkpoint, tmp_path):
    topics = tmp_path / "topics.yaml"
    topics.write_text("topics: [{topic: words}]")
    arguments = ["recorder:=jepa", f"namespace:={world.namespace}", f"out:={tmp_path / 'bag'}"]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, PATH, *arguments, f"topics_file:={topics}", f"checkpoint:={checkpoint}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        world.talk(String, "words").publish(String(data="on launch"))
        world.until(lambda: written(tmp_path / "bag"))
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        output, _ = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert process.returncode == 0 and "Traceback" not in output, output
    assert "process has finished cleanly" in output and "wrote" in output, output
    with BagFile(tmp_path / "bag") as file:
        assert [c.topic for c in file.connections] == [f"{world.namespace}/words"]
        assert file.metadata["checkpoint"] == checkpoint and not file.damage


def test_every_argument_is_described():
    description = PythonLaunchDescriptionSource(PATH).get_launch_description(LaunchContext())
    described = {a.name: a.description for a in description.get_launch_arguments()}
    assert set(described) == {
        "namespace",
        "out",
        "topics_file",
        "checkpoint",
        "params_file",
        "use_sim_time",
        "recorder",
    }
    assert all(text and text != "no description given" for text in described.values())
