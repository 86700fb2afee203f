"""`jepa lifecycle` against real nodes: order, words, exit codes, bounded waits."""

import re
import time

import pytest
from rclpy.parameter import Parameter

from jepa_ros.cli.main import main
from jepa_ros.nodes import node_states
from jepa_ros.nodes.action_publisher import ActionPublisherNode
from jepa_ros.nodes.cost import CostNode
from jepa_ros.nodes.encoder import EncoderNode
from jepa_ros.nodes.planner import PlannerNode
from jepa_ros.nodes.world_model import WorldModelNode

GUARD = {"limits.velocity": [4.7] * 6, "limits.acceleration": [38.0] * 6}


UP = ("action_publisher", "encoder", "world_model", "cost", "planner")
"""The order of starting."""


@pytest.fixture
def jepa(world, capsys):
    """(*words) -> exit code, lines of standard output, standard error."""

    def call(*words):
        code = main(["lifecycle", "--namespace", world.namespace, *words])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return call


@pytest.fixture
def graph(world, checkpoint):
    """The nodes of a graph with a real arm, made in another order than that in which they start."""
    return [
        world.make(PlannerNode, start=False, parameters={"checkpoint": checkpoint}),
        world.make(CostNode, start=False),
        world.make(EncoderNode, start=False, parameters={"checkpoint": checkpoint}),
        world.make(ActionPublisherNode, start=False, parameters=GUARD),
        world.make(WorldModelNode, start=False, parameters={"checkpoint": checkpoint}),
    ]


def test_all_nodes_go_up_in_the_order_of_starting_and_down_in_reverse(jepa, graph):
    assert jepa("list") == (0, [f"{name:16}  unconfigured" for name in UP], "")
    for transition, order, state in (
        ("configure", UP, "inactive"),
        ("activate", UP, "active"),
        ("deactivate", UP[::-1], "inactive"),
        ("shutdown", UP[::-1], "finalized"),
    ):
        done = jepa("set", "all", transition)
        assert done[:2] == (0, [f"{name}: {state}" for name in order]), done


def test_one_node_is_asked_and_driven(jepa, graph):
    assert jepa("get", "cost")[:2] == (0, ["unconfigured"])
    assert jepa("set", "cost", "configure")[:2] == (0, ["cost: inactive"])
    assert jepa("set", "cost", "configure")[:2] == (0, ["cost: already inactive"])
    assert jepa("set", "cost", "cleanup")[:2] == (0, ["cost: unconfigured"])


def test_what_is_not_possible_says_what_is(jepa, graph):
    code, lines, err = jepa("set", "cost", "activate")
    assert (code, lines) == (1, [])
    assert "error: cost is unconfigured and cannot activate; it can configure, shutdown" in err


def test_a_node_that_cannot_says_why_and_the_others_go_on(jepa, graph):
    graph[2].set_parameters([Parameter("checkpoint", value="/nowhere")])
    code, lines, err = jepa("set", "all", "configure")
    assert (code, lines) == (1, [f"{name}: inactive" for name in UP if name != "encoder"])
    assert re.search("error: encoder is unconfigured: could not configure: .*/nowhere", err)


def test_a_missing_node_is_told_and_fails_the_command(jepa, world):
    world.make(CostNode, start=False)
    code, lines, err = jepa("set", "all", "configure")
    assert (code, lines) == (1, ["cost: inactive"])
    assert "error: not found: action_publisher, encoder, world_model, planner" in err


def test_unknown_node_and_empty_namespace_are_errors_of_the_user(jepa, graph, capsys, monkeypatch):
    code, _, err = jepa("get", "encodr")
    assert code == 2 and "no lifecycle node 'encodr'; did you mean 'encoder'?" in err
    monkeypatch.setattr(node_states, "_DISCOVERY_S", 0.5)
    assert main(["lifecycle", "--namespace", "nobody", "list"]) == 2
    assert "no lifecycle node in the namespace /nobody" in capsys.readouterr().err


def test_a_node_that_hangs_is_named_in_bounded_time(jepa, world, graph, monkeypatch):
    monkeypatch.setattr(node_states, "_ANSWER_S", 0.5)  # 2 s for each of five nodes is long for a test
    release = []
    world.executor.create_task(lambda: [time.sleep(0.01) for _ in range(4000) if not release])
    try:
        began = time.monotonic()
        code, lines, _ = jepa("list")
        assert code == 1 and [line.split()[1:3] for line in lines] == [["no", "answer"]] * 5
        code, _, err = jepa("--timeout", "0.5", "set", "cost", "configure")
        assert code == 1 and "did not answer within 0.5 s" in err
        assert time.monotonic() - began < 25
    finally:
        release.append(True)


def test_bad_timeout_and_transition_are_refused():
    assert main(["lifecycle", "--timeout", "0", "list"]) == 2
    with pytest.raises(SystemExit) as stop:
        main(["lifecycle", "set", "all", "fly"])
    assert stop.value.code == 2
