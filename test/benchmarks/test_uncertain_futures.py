"""The figures of the benchmark of uncertain futures, from known predictions and episodes."""

import numpy as np
import pytest
from uncertain_futures import (
    driving_figures,
    driving_table,
    separation_figures,
    separation_table,
    straight_block,
)

from jepa_ros.data.collect import arm_spec
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
    assert "| one future | 0.50 | 0% | 100% | 0% | 0.50 | 0% |" in table


def test_how_often_the_arm_was_stopped_and_arrived():
    rows = [{"stopped": i < 2, "success": i > 3, "seconds": float(i)} for i in range(10)]
    found = driving_figures(rows)
    assert (found["stopped"], found["success"], found["median_seconds"]) == (2, 6, 6.5)
    assert found["stopped_wilson_95"][0] < 0.2 < found["stopped_wilson_95"][1]
    never = driving_figures([{"stopped": True, "success": False, "seconds": 9.0}])
    assert "| b | 1 / 1 | 21% - 100% | 0 / 1 | 0% - 79% | - |" in driving_table({"a": found, "b": never})


def test_the_straight_block_is_as_fast_as_the_bounds_allow_and_leads_to_the_goal():
    spec, (start, goal) = arm_spec(), make_task("curtain").episode(0)
    block = straight_block(start, goal, spec)
    assert block.shape == (spec.block, spec.dim)
    assert np.all(block <= np.array(spec.upper) + 1e-9) and np.all(block >= np.array(spec.lower) - 1e-9)
    way = goal.joints - start.joints
    np.testing.assert_allclose(
        block.sum(0) / np.linalg.norm(block.sum(0)), way / np.linalg.norm(way), atol=1e-9
    )
