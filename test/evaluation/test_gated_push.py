"""Pushing with the surprise gate, by the shipped model: a cube that goes elsewhere than foreseen holds nobody."""

from pathlib import Path

import pytest

from jepa_ros.evaluation.runner import Bench, Settings
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.surprise import Level, SurpriseGate

MODEL = Path(__file__).resolve().parents[2] / "models" / "reach_push"
HELD_BEFORE = (104, 106)
"""Episodes in which the arm was held for good while the gate did not look at where the arm is seen."""
BLOCKS = 20


@pytest.fixture(scope="module")
def bench():
    return Bench(Settings("push", str(MODEL), "checkpoint", PlannerConfig(), {"objects": 10.0}, BLOCKS))


def held(bench, seed, **limits) -> int:
    """Looks of an episode at which the arm was held."""
    agent, checkpoint = bench.agent("hybrid"), bench.checkpoint
    agent.episode.gate = SurpriseGate.calibrated(checkpoint.calibration, checkpoint.model_id, **limits)
    bench.run("hybrid", seed)
    return sum(look.level == Level.HOLD for look in agent.judgements)


@pytest.mark.parametrize("seed", HELD_BEFORE)
def test_a_push_that_goes_elsewhere_is_planned_anew_and_not_held(bench, seed):
    assert held(bench, seed, arm_margin=0.0) > BLOCKS // 2
    assert held(bench, seed) == 0
