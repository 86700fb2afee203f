"""The source of node and parameter truth, and the robot file."""

import numpy as np
import pytest
import yaml

from jepa_ros.errors import JepaError
from jepa_ros.nodes.graph import MODEL_NODES, Graph, find
from jepa_ros.simulation import arm


def test_compositions_have_the_same_nodes(checkpoint, tmp_path):
    distributed, single = (Graph(composition=c, checkpoint=checkpoint) for c in ("distributed", "single"))
    assert distributed.nodes == single.nodes and set(MODEL_NODES) < set(single.nodes)
    assert [p.executable for p in single.processes(tmp_path)] == ["simulator", "action_publisher", "single"]
    assert single.node_parameters() == distributed.node_parameters()


def test_arguments_reach_the_nodes(checkpoint, tmp_path):
    graph = Graph(
        namespace="/arm", checkpoint=checkpoint, seed=7, use_sim_time=True, overrides={"planner": {"seed": 3}}
    )
    process = graph.processes(tmp_path)[-1]
    assert process.executable == "planner" and "__ns:=/arm" in process.arguments
    written = yaml.safe_load((tmp_path / "graph_params.yaml").read_text())
    assert written["/**/planner"]["ros__parameters"] == {
        "autostart": True,
        "checkpoint": checkpoint,
        "use_sim_time": True,
        "seed": 3,
    }
    assert "use_sim_time" not in written["/**/simulator"]["ros__parameters"]


def test_only_the_simulated_arm_is_armed_by_default(checkpoint):
    assert "auto_arm" not in find("config/so101.yaml").read_text()

    def armed(**choices):
        return Graph(checkpoint=checkpoint, **choices).node_parameters()["action_publisher"]["auto_arm"]

    assert armed() is True and armed(simulator=False) is False
    assert armed(overrides={"action_publisher": {"auto_arm": False}}) is False
    assert armed(simulator=False, overrides={"action_publisher": {"auto_arm": True}}) is True


@pytest.mark.parametrize(
    "bad, says",
    [
        ({"composition": "both"}, "distributed, single"),
        ({"checkpoint": "/nowhere"}, "/nowhere"),
        ({"params_file": "/nowhere.yaml"}, "/nowhere.yaml"),
        ({"overrides": {"planer": {}}}, "planer"),
        ({"log_level": "loud"}, "debug"),
    ],
)
def test_bad_choice_is_named(bad, says, checkpoint, tmp_path):
    with pytest.raises(JepaError, match=says):
        Graph(**{"checkpoint": checkpoint} | bad).processes(tmp_path)


def test_robot_file_is_the_simulated_arm_and_knows_only_declared_parameters():
    from jepa_ros.nodes import action_publisher, cost, encoder, planner, simulator, world_model

    content = yaml.safe_load(find("config/so101.yaml").read_text())
    robot = content.pop("/**")["ros__parameters"]["robot"]
    assert tuple(robot["joint_names"]) == arm.JOINT_NAMES
    for name, values in (
        ("position_lower", arm.POSITION_LOWER),
        ("position_upper", arm.POSITION_UPPER),
        ("velocity", arm.VELOCITY),
    ):
        np.testing.assert_allclose(robot[name], values, atol=1e-3)
    kinds = {
        m.__name__.split(".")[-1]: m
        for m in (action_publisher, cost, encoder, planner, simulator, world_model)
    }
    classes = {
        name: next(v for v in vars(m).values() if getattr(v, "NAME", None) == name)
        for name, m in kinds.items()
    }
    for key, values in content.items():
        node = classes[key.removeprefix("/**/")]
        table = {p.name: p for p in node.PARAMS}
        for name, value in values["ros__parameters"].items():
            table[name].coerce(value)
