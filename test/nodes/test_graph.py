"""The source of node, topic and parameter truth."""

from pathlib import Path

import pytest
import yaml

from jepa_ros.errors import JepaError
from jepa_ros.nodes.action_publisher import ActionPublisherNode
from jepa_ros.nodes.bringup.graph import MODEL_NODES, OUTPUT_TOPICS, Graph, find


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
    assert written["/**/**/arm/planner"]["ros__parameters"] == {
        "autostart": True,
        "checkpoint": checkpoint,
        "use_sim_time": True,
        "seed": 3,
    }
    assert "use_sim_time" not in written["/**/**/arm/simulator"]["ros__parameters"]


@pytest.mark.parametrize(
    "chosen, model",
    [({}, "reach"), ({"task": "push"}, "reach_push"), ({"task": "push", "checkpoint": "reach"}, "reach")],
)
def test_a_task_brings_the_model_that_does_it(chosen, model):
    assert Path(Graph(**chosen).node_parameters()["planner"]["checkpoint"]).name == model


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
        ({"output_type": "torque"}, "trajectory, commands, twist_cmds"),
        ({"robot": "ur5"}, "mock_hardware, panda, so101, ur5e"),
        ({"robot": "/nowhere/arm.yaml"}, "/nowhere/arm.yaml"),
    ],
)
def test_bad_choice_is_named(bad, says, checkpoint, tmp_path):
    with pytest.raises(JepaError, match=says):
        Graph(**{"checkpoint": checkpoint} | bad).processes(tmp_path)


def test_topics_and_device_of_the_user_reach_every_process(checkpoint, tmp_path):
    graph = Graph(
        checkpoint=checkpoint,
        simulator=False,
        device="cuda:0",
        image_topic="/camera/image_raw",
        joint_state_topic="joints",
        command_topic="/controller/in",
        output_type="commands",
    )
    for process in graph.processes(tmp_path):
        rules = {a for flag, a in zip(process.arguments, process.arguments[1:], strict=False) if flag == "-r"}
        assert {
            "image:=/camera/image_raw",
            "image/compressed:=/camera/image_raw/compressed",
            "joint_states:=joints",
            "commands:=/controller/in",
        } <= rules
        assert not any(rule.startswith(("camera_info", "robot_description")) for rule in rules)
    parameters = graph.node_parameters()
    assert {node for node, values in parameters.items() if values.get("device") == "cuda:0"} == {
        "encoder",
        "world_model",
        "cost",
    }
    assert parameters["action_publisher"]["output_type"] == "commands"


def test_outputs_are_those_of_the_action_publisher():
    from jepa_ros.nodes.guard.arm_output import OUTPUTS

    assert OUTPUT_TOPICS == {name: output.topic for name, output in OUTPUTS.items()}


def test_only_the_simulated_arm_is_sent_commands_by_default(checkpoint):
    def dry(**choices):
        return Graph(checkpoint=checkpoint, **choices).node_parameters()["action_publisher"]["dry_run"]

    assert dry() is False and dry(simulator=False) is True
    assert dry(dry_run=True) is True and dry(simulator=False, dry_run=False) is False


def test_arming_and_dry_run_are_stronger_than_any_parameter_file(world, checkpoint, tmp_path):
    own = tmp_path / "mine.yaml"
    parts = [
        f"{key}: {{ros__parameters: {{auto_arm: true, dry_run: false, max_plan_age: 0.7}}}}"
        for key in (
            "/**/action_publisher",
            f"{world.namespace}/action_publisher",
            "/*/action_publisher",
            "/**",
        )
    ]
    own.write_text("\n".join(parts))
    graph = Graph(namespace=world.namespace, checkpoint=checkpoint, simulator=False, params_file=str(own))
    (process,) = (p for p in graph.processes(tmp_path) if p.executable == "action_publisher")
    node = world.make(ActionPublisherNode, start=False, cli_args=process.arguments)
    assert node.param("auto_arm") is False and node.param("dry_run") is True
    assert node.param("max_plan_age") == 0.7
