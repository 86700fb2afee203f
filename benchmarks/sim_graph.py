"""The real simulator graph, a process per node, for benchmarks that watch it from outside."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rcl_interfaces.srv import GetParameters
from rclpy.parameter import parameter_value_to_python

from jepa_ros.nodes.bringup.graph import Graph
from jepa_ros.nodes.bringup.running import Bringup
from jepa_ros.nodes.client import GraphClient
from jepa_ros.nodes.live_graph import isolate, live_graph


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


@contextmanager
def running_graph(log_folder: Path, seed: int, overrides: Mapping | None = None) -> Iterator[RunningGraph]:
    """Bring the distributed reach graph up, isolated; on exit it has ended.

    Its commands hold velocities too, so that they can be judged.
    """
    isolate()
    overrides = {node: dict(values) for node, values in (overrides or {}).items()}
    overrides.setdefault("action_publisher", {})["point_velocities"] = True
    graph = Graph(seed=seed, overrides=overrides)
    with live_graph(graph, log_folder) as (bringup, client):
        print(f"{len(graph.nodes)} nodes are up; their logs: {log_folder}", file=sys.stderr)
        yield RunningGraph(graph, bringup, client)
