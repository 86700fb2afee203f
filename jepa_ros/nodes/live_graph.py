"""A graph that runs for as long as somebody works with it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jepa_ros.nodes.bringup.graph import Graph
from jepa_ros.nodes.bringup.interrupts import interruptible
from jepa_ros.nodes.bringup.running import Bringup
from jepa_ros.nodes.client import GraphClient


def isolate() -> None:
    """Keep graphs that start from here to this machine, and in a ROS domain of their own unless ROS_DOMAIN_ID is set."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))


@contextmanager
def live_graph(graph: Graph, log_folder: Path) -> Iterator[tuple[Bringup, GraphClient]]:
    """Bring ``graph`` up and wait until all its nodes are active; on exit it has ended."""
    with interruptible(), Bringup(graph, log_folder) as bringup, GraphClient(graph.namespace) as client:
        client.wait_active(graph.nodes, check=bringup.check)
        client.require_alone(graph.nodes)
        yield bringup, client
