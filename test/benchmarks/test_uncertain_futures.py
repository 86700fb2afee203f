"""The figures of the benchmark of uncertain futures, from known predictions and episodes."""

import json

import numpy as np
import pytest
from uncertain_passages import find_passages, separation_figures, straight_block
from uncertain_tables import FILE, driving_figures, driving_table, separation_table, tables

from jepa_ros.data.collect import arm_spec
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task


def test_where_predictions_lie_between_the_outcomes():
    found = separation_figures(
        {"place": np.array([[0.0, 1.0, 0.9, 0.5], [0.1, 0.2, -0.2, 0.0]]), "off": np.full((2, 4), 0.1)}
    )
    assert (found["passed"], found["stopped"], found["between"]) == (5 / 8, 2 / 8, 1 / 8)
    assert found["both_found"] == 0.5 and found["median_off"] == pytest.approx(0.1)
    mean = separation_figures({"place": np.full((6, 1), 0.5), "off": np.full((6, 1), 0.5)})
    assert mean["between"] == 1 and mean["both_found"] == 0
    table = separation_table({"one_future": mean, "several_futures": found})
    assert "| one future | 0.50 | 0.50, 0.50 | 0 % | 100 % | 0 % | 0 % |" in table


def test_how_often_the_arm_was_stopped_and_arrived():
    rows = [{"stopped": i < 2, "success": i > 3, "seconds": float(i)} for i in range(10)]
    found = driving_figures(rows)
    assert (found["stopped"], found["success"], found["median_seconds"]) == (2, 6, 6.5)
    assert found["stopped_wilson_95"][0] < 0.2 < found["stopped_wilson_95"][1]
    never = driving_figures([{"stopped": True, "success": False, "seconds": 9.0}])
    assert "| b | 1 / 1 | 21 - 100 % | 0 / 1 | 0 - 79 % | - |" in driving_table({"a": found, "b": never})


def test_the_straight_block_is_as_fast_as_the_bounds_allow_and_leads_to_the_goal():
    spec, (start, goal) = arm_spec(), make_task("curtain").episode(0)
    block = straight_block(start, goal, spec)
    assert block.shape == (spec.block, spec.dim)
    assert np.all(block <= np.array(spec.upper) + 1e-9) and np.all(block >= np.array(spec.lower) - 1e-9)
    way = goal.joints - start.joints
    np.testing.assert_allclose(
        block.sum(0) / np.linalg.norm(block.sum(0)), way / np.linalg.norm(way), atol=1e-9
    )


def test_a_passage_has_one_beginning_and_both_ends():
    with Simulator("curtain", (32, 32)) as simulator:
        (passage,) = find_passages(simulator, arm_spec(), first_seed=0, count=1)
        for stopped, end in passage["ends"].items():
            simulator.reset(end)
            assert simulator.stopped == stopped
            np.testing.assert_array_equal(simulator.render(), passage["after"][stopped])
        simulator.reset(passage["start"])
        np.testing.assert_array_equal(simulator.render(), passage["before"])
    assert np.any(passage["after"][True] != passage["after"][False])


def test_the_page_says_what_was_measured_or_that_nothing_was(tmp_path):
    assert set(tables(tmp_path).values()) == {"Not measured."}
    row = separation_figures({"place": np.full((6, 1), 0.5), "off": np.full((6, 1), 0.5)})
    drives = driving_figures([{"stopped": False, "success": True, "seconds": 3.0}])
    content = {
        "command": "python it",
        "date": "2026-11-21",
        "separation": {"a": row},
        "driven": {"b": drives},
    }
    (tmp_path / FILE).write_text(json.dumps(content))
    found = tables(tmp_path)
    assert "`python it`; 2026-11-21" in found["the passages"] and "| a | 0.50 |" in found["the passages"]
    assert "| b | 0 / 1 |" in found["the drives"]
