"""Settings of every test: an isolated ROS graph, one OpenMP thread, and a clear word where ROS is missing."""

import importlib
import multiprocessing
import os
import pathlib
import signal
import threading

import pytest

NODE_TESTS = pathlib.Path(__file__).parent / "nodes"

# A graph of its own per test process: neither other machines nor other processes here see it. Set before rclpy loads;
# the processes of `pytest -n`, gw0, gw1, ..., inherit that of the one that started them, and count on from it.
domain = int(os.environ.pop("ROS_DOMAIN_ID", None) or 1 + os.getpid() % 90)
worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
os.environ["ROS_DOMAIN_ID"] = str(domain + worker)
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("ROS_LOG_DIR", "/tmp/jepa_ros_test_log")
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts background jobs with Ctrl-C ignored, and every process below inherits that: the tests that end a
# graph by an interrupt would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def bag_cache_of_the_tests(monkeypatch, tmp_path_factory) -> None:
    """Commands that read bags keep what they read away from the user's own cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def missing_ros() -> str:
    """Why tests of nodes cannot run here; empty where they can."""
    for module in ("rclpy", "jepa_ros.msg", "jepa_ros.srv", "jepa_ros.action"):
        try:
            importlib.import_module(module)
        except ImportError as error:
            return f"needs ROS 2 and the built workspace ({error}); run: make setup && . ./activate"
    return ""


class SkippedFolder(pytest.Directory):
    """The node tests where they cannot even be imported: one skip that says why."""

    def collect(self):
        pytest.skip(missing_ros(), allow_module_level=True)


def pytest_collect_directory(path, parent):
    return SkippedFolder.from_parent(parent, path=path) if path == NODE_TESTS and missing_ros() else None


@pytest.fixture
def one_of_two_workers_killed():
    """What the out-of-memory killer does: as soon as the test has started two processes, one of them is killed."""
    known, over = set(multiprocessing.active_children()), threading.Event()

    def kill():
        while not over.wait(0.001):
            started = set(multiprocessing.active_children()) - known
            if len(started) == 2:  # one killed while the other starts breaks concurrent.futures itself
                started.pop().kill()
                return

    killer = threading.Thread(target=kill)
    killer.start()
    yield
    over.set()
    killer.join()


@pytest.fixture
def without_export(monkeypatch):
    """`jepa train` ends without ONNX files, which take longer than a training of a few steps; test_train.py has them."""
    monkeypatch.setattr("jepa_ros.cli.train.export", lambda folder: "not exported in this test")
