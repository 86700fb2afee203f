"""Clocks: does the clock of the nodes run, and do stamps agree with it?"""

import numpy as np

from jepa_ros.nodes.doctor.expected import Expected, Topic
from jepa_ros.nodes.doctor.finding import Findings
from jepa_ros.nodes.doctor.heard import Heard
from jepa_ros.safety.clock import FUTURE_S


def check_clock(expected: Expected, heard: Heard) -> Findings:
    """use_sim_time against /clock; the stamps of image and joint states against the guard's limits."""
    found = Findings("clock")
    ticks = [ns for _, ns in heard.clock]
    offered = bool(heard.publishers.get("/clock"))
    runs = len(set(ticks)) > 1
    if expected.use_sim_time and not ticks:
        found.error(
            "/clock",
            "use_sim_time is true, and no /clock comes: the nodes' time stands still"
            + (" (it has a publisher)" if offered else ""),
            "start the simulator or the bag with its clock, or launch with use_sim_time:=false",
        )
    elif expected.use_sim_time and not runs:
        found.error(
            "/clock",
            f"it stands still at {1e-9 * ticks[-1]:.3f} s",
            "let the simulator run on (is it paused?)",
        )
    elif expected.use_sim_time:
        found.ok("/clock", f"it runs, {_speed(heard):.2f} s per second; the nodes use it")
    else:
        found.ok("clock", "the nodes use the system clock" + ("; a /clock comes too" if ticks else ""))
    if expected.use_sim_time and not runs:
        return found
    for topic, limit in ((expected.image, "image_s"), (expected.joint_states, "joint_state_s")):
        _stamps(found, topic, expected.guard.param(f"watchdog.{limit}"), limit, expected, heard)
    return found


def _stamps(
    found: Findings, topic: Topic, limit_s: float, limit: str, expected: Expected, heard: Heard
) -> None:
    stream = heard.stream(topic.name)
    ages = stream.ages_s(expected.use_sim_time)
    if not len(ages):
        return
    age, clock = float(np.median(ages)), "/clock" if expected.use_sim_time else "the system clock"
    if not any(stream.stamp):
        found.error(
            topic.name, "its stamps are zero", "let its driver stamp every message with the time of its data"
        )
    elif len(stream.stamp) > 2 and len(set(stream.stamp)) == 1:
        found.error(
            topic.name,
            f"all {len(stream.stamp)} messages have the same stamp: the source is frozen",
            "start its driver again; is the simulator paused?",
        )
    elif age < -FUTURE_S:
        found.error(
            topic.name,
            f"its stamps are {_seconds(-age)} ahead of {clock}",
            _one_clock(stream, expected),
        )
    elif limit_s and age > limit_s:
        found.error(
            topic.name,
            f"its stamps are {_seconds(age)} behind {clock}; the guard holds above {limit_s:g} s (watchdog.{limit})",
            _one_clock(stream, expected),
        )
    elif limit_s and age > limit_s / 2:
        found.warn(
            topic.name,
            f"its stamps are {_seconds(age)} old on arrival; the guard holds above {limit_s:g} s (watchdog.{limit})",
            "look for what delays it: a busy machine, a slow network, a large queue in the driver",
        )
    else:
        found.ok(topic.name, f"its stamps are {_seconds(age)} old on arrival")


def _one_clock(stream, expected: Expected) -> str:
    other = stream.ages_s(not expected.use_sim_time)
    if len(other) and abs(np.median(other)) < 1.0:
        wanted = "false" if expected.use_sim_time else "true"
        return f"they fit the other clock: launch with use_sim_time:={wanted}, for the driver too"
    return (
        "let the driver and this machine use one clock (chrony or NTP between machines, use_sim_time on both)"
    )


def _speed(heard: Heard) -> float:
    (began, first), (ended, last) = heard.clock[0], heard.clock[-1]
    return 1e-9 * (last - first) / max(ended - began, 1e-9)


def _seconds(value: float) -> str:
    return f"{1e3 * value:.0f} ms" if abs(value) < 1 else f"{value:.1f} s"
