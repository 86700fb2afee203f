"""Topics: published, of the right type, with a QoS that the graph's readers meet, neither silent nor too large."""

import os

from jepa_ros.nodes.doctor.expected import NODES, Expected, Topic
from jepa_ros.nodes.doctor.finding import Findings
from jepa_ros.nodes.doctor.heard import Endpoint, Heard

LARGE_BYTES = 500_000
"""Best-effort messages above this mostly get lost on default Fast DDS."""


def check_topics(expected: Expected, heard: Heard) -> Findings:
    """Image, joint states, the command topic, and the nodes of the graph where it runs."""
    found = Findings("topics")
    if not heard.nodes and not any(heard.publishers.values()):
        found.error(
            f"ROS domain {os.environ.get('ROS_DOMAIN_ID', '0')}",
            f"nothing is publishing at all: no other node was seen in {heard.seconds:.0f} s",
            "start the arm's driver and the camera (or the simulator). Where they run: give this terminal the same "
            "ROS_DOMAIN_ID, RMW_IMPLEMENTATION and ROS_AUTOMATIC_DISCOVERY_RANGE as theirs",
        )
        return found
    for topic in (expected.image, expected.joint_states):
        _input(found, topic, heard)
    _command(found, expected, heard)
    _graph(found, expected, heard)
    return found


def _input(found: Findings, topic: Topic, heard: Heard) -> None:
    offers = heard.publishers.get(topic.name, ())
    good = [offer for offer in offers if offer.kind == topic.kind]
    for offer in offers:
        if offer.kind != topic.kind:
            found.error(
                topic.name,
                f"{offer.node} publishes {offer.kind}; expected is {topic.kind}",
                f"give another name with {topic.option}"
                + _candidates(topic, heard)
                + ", or image_transport: compressed for the encoder" * offer.kind.endswith("CompressedImage"),
            )
    if not offers:
        found.error(
            topic.name,
            f"nobody publishes it ({topic.kind})",
            f"start its driver, or give its name with {topic.option}" + _candidates(topic, heard),
        )
    if not good:
        return
    if len(good) > 1:
        found.warn(
            topic.name,
            f"{len(good)} publishers: {_names(good)}; the graph cannot tell their messages apart",
            "leave one of them running, or give each a topic of its own",
        )
    stream, meets = heard.stream(topic.name), True
    for offer in good:
        deaf = [node for node, reliable in topic.readers.items() if reliable and not offer.reliable]
        if deaf:
            meets = False
            found.error(
                topic.name,
                f"{offer.node} publishes best effort, {' and '.join(deaf)} read reliable: nothing will arrive",
                f"set image_reliability: best_effort for {' and '.join(deaf)} in a params_file, or let the driver "
                "publish reliable",
            )
    lossy = not all(offer.reliable for offer in good) or not all(topic.readers.values())
    if topic.kind.startswith("sensor_msgs/msg/Image") and lossy and stream.size_bytes > LARGE_BYTES:
        meets = False
        found.warn(
            topic.name,
            f"{stream.size_bytes / 1e3:.0f} kB a message, best effort: above {LARGE_BYTES / 1e3:.0f} kB most are lost "
            f"on default Fast DDS ({stream.rate_hz:.1f} a second arrived)",
            "publish and read it reliable, read image_transport: compressed, or let the camera send smaller images",
        )
    if not stream.received:
        found.error(
            topic.name,
            f"{_names(good)} offers it, but no message came in {heard.seconds:.0f} s",
            "see the log of that node; a lifecycle node publishes only while active",
        )
    elif meets:
        found.ok(
            topic.name,
            f"{topic.kind}, {stream.rate_hz:.1f} a second, {_size(stream.size_bytes)}, from {_names(good)}",
        )


def _command(found: Findings, expected: Expected, heard: Heard) -> None:
    topic, guard = expected.command, f"{expected.base}/action_publisher"
    listeners = heard.subscribers.get(topic.name, ())
    others = [offer for offer in heard.publishers.get(topic.name, ()) if offer.node != guard]
    for other in others:
        found.warn(
            topic.name,
            f"{other.node} commands the arm too, past the guard",
            "stop it before the run, so that only action_publisher commands the arm",
        )
    wrong = [listener for listener in listeners if listener.kind != topic.kind]
    if wrong:
        found.error(
            topic.name,
            f"{wrong[0].node} takes {wrong[0].kind}; action_publisher sends {topic.kind}",
            f"give the right controller with {topic.option}, or what it takes with --output-type",
        )
    elif listeners:
        found.ok(topic.name, f"{topic.kind}, taken by {_names(listeners)}")
    else:
        near = _candidates(topic, heard)
        tell = found.warn if expected.guard.param("dry_run") else found.error
        tell(
            topic.name,
            "no controller listens to it" + ("; it is a dry run" if expected.guard.param("dry_run") else ""),
            f"start and activate the arm's controller, or give its topic with {topic.option}{near}",
        )


def _graph(found: Findings, expected: Expected, heard: Heard) -> None:
    running = [name for name in (*NODES, "world_model") if f"{expected.base}/{name}" in heard.nodes]
    if not running:
        found.ok(expected.base or "/", "the graph does not run yet; parameters are those of the files")
        return
    quiet = [name for name in running if name in NODES and f"{expected.base}/{name}" not in heard.parameters]
    for name in running:
        full = f"{expected.base}/{name}"
        level, words = heard.said.get(full, (0, ""))
        if level:
            (found.warn if level == 1 else found.error)(
                full, f"it says: {words}", "see its log, and `jepa lifecycle list`"
            )
    if quiet:
        found.warn(
            expected.base,
            f"no answer from {', '.join(quiet)}: starting, or hung; parameters are those of the files",
            "wait until `jepa lifecycle list` shows them active, and look again",
        )
    missing = [name for name in (*NODES, "world_model") if name not in running]
    if missing:
        found.warn(
            expected.base, f"the graph runs without {', '.join(missing)}", "see the log of its launch file"
        )
    for name, topic in (("encoder", expected.image), ("action_publisher", expected.joint_states)):
        readers = [listener.node for listener in heard.subscribers.get(topic.name, ())]
        active = heard.said.get(f"{expected.base}/{name}", (2, ""))[0] < 2
        if name in running and active and f"{expected.base}/{name}" not in readers:
            found.error(
                topic.name,
                f"the {name} that runs does not read it",
                f"give {topic.option} the name that the graph was launched with, or launch it again",
            )
    if not missing and not quiet:
        found.ok(expected.base, f"the graph runs: {', '.join(running)}")


def _candidates(topic: Topic, heard: Heard) -> str:
    """Other topics of the expected type."""
    names = sorted(name for name, kinds in heard.topics.items() if topic.kind in kinds and name != topic.name)
    return f" ({topic.kind} there: {', '.join(names[:5])})" if names else ""


def _names(endpoints: list[Endpoint]) -> str:
    return ", ".join(sorted({endpoint.node for endpoint in endpoints}))


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e3:.0f} kB" if size_bytes >= 10_000 else f"{size_bytes} bytes"
