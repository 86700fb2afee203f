"""Encoder, world model, cost and planner in one process, by direct calls: no DDS in the planning loop."""

from jepa_ros.nodes.base.run import run
from jepa_ros.nodes.cost import CostNode
from jepa_ros.nodes.direct_evaluator import DirectLink
from jepa_ros.nodes.encoder import EncoderNode
from jepa_ros.nodes.planner import PlannerNode
from jepa_ros.nodes.world_model import WorldModelNode


def make_nodes(**kwargs) -> list:
    """The same four nodes as distributed, with the same names, parameters and services. kwargs: of each node."""
    encoder = EncoderNode(on_embedding=lambda msg: planner.see(msg), **kwargs)
    world_model, cost = WorldModelNode(in_graph=False, **kwargs), CostNode(in_graph=False, **kwargs)
    planner = PlannerNode(link=DirectLink(encoder, world_model, cost), **kwargs)
    return [encoder, world_model, cost, planner]


def main() -> None:
    """`ros2 run jepa_ros single`"""
    raise SystemExit(run(make_nodes))


if __name__ == "__main__":
    main()
