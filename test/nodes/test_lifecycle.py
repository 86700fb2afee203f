"""The base class: transitions, failures, release, worker threads, clean ends."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.parameter import Parameter
from std_msgs.msg import String

from jepa_ros.costs.energy import TERMS
from jepa_ros.errors import JepaError
from jepa_ros.nodes.action_publisher import ActionPublisherNode
from jepa_ros.nodes.base.lifecycle import ManagedNode
from jepa_ros.nodes.base.worker import LatestWorker
from jepa_ros.nodes.cost import CostNode
from jepa_ros.nodes.encoder import EncoderNode
from jepa_ros.nodes.planner import PlannerNode
from jepa_ros.nodes.simulator import SimulatorNode
from jepa_ros.nodes.world_model import WorldModelNode

MODEL = "the checkpoint of these tests"


class Probe(ManagedNode):
    NAME = "probe"
    fail = ""

    def _setup(self):
        self.calls = getattr(self, "calls", []) + ["setup"]
        self.seen, self.out = [], self.publisher(String, "out", 10)
        self.subscriber(String, "in", self._on_in, 10)
        if self.fail:
            raise JepaError(self.fail) if self.fail != "bug" else ValueError("bug")

    def _on_in(self, msg):
        if msg.data == "bug":
            raise ValueError("bug")
        self.out.publish(msg)

    def _teardown(self):
        self.calls.append("teardown")

    def _start(self):
        self.calls.append("start")

    def _stop(self):
        self.calls.append("stop")


def change(world, transition, name="probe"):
    return world.call(
        ChangeState, f"{name}/change_state", ChangeState.Request(transition=Transition(id=transition))
    ).success


def state(world, name="probe"):
    return world.call(GetState, f"{name}/get_state", GetState.Request()).current_state.label


def test_failed_setup_stays_unconfigured_says_why_and_releases(world):
    node = world.make(Probe, start=False)
    node.fail = "the camera is gone"
    assert not change(world, Transition.TRANSITION_CONFIGURE)
    assert state(world) == "unconfigured" and "the camera is gone" in node.failure
    assert node.calls == ["setup", "teardown"] and node.count_publishers(f"{world.namespace}/out") == 0
    node.fail = ""
    assert (
        change(world, Transition.TRANSITION_CONFIGURE) and state(world) == "inactive" and node.failure == ""
    )


@pytest.mark.parametrize(
    "kind, bad, good, says",
    [
        (EncoderNode, {}, {"checkpoint": MODEL}, "the parameter checkpoint is empty"),
        (EncoderNode, {"checkpoint": MODEL, "device": "warp"}, {"device": "cpu"}, "device is 'warp'"),
        (WorldModelNode, {"checkpoint": "/nowhere"}, {"checkpoint": MODEL}, "/nowhere"),
        (CostNode, {"device": "warp"}, {"device": "cpu"}, "device is 'warp'"),
        (
            CostNode,
            {f"weights.{term}": 0.0 for term in TERMS},
            {"weights.effort": 1.0},
            "every cost weight is 0",
        ),
        (PlannerNode, {"checkpoint": "/nowhere"}, {"checkpoint": MODEL}, "/nowhere"),
        (
            ActionPublisherNode,
            {"limits.acceleration": [38.0] * 6},
            {"limits.velocity": [4.7] * 6},
            "limits.velocity is not given",
        ),
        (SimulatorNode, {"task": "juggle"}, {"task": "reach"}, "juggle"),
    ],
)
def test_a_node_that_cannot_configure_says_why_and_can_once_corrected(
    world, checkpoint, kind, bad, good, says
):
    def real(values):
        return {name: checkpoint if value == MODEL else value for name, value in values.items()}

    node = world.make(kind, start=False, parameters=real(bad))
    name = kind.NAME
    assert not change(world, Transition.TRANSITION_CONFIGURE, name) and state(world, name) == "unconfigured"
    assert node.failure.startswith("could not configure: ") and says in node.failure
    own = [topic for topic, _ in node.get_publisher_names_and_types_by_node(name, world.namespace)]
    assert not [
        topic for topic in own if topic.startswith(world.namespace) and "transition_event" not in topic
    ]
    node.set_parameters([Parameter(name, value=value) for name, value in real(good).items()])
    assert change(world, Transition.TRANSITION_CONFIGURE, name) and state(world, name) == "inactive"
    assert node.failure == ""


def test_bug_in_setup_is_a_failure_not_a_crash(world, capfd):
    node = world.make(Probe, start=False)
    node.fail = "bug"
    assert not change(world, Transition.TRANSITION_CONFIGURE) and state(world) == "unconfigured"
    assert "Traceback" in capfd.readouterr().err


def test_whole_cycle_by_services(world):
    node = world.make(Probe, start=False)
    for transition, label in (
        (Transition.TRANSITION_CONFIGURE, "inactive"),
        (Transition.TRANSITION_ACTIVATE, "active"),
        (Transition.TRANSITION_DEACTIVATE, "inactive"),
        (Transition.TRANSITION_CLEANUP, "unconfigured"),
    ):
        assert change(world, transition) and state(world) == label
    assert node.calls == ["setup", "start", "stop", "teardown"]


def test_an_impossible_transition_is_refused_and_the_node_lives_on(world):
    world.make(Probe, start=False)
    for transition in (Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_ACTIVE_SHUTDOWN, 99):
        assert not change(world, transition) and state(world) == "unconfigured"
    assert change(world, Transition.TRANSITION_CONFIGURE) and state(world) == "inactive"


def test_shutdown_is_final_and_ends_the_diagnostics(world):
    node = world.make(Probe)
    assert change(world, Transition.TRANSITION_ACTIVE_SHUTDOWN) and state(world) == "finalized"
    assert node.calls == ["setup", "start", "stop", "teardown"] and not list(node.timers)
    world.in_executor(node.trigger_shutdown)
    assert not change(world, Transition.TRANSITION_CONFIGURE) and state(world) == "finalized"


def test_callbacks_rest_while_inactive(world):
    node = world.make(Probe, start=False)
    taken = []
    callback = node._while_active(taken.append)
    callback(1)
    world.in_executor(node.start)
    callback(2)
    world.in_executor(node.stop)
    callback(3)
    assert taken == [2]


def test_a_message_that_raises_does_not_end_the_node(world):
    world.make(Probe)
    out, into = world.listen(String, "out"), world.talk(String, "in")
    into.publish(String(data="bug"))
    into.publish(String(data="after"))
    assert out.wait().data == "after"


def test_worker_computes_the_newest_item_and_outlives_an_error():
    entered, go, done, seen, errors = threading.Event(), threading.Event(), threading.Event(), [], []

    def compute(kind, item):
        entered.set()
        go.wait(10)
        seen.append((kind, item))
        if item == 3:
            done.set()
        if item == "bad":
            raise ValueError(item)

    worker = LatestWorker("test", compute, errors.append, kinds=("goal", "image"))
    worker.start()
    worker.offer("bad", "image")
    assert entered.wait(10)
    for item in (1, 2, 3):
        worker.offer(item, "image")
    worker.offer("g", "goal")
    go.set()
    assert done.wait(10)
    worker.stop()
    assert seen == [("image", "bad"), ("goal", "g"), ("image", 3)] and worker.replaced == 2
    assert [str(e) for e in errors] == ["bad"]


SO101 = str(Path(__file__).parents[2] / "config" / "so101.yaml")


def run_node(module, *arguments, **kwargs):
    return subprocess.Popen(
        [sys.executable, "-m", f"jepa_ros.nodes.{module}", "--ros-args", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **kwargs,
    )


def read_until(process, text):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError(f"{text!r} never came: {''.join(lines)}")


def test_signals_end_a_node_with_exit_code_0_and_no_traceback():
    def as_in_a_terminal():
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # where the tests run under nohup, it is ignored

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process = run_node("action_publisher", "--params-file", SO101, preexec_fn=as_in_a_terminal)
        read_until(process, "active")
        process.send_signal(signum)
        rest, _ = process.communicate(timeout=20)
        assert process.returncode == 0 and "Traceback" not in rest and "shut down" in rest


def test_a_brought_up_node_ends_with_the_process_that_started_it():
    process = run_node(
        "action_publisher", "--params-file", SO101, env=os.environ | {"JEPA_ROS_END_WITH_STDIN": "1"}
    )
    read_until(process, "active")
    process.stdin.close()  # what the kernel does for a process that was killed
    assert process.wait(20) == 0


def test_a_crash_of_the_executor_still_stops_the_node():
    code = """
from jepa_ros.nodes.base.lifecycle import ManagedNode
from jepa_ros.nodes.base.run import run

class Node(ManagedNode):
    NAME = "crashing"
    def _setup(self):
        self.create_timer(0.01, lambda: 1 / 0)  # not by every(): nothing guards it
    def _stop(self):
        print("the last hold", flush=True)

raise SystemExit(run(lambda: [Node()]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "the last hold" in done.stdout and "shut down" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_a_process_that_does_not_end_is_ended_and_says_where_it_hung():
    code = """
import os, signal, threading
import jepa_ros.nodes.base.run as base
from jepa_ros.nodes.base.lifecycle import ManagedNode

base._END_S = 0.5

class Node(ManagedNode):
    NAME = "hanging"
    def _setup(self):
        pass
    def _start(self):
        os.kill(os.getpid(), signal.SIGTERM)
    def destroy_node(self):
        threading.Event().wait()

raise SystemExit(base.run(lambda: [Node()]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "shut down" in done.stderr and "in destroy_node" in done.stderr


def test_bad_parameter_ends_the_process_with_one_line():
    process = run_node("action_publisher", "-p", "watchdog.plan_s:=-1.0")
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 2 and "Traceback" not in output
    assert (
        "error: node /action_publisher: parameter watchdog.plan_s is -1.0; it must lie in [0.0, 600.0]"
        in output
    )


def test_action_publisher_process_has_no_torch():
    code = (
        "import sys, jepa_ros.nodes.action_publisher, jepa_ros.nodes.planner; print('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
    )
