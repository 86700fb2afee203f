"""The real simulator graph, a process per node, for benchmarks that watch it from outside."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rcl_interfaces.srv import GetParameters
from rclpy.parameter import parameter_value_to_python

from jepa_ros.cli.demo_session import interruptible, require_alone
from jepa_ros.nodes.bringup.graph import Graph
from jepa_ros.nodes.bringup.running import Bringup
from jepa_ros.nodes.client import GraphClient

NAMESPACE = "jepa"


@dataclass(frozen=True)
class RunningGraph:
    """A graph whose nodes are all active."""

    graph: Graph
    bringup: Bringup
    client: GraphClient

    def parameters(self, node: str, *names: str) -> list:
        """Values of a node's parameters."""
        response = self.client.call(
            GetParameters, f"{node}/get_parameters", GetParameters.Request(names=names)
        )
        return [parameter_value_to_python(value) for value in response.values]


def isolate() -> None:
    """Keep this process's graphs to this machine, in a ROS domain of their own; what is set already counts."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))


@contextmanager
def running_graph(log_folder: Path, seed: int, overrides: Mapping | None = None) -> Iterator[RunningGraph]:
    """Bring the distributed reach graph up, isolated; on exit it has ended.

    Its commands hold velocities too, so that they can be judged.
    """
    isolate()
    overrides = {node: dict(values) for node, values in (overrides or {}).items()}
    overrides.setdefault("action_publisher", {})["point_velocities"] = True
    graph = Graph(namespace=NAMESPACE, seed=seed, overrides=overrides)
    with interruptible(), Bringup(graph, log_folder) as bringup, GraphClient(NAMESPACE) as client:
        client.wait_active(graph.nodes, 90.0, bringup.check)
        require_alone(client, graph.nodes)
        print(f"{len(graph.nodes)} nodes are up; their logs: {log_folder}", file=sys.stderr)
        yield RunningGraph(graph, bringup, client)
