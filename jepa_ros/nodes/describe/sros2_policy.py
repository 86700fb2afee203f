"""The SROS2 policy, made from what the nodes really create: `python -m jepa_ros.nodes.describe.sros2_policy >
config/sros2/policy.xml`."""

import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import String

from jepa_ros.errors import JepaError
from jepa_ros.nodes import single
from jepa_ros.nodes.action_publisher import ActionPublisherNode
from jepa_ros.nodes.bags.record_metadata import read_params_file
from jepa_ros.nodes.base.lifecycle import ManagedNode
from jepa_ros.nodes.bringup.files import find, find_checkpoint
from jepa_ros.nodes.cost import CostNode
from jepa_ros.nodes.encoder import EncoderNode
from jepa_ros.nodes.guard.arm_output import OUTPUTS
from jepa_ros.nodes.planner import PlannerNode
from jepa_ros.nodes.simulator import SimulatorNode
from jepa_ros.nodes.wire import qos
from jepa_ros.nodes.world_model import WorldModelNode

NAMESPACE = "/jepa"
VERSION = "0.2.0"  # of the policy schema
DEADMAN = "deadman"
DISCOVERY = "ROS_AUTOMATIC_DISCOVERY_RANGE"
_GRAPH_S = 10.0
HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!-- Who may do what on the ROS graph of jepa_ros: one enclave per process, named NAMESPACE/EXECUTABLE. What is not
     allowed is denied. Made by `python -m jepa_ros.nodes.describe.sros2_policy` from the endpoints that the nodes create; a
     test compares. docs/security.md says how to use it. -->
"""
_GROUPS = {"topic": "topics", "service": "services", "action": "actions"}

Access = dict[tuple[str, str], set[str]]
"""(kind, right), such as ("topic", "publish"), to full names."""


def endpoints(node: Node, name: str, namespace: str) -> Access:
    """What a node of the graph has, as ``node`` (any node there) sees it; the parts of an action count as one."""
    access: Access = defaultdict(set)
    for kind, right, query in (
        ("topic", "publish", node.get_publisher_names_and_types_by_node),
        ("topic", "subscribe", node.get_subscriber_names_and_types_by_node),
        ("service", "reply", node.get_service_names_and_types_by_node),
        ("service", "request", node.get_client_names_and_types_by_node),
    ):
        for full, _ in query(name, namespace):
            action, part, _ = full.partition("/_action/")
            if not part:
                access[kind, right].add(full)
            elif kind == "service":
                access["action", {"reply": "execute", "request": "call"}[right]].add(action)
    return access


def from_nodes() -> dict[str, dict[str, Access]]:
    """Process to node to what the node may need, over the parameters that change it. Needs no other process, and
    takes the shipped checkpoint."""
    parameters = _parameters()
    found: dict[str, dict[str, Access]] = defaultdict(lambda: defaultdict(lambda: defaultdict(set)))
    for process, make, variants in _processes():
        for variant in variants:
            overrides = [Parameter(k, value=v) for k, v in (parameters | variant).items()]
            for name, access in _one_process(make, overrides).items():
                for key, names in access.items():
                    found[process][name][key] |= names
    return found


def _one_process(make, overrides: list[Parameter]) -> dict[str, Access]:
    context = rclpy.Context()
    with _nobody_else():
        rclpy.init(context=context)
    nodes: list[ManagedNode] = []
    try:
        bench = rclpy.create_node("bench", namespace=NAMESPACE, context=context)
        urdf = bench.create_publisher(String, "robot_description", qos.GOAL)
        urdf.publish(String(data=find("gazebo/so101.urdf").read_text()))
        nodes = make(context=context, namespace=NAMESPACE, parameter_overrides=overrides)
        for node in nodes:
            node.trigger_configure()
            if node.failure:
                raise JepaError(f"node {node.get_name()}: {node.failure}")
        return {node.get_name(): _all_endpoints(node) for node in nodes}
    finally:
        for node in nodes:
            node.trigger_shutdown()
            node.destroy_node()
        context.try_shutdown()


@contextmanager
def _nobody_else():
    """Contexts made within hear no other: a running graph has nodes of the same names."""
    before = os.environ.get(DISCOVERY)
    os.environ[DISCOVERY] = "OFF"
    try:
        yield
    finally:
        del os.environ[DISCOVERY]
        os.environ.update({} if before is None else {DISCOVERY: before})


def _all_endpoints(node: ManagedNode) -> Access:
    """Once the graph knows of every one that the node made."""
    made = {entity.topic_name for entity in (*node.publishers, *node.subscriptions)}
    made |= {entity.service_name for entity in node.services}
    until = time.monotonic() + _GRAPH_S
    while time.monotonic() < until:
        access = endpoints(node, node.get_name(), node.get_namespace())
        if made <= set().union(*access.values()):
            return access
        time.sleep(0.01)
    raise JepaError(
        f"node {node.get_name()}: the graph does not know of {sorted(made - set().union(*access.values()))} after {_GRAPH_S:g} s"
    )


def _parameters() -> dict[str, object]:
    given = read_params_file(find("config/so101.yaml"), NAMESPACE)
    checkpoint = {"checkpoint": str(find_checkpoint("reach")), "autostart": False}
    return given["/**"] | given[f"{NAMESPACE}/action_publisher"] | checkpoint


def _processes() -> Iterable[tuple[str, object, list[dict]]]:
    timed = {"use_sim_time": True}
    transports = [timed | {"image_transport": kind} for kind in ("raw", "compressed")]
    outputs = [
        timed
        | {"output_type": output, "dry_run": dry_run, "image_transport": transport, "deadman_topic": DEADMAN}
        | {"limits.from_urdf": True, "workspace.tip_link": "gripper_frame_link"}
        for output, (dry_run, transport) in product(OUTPUTS, ((False, "raw"), (True, "compressed")))
    ]

    def alone(kind):
        return lambda **kwargs: [kind(**kwargs)]

    yield "simulator", alone(SimulatorNode), [{}]
    yield "action_publisher", alone(ActionPublisherNode), outputs
    yield "encoder", alone(EncoderNode), transports
    yield "world_model", alone(WorldModelNode), [timed]
    yield "cost", alone(CostNode), [timed | {"weights.effort": 1.0}]  # a term that needs the candidates
    yield "planner", alone(PlannerNode), [timed]
    yield "single", single.make_nodes, transports


def of_people(nodes: Mapping[str, Mapping[str, Access]]) -> dict[str, dict[str, Access]]:
    """The enclaves beside the graph: the driver of a real arm and its camera, the operator's programs and commands,
    and the recorder. None of them may publish a command or a plan."""
    ours = [access for process in nodes.values() for access in process.values()]
    services = set().union(*(a["service", "reply"] for a in ours))
    heard = {f"{NAMESPACE}/*", "/clock", "/diagnostics", "/rosout", "/parameter_events"}
    sensors = {"image", "image/compressed", "camera_info", "joint_states", "robot_description"}
    said = {"/rosout", "/parameter_events"}

    def full(names):
        return {f"{NAMESPACE}/{name}" for name in names}

    def own(node):
        names = ("describe_parameters", "get_parameter_types", "get_parameters", "get_type_description")
        more = ("list_parameters", "set_parameters", "set_parameters_atomically")
        return full(f"{node}/{name}" for name in names + more)

    return {
        "driver": {
            "driver": {
                ("topic", "publish"): full(sensors) | said | {"/clock"},
                ("topic", "subscribe"): full(output.topic for output in OUTPUTS.values()) | {"/clock"},
                ("service", "reply"): own("driver"),
            }
        },
        "operator": {
            "jepa_client": {
                ("topic", "publish"): full(["goal_image", DEADMAN]) | said,
                ("topic", "subscribe"): heard,
                ("service", "reply"): own("jepa_client"),
                ("service", "request"): services,
                ("action", "call"): full(["reach_goal"]),
            }
        },
        "recorder": {
            "jepa_recorder": {
                ("topic", "publish"): said,
                ("topic", "subscribe"): heard,
                ("service", "reply"): {"/jepa_recorder/get_type_description"},
                ("service", "request"): {
                    s for s in services if s.endswith(("/get_parameters", "/list_parameters"))
                },
            }
        },
    }


def text(enclaves: Mapping[str, Mapping[str, Access]]) -> str:
    """The policy file. enclaves: process to node to its access."""
    root = ElementTree.Element("policy", version=VERSION)
    parent = ElementTree.SubElement(root, "enclaves")
    for process, nodes in enclaves.items():
        enclave = ElementTree.SubElement(parent, "enclave", path=f"{NAMESPACE}/{process}")
        profiles = ElementTree.SubElement(enclave, "profiles")
        for node, access in nodes.items():
            profile = ElementTree.SubElement(profiles, "profile", ns=NAMESPACE, node=node)
            for (kind, right), names in sorted(access.items()):
                rules = ElementTree.SubElement(profile, _GROUPS[kind], {right: "ALLOW"})
                for name in sorted(names):
                    ElementTree.SubElement(rules, kind).text = name.removeprefix(f"{NAMESPACE}/")
    ElementTree.indent(root)
    return HEAD + ElementTree.tostring(root, encoding="unicode") + "\n"


def policy() -> str:
    """The committed file, made anew."""
    nodes = from_nodes()
    return text(nodes | of_people(nodes))


def main() -> None:
    """Print the policy; argument: a file to write in its place."""
    Path(sys.argv[1]).write_text(policy()) if len(sys.argv) > 1 else sys.stdout.write(policy())


if __name__ == "__main__":
    main()
