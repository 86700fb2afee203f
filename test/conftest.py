"""Settings of every test: an isolated ROS graph, one OpenMP thread, and a clear word where ROS is missing."""

import importlib
import os
import pathlib

import pytest

NODE_TESTS = pathlib.Path(__file__).parent / "nodes"

# A graph of its own per test session: neither other machines nor other sessions here see it. Set before rclpy loads.
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("ROS_LOG_DIR", "/tmp/jepa_ros_test_log")
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("OMP_NUM_THREADS", "1")


def missing_ros() -> str:
    """Why tests of nodes cannot run here; empty where they can."""
    for module in ("rclpy", "jepa_ros.msg", "jepa_ros.srv", "jepa_ros.action"):
        try:
            importlib.import_module(module)
        except ImportError as error:
            return f"needs ROS 2 and the built workspace ({error}); run: make setup && . ./activate"
    return ""


def pytest_ignore_collect(collection_path, config):
    """Without ROS the node tests cannot even be imported: report them as skipped, not as errors."""
    if NODE_TESTS in collection_path.parents and collection_path.name.startswith("test_") and missing_ros():
        config.stash.setdefault(_skipped, []).append(collection_path.name)
        return True
    return None


_skipped = pytest.StashKey[list]()


def pytest_terminal_summary(terminalreporter, config):
    """Name the skipped node tests and the reason."""
    skipped = config.stash.get(_skipped, [])
    if skipped:
        terminalreporter.section("tests of nodes were skipped")
        terminalreporter.line(f"{len(skipped)} files ({', '.join(sorted(skipped))}): {missing_ros()}")
