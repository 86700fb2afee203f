"""What a run expects of the robot: topics, parameters, checkpoint, as the launch files would give them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jepa_ros.data.topics import absolute, base_of
from jepa_ros.nodes.actor.planner_params import PLANNER_PARAMS
from jepa_ros.nodes.bags.record_metadata import read_params_file
from jepa_ros.nodes.base.parameters import Param
from jepa_ros.nodes.bringup.graph import Graph, find_checkpoint
from jepa_ros.nodes.cost import CostNode
from jepa_ros.nodes.encoder import EncoderNode
from jepa_ros.nodes.guard.arm_output import OUTPUTS
from jepa_ros.nodes.guard.guard_params import GUARD_PARAMS

_READ = {
    "encoder": EncoderNode.PARAMS,
    "cost": CostNode.PARAMS,
    "planner": PLANNER_PARAMS,
    "action_publisher": GUARD_PARAMS,
}
"""The nodes whose parameters the checks read."""
NODES = tuple(_READ)


class NodeParameters:
    """The parameters that a node has, or would have; read as from the node itself. JepaError for a bad value."""

    def __init__(self, name: str, params: Iterable[Param], given: Mapping[str, object]):
        self._name, self.given = name, frozenset(given)
        self._values = {param.name: param.coerce(given.get(param.name, param.default)) for param in params}

    def param(self, name: str):
        """The value of a parameter."""
        return self._values[name]

    def get_name(self) -> str:
        """Of the node."""
        return self._name


@dataclass(frozen=True)
class Topic:
    """name: absolute.  kind: the type that is expected.  reliable: what the graph's readers ask for, by node."""

    name: str
    kind: str
    option: str
    readers: Mapping[str, bool]


@dataclass(frozen=True)
class Expected:
    """image, joint_states, command, description: topics.  encoder, cost, planner, guard: their parameters.
    use_sim_time: whether the nodes' clock is /clock.  base: the namespace with its slash, "" for the root."""

    base: str
    checkpoint: Path
    use_sim_time: bool
    image: Topic
    joint_states: Topic
    command: Topic
    description: Topic
    encoder: NodeParameters
    cost: NodeParameters
    planner: NodeParameters
    guard: NodeParameters


def expect(graph: Graph, live: Mapping[str, Mapping[str, object]] | None = None) -> Expected:
    """What the graph would be started with; parameters of nodes that run (``live``: full name to values) are
    stronger. JepaError names a file or value that is wrong."""
    base = base_of(graph.namespace)
    given: dict[str, dict[str, object]] = {}
    for path in graph.parameter_files:
        for key, values in read_params_file(path, graph.namespace).items():
            given.setdefault(key, {}).update(values)
    given.setdefault(f"{base}/encoder", {}).update(
        {
            name: value
            for name, value in (("device", graph.device), ("checkpoint_sha256", graph.checkpoint_sha256))
            if value
        }
    )
    live = live or {}
    encoder, cost, planner, guard = (
        NodeParameters(
            name,
            params,
            live.get(f"{base}/{name}") or {**given.get("/**", {}), **given.get(f"{base}/{name}", {})},
        )
        for name, params in _READ.items()
    )
    running = live.get(f"{base}/action_publisher", {})

    def name(topic: str) -> str:
        return absolute(graph.remappings.get(topic, topic), graph.namespace)

    def image_of(node: NodeParameters) -> str:
        return "image" if node.param("image_transport") == "raw" else "image/compressed"

    output = OUTPUTS[graph.output_type or guard.param("output_type")]
    readers = {
        node.get_name(): node.param("image_reliability") == "reliable"
        for node in (encoder, guard)
        if image_of(node) == image_of(encoder)
    }
    compressed = encoder.param("image_transport") == "compressed"
    image_kind = "sensor_msgs/msg/CompressedImage" if compressed else "sensor_msgs/msg/Image"
    command_kind = f"{output.kind.__module__.split('.')[0]}/msg/{output.kind.__name__}"
    joint_readers = dict.fromkeys(("planner", "action_publisher"), False)
    return Expected(
        base,
        find_checkpoint(graph.checkpoint),
        bool(running.get("use_sim_time", graph.use_sim_time)),
        Topic(name(image_of(encoder)), image_kind, "--image-topic", readers),
        Topic(name("joint_states"), "sensor_msgs/msg/JointState", "--joint-state-topic", joint_readers),
        Topic(name(output.topic), command_kind, "--command-topic", {}),
        Topic(name("robot_description"), "std_msgs/msg/String", "--robot-description-topic", {}),
        encoder,
        cost,
        planner,
        guard,
    )
