"""`jepa replay`: what a user sees of a refusal, of wrong options and of a Ctrl-C."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("jepa_ros.msg", reason="needs the built workspace")

from jepa_ros.data.collect import arm_spec  # noqa: E402
from jepa_ros.data.episode_bag import EpisodeBag  # noqa: E402

NAMESPACE = f"replay{os.getpid()}"


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    spec, path = arm_spec(), tmp_path_factory.mktemp("cli") / "bag"
    with EpisodeBag(path, spec, {"width": 8, "height": 8, "k": np.eye(3)}) as bag:
        for i in range(20):
            bag.command(0.1 * i, np.zeros(spec.dim))
            bag.observe(0.1 * i, np.zeros((8, 8, 3), np.uint8), np.zeros(spec.dim), np.zeros(spec.dim))
    return path


def start(*words):
    return subprocess.Popen(
        [sys.executable, "-m", "jepa_ros.cli.main", "replay", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def jepa_replay(*words):
    with start(*words) as process:
        try:
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
    return process.returncode, out, err


@pytest.mark.parametrize(
    "words, told",
    [
        (("--rate", "0"), "--rate is 0; it must be positive"),
        (("--start", "-1"), "--start is -1; it must be zero or positive"),
        (("--goal-image", "/nowhere.png"), "/nowhere.png: there is no such file"),
        (("--topics", "/nowhere.yaml"), "topics file /nowhere.yaml"),
        (("--image-topic", "/nowhere"), "/nowhere"),
    ],
)
def test_wrong_options_are_named(bag, words, told):
    code, out, err = jepa_replay(bag, "--namespace", NAMESPACE, *words)
    assert code == 2 and told in err and "Traceback" not in err, err
    assert not out


def test_wrong_bag_is_named(tmp_path):
    code, _, err = jepa_replay(tmp_path / "nothing")
    assert code == 2 and "nothing: no such file" in err
    code, _, err = jepa_replay(tmp_path)
    assert code == 2 and "no bag in it" in err


def test_a_robot_that_listens_is_refused_with_status_2(bag):
    import rclpy
    from trajectory_msgs.msg import JointTrajectory

    context = rclpy.Context()
    rclpy.init(context=context)
    robot = rclpy.create_node("controller", namespace=NAMESPACE, context=context)
    robot.create_subscription(JointTrajectory, "joint_trajectory", lambda msg: None, 1)
    try:
        # --loop: on a busy machine it may begin to play before it discovers the robot; it stops once it has.
        code, out, err = jepa_replay(bag, "--namespace", NAMESPACE, "--wait-for-subscribers", 0, "--loop")
    finally:
        robot.destroy_node()
        context.shutdown()
    assert code == 2 and not out
    assert (
        f"node /{NAMESPACE}/controller listens to /{NAMESPACE}/joint_trajectory" in err and "--force" in err
    )


def test_interrupt_ends_it_with_a_report(bag):
    process = start(bag, "--namespace", NAMESPACE, "--loop", "--wait-for-subscribers", 0)
    try:
        told = process.stderr.readline()
        assert "playing without" in told, told  # it plays from here on
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0 and "Traceback" not in err, err
    assert "stopped after" in out and "recorded/joint_trajectory" in out
