"""/diagnostics of every node over DDS: levels, words and values, from unconfigured to shut down."""

import threading
import time

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from sensor_msgs.msg import JointState
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger

from jepa_ros.errors import JepaError
from jepa_ros.nodes.action_publisher import ActionPublisherNode
from jepa_ros.nodes.base.diagnostics import Health, Input, Report, Stage
from jepa_ros.nodes.base.lifecycle import ManagedNode
from jepa_ros.nodes.cost import CostNode
from jepa_ros.nodes.encoder import EncoderNode
from jepa_ros.nodes.planner import PlannerNode
from jepa_ros.nodes.simulator import SimulatorNode
from jepa_ros.nodes.wire import images
from jepa_ros.nodes.world_model import WorldModelNode

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
GUARD = {"limits.velocity": [4.7] * 6, "limits.acceleration": [38.0] * 6}


class Probe(ManagedNode):
    NAME = "probe"

    def _setup(self):
        self.subscriber(String, "in", self._on_in, 10, stale_after_s=1.5)
        self.read(String, "read", lambda msg: time.sleep(0.01), 10)
        self.entered, self.go = threading.Event(), threading.Event()
        self.work = self.worker(self._compute)

    def _on_in(self, msg):
        if msg.data == "bad":
            raise JepaError("in: not that one")
        if msg.data == "bug":
            raise ValueError("a bug")
        self.work.offer(msg)

    def _compute(self, kind, msg):
        self.entered.set()
        self.go.wait(10)

    def _diagnose(self, report):
        report.hardware_id = "the model"
        report.add("wheels", 4)


class Watch:
    """The statuses of one world's nodes."""

    def __init__(self, world):
        self.prefix = f"{world.namespace}/".lstrip("/")
        self.inbox = world.listen(DiagnosticArray, "/diagnostics", 100)

    def wait(self, node, matches=lambda status, values: True):
        def found(msg):
            (status,) = msg.status
            return status.name == self.prefix + node and matches(status, values_of(status))

        return self.inbox.wait(found).status[0]


def values_of(status):
    return {pair.key: pair.value for pair in status.values}


@pytest.fixture
def watch(world):
    return Watch(world)


def test_level_and_words_follow_the_lifecycle(world, watch):
    node = world.make(Probe, start=False)
    assert watch.wait("probe").level == WARN
    world.in_executor(node.trigger_configure)
    status = watch.wait("probe", lambda s, v: v["state"] == "inactive")
    assert (status.level, status.message, status.hardware_id) == (WARN, "inactive", "the model")
    assert values_of(status)["wheels"] == "4"
    world.in_executor(node.trigger_activate)
    assert watch.wait("probe", lambda s, v: v["state"] == "active").level == OK
    for step in (node.trigger_deactivate, node.trigger_cleanup):
        watch.inbox.clear()
        world.in_executor(step)
    status = watch.wait("probe", lambda s, v: v["state"] == "unconfigured")
    assert "wheels" not in values_of(status) and status.hardware_id == world.namespace.strip("/")


def test_comes_once_a_second_where_use_sim_time_waits_for_a_clock(world, watch):
    began = time.monotonic()
    world.make(Probe, parameters={"use_sim_time": True})

    def active():
        own = [m for m in watch.inbox.messages if m.status[0].name == f"{watch.prefix}probe"]
        return [m for m in own if values_of(m.status[0])["state"] == "active"]

    world.until(lambda: len(active()) >= 4)  # at activation, and then every second
    assert time.monotonic() - began > 2.0
    assert all(msg.header.stamp == Time() for msg in active())  # no /clock: ROS time is 0


def test_failed_configure_is_an_error_with_its_reason_at_once(world, watch):
    node = world.make(EncoderNode, start=False, parameters={"checkpoint": "/nowhere"})
    assert not world.in_executor(node.start)
    status = watch.wait("encoder", lambda s, v: s.level == ERROR)
    assert "could not configure" in status.message and "/nowhere" in status.message


def test_inputs_drops_times_and_errors_are_counted(world, watch):
    node = world.make(Probe)
    into, read = world.talk(String, "in"), world.talk(String, "read")
    into.publish(String(data="1"))
    assert node.entered.wait(10)
    for word in ("2", "3", "4", "bad"):
        into.publish(String(data=word))
        read.publish(String(data=word))
    status = watch.wait("probe", lambda s, v: v.get("in: count") == "5")
    assert status.level == WARN and "in: not that one" in status.message
    values = values_of(status)
    assert values["worker: dropped"] == "2" and values["errors"] == "1"
    assert float(values["in: age_s"]) < 5 and float(values["in: rate_hz"]) > 0.5
    node.go.set()
    timed = watch.wait("probe", lambda s, v: "nan" not in (v.get("item: p50_ms"), v.get("read: p50_ms")))
    assert float(values_of(timed)["read: p50_ms"]) >= 10
    into.publish(String(data="bug"))
    status = watch.wait("probe", lambda s, v: s.level == ERROR)
    assert status.message.startswith("ValueError: a bug; the log has its traceback")


def test_an_input_that_stays_away_is_warned_of(world, watch):
    node = world.make(Probe)
    status = watch.wait("probe", lambda s, v: s.level == WARN and v["state"] == "active")
    assert status.message == "no message on in for 2 s"
    assert values_of(status)["in: age_s"] == "inf"
    world.in_executor(node.stop)
    status = watch.wait("probe", lambda s, v: v["state"] == "inactive" and s.message == "inactive")
    assert status.level == WARN


def test_a_node_that_fails_to_tell_goes_on(world, watch):
    class Odd(Probe):
        def _diagnose(self, report):
            raise ValueError("odd")

    node = world.make(Odd)
    world.until(lambda: node.health.errors > 1)
    assert node.active


def test_model_nodes_say_which_model(world, watch, checkpoint):
    nodes = [
        world.make(kind, parameters={"checkpoint": checkpoint}) for kind in (EncoderNode, WorldModelNode)
    ]
    for node in nodes:
        status = watch.wait(node.NAME, lambda s, v: v["state"] == "active")
        assert status.hardware_id == values_of(status)["model_id"] == node._checkpoint.model_id
    picture = images.to_msg(np.zeros((64, 64, 3), np.uint8), Header())
    world.talk(type(picture), "image").publish(picture)
    status = watch.wait("encoder", lambda s, v: v.get("image: count") == "1" and v["image: p50_ms"] != "nan")
    assert 0 < float(values_of(status)["image: p95_ms"]) < 1000


def test_cost_and_planner_say_what_they_work_with(world, watch, checkpoint):
    world.make(CostNode, parameters={"weights.effort": 0.5})
    status = watch.wait("cost", lambda s, v: v["state"] == "active")
    assert status.level == OK and "0.5 effort" in values_of(status)["terms"]
    world.make(PlannerNode, parameters={"checkpoint": checkpoint})
    status = watch.wait("planner", lambda s, v: v["state"] == "active")
    assert status.level == WARN and "looks are not judged" in status.message  # no calibration.json
    assert values_of(status)["plans"] == "0" and values_of(status)["goal_id"] == "none"


def test_guard_states_are_levels(world, watch):
    world.make(ActionPublisherNode, parameters=GUARD)
    status = watch.wait("action_publisher", lambda s, v: v["state"] == "active")
    assert status.level == OK and values_of(status)["guard"] == "IDLE"
    world.call(Trigger, "action_publisher/estop", Trigger.Request())
    status = watch.wait("action_publisher", lambda s, v: v["guard"] == "ESTOPPED")
    assert status.level == ERROR and status.message.startswith("ESTOPPED: emergency stop")


def test_simulator_says_what_it_simulates(world, watch):
    joints = world.listen(JointState, "joint_states")
    world.make(SimulatorNode, parameters={"disturbance": "lens_covered"})
    joints.wait()
    status = watch.wait("simulator", lambda s, v: v["state"] == "active" and v["physics: p50_ms"] != "nan")
    assert status.level == WARN and "lens_covered" in status.message
    assert values_of(status)["task"] == "reach"


def test_counting_costs_microseconds():
    seen, stage, rounds = Input(), Stage(), 4_000

    def mean_s():
        began = time.perf_counter()
        for _ in range(rounds):
            seen.seen()
            stage.run(int)
        return (time.perf_counter() - began) / rounds

    assert min(mean_s() for _ in range(5)) < 50e-6


def test_rate_is_over_the_last_seconds_not_since_the_beginning():
    seen = Input()
    began = time.monotonic()
    for second in range(1, 12):
        for _ in range(20 if second < 3 else 10):
            seen.seen()
        rate = seen.rate_hz(began + second)
    assert rate == pytest.approx(10.0, rel=0.01)


def test_old_errors_and_times_no_longer_count(monkeypatch):
    health, now = Health(), time.monotonic()
    health.failed(JepaError("long ago"))
    health.stage("work").run(int)
    monkeypatch.setattr(time, "monotonic", lambda: now + 60)
    report = Report("node", "arm")
    health.fill(report, active=True)
    (status,) = report.message(Time(), well="active").status
    assert (status.level, status.message) == (OK, "active")
    assert values_of(status) == {
        "work: p50_ms": "nan",
        "work: p95_ms": "nan",
        "errors": "1",
        "last_error": "long ago",
    }
