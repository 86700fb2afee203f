"""The closed loop without ROS: who succeeds, who must not, and that an episode can be repeated."""

import dataclasses

import numpy as np
import pytest

from jepa_ros.errors import JepaError
from jepa_ros.evaluation.agents import Agent
from jepa_ros.evaluation.closed_loop import HoldTimer, Timing, run_episode
from jepa_ros.evaluation.oracle import Imagination
from jepa_ros.evaluation.simulated_arm import TICK_S, SimulatedArm

SEED = 1003


def outcome(result):
    """An episode without its wall-clock times."""
    return dataclasses.replace(result, plan_ms=[], encode_ms=[])


def test_the_oracle_reaches_its_goals(bench):
    for seed in (1001, 1002):
        result = bench.run("oracle", seed)
        assert result.success and result.final_error_m < 0.02 < result.start_error_m
        assert len(result.plan_ms) == result.blocks <= 12 and result.encode_ms == []


def test_true_joints_and_proportional_control_reach_every_goal(bench):
    assert all(bench.run("true_joints", seed).success for seed in range(1000, 1008))


@pytest.mark.parametrize("name", ["no_op", "random"])
def test_doing_nothing_sensible_reaches_no_goal(bench, name):
    results = [bench.run(name, seed) for seed in range(1000, 1003)]
    assert not any(r.success for r in results)
    assert all(r.blocks == 12 for r in results)
    assert all(r.seconds == pytest.approx(12 * Timing().block_seconds(bench.spec)) for r in results)


@pytest.mark.parametrize("name", ["oracle", "random", "true_joints"])
def test_same_seed_same_episode(bench, name):
    assert outcome(bench.run(name, SEED)) == outcome(bench.run(name, SEED))


def test_other_seed_other_episode(bench):
    assert bench.run("no_op", SEED).start_error_m != bench.run("no_op", SEED + 1).start_error_m


def test_success_needs_the_hold_time(bench):
    """An agent that is at the goal succeeds exactly hold_seconds after it got there, not before."""
    result = bench.run("true_joints", SEED)
    arrived = result.seconds - bench.task.hold_seconds
    assert arrived > 0
    short = dataclasses.replace(bench.settings, blocks=1)
    assert short.blocks * short.timing.block_seconds(bench.spec) < result.seconds
    assert not run_episode(bench.simulator, bench.task, bench.agent("true_joints"), SEED, 1, "x").success


def test_hold_timer_starts_anew_after_a_break():
    hold = HoldTimer(tolerance=0.02, hold_seconds=0.5)
    assert not hold.update(0.0, 0.01) and not hold.update(0.4, 0.01)
    assert not hold.update(0.45, 0.03)
    assert not hold.update(0.5, 0.01) and not hold.update(0.99, 0.01)
    assert hold.update(1.0, 0.01)


class Broken(Agent):
    """Answers NaN, as a diverged policy does."""

    def decide(self, image, proprio):
        return np.full((self.spec.block, self.spec.dim), np.nan)


def test_an_agent_that_answers_nan_leaves_the_arm_held(bench):
    result = run_episode(bench.simulator, bench.task, Broken(bench.spec), SEED, 3, "broken")
    assert not result.success and result.final_error_m == pytest.approx(result.start_error_m, abs=1e-3)


def test_images_are_those_of_the_moment_of_the_look(bench):
    seen = []

    class Watcher(Agent):
        def decide(self, image, proprio):
            seen.append((image, proprio))
            return np.full((self.spec.block, self.spec.dim), 0.05)

    run_episode(bench.simulator, bench.task, Watcher(bench.spec), SEED, 2, "watcher")
    (first, q0), (second, q1) = seen
    assert first.shape == (64, 64, 3) and first.dtype == np.uint8
    assert not np.array_equal(first, second)
    assert np.allclose(q1 - q0, 4 * 0.05, atol=0.05)


@pytest.mark.parametrize("largest, tolerance", [(0.06, 1e-9), (0.12, 1e-3)], ids=["followed", "lagging"])
def test_imagination_is_what_then_happens(bench, largest, tolerance):
    """The oracle's batch rollouts and the closed loop agree, waiting and settling included: to rounding, and to 1 mrad
    where the arm lags so far that the guard gives it more time."""
    simulator, spec, timing = bench.simulator, bench.spec, Timing()
    start, _ = bench.task.episode(1000)
    simulator.reset(start)
    arm = SimulatedArm(simulator, spec)
    plans = np.random.default_rng(0).uniform(-largest, largest, (3, 2, spec.block_dim))
    imagined, cubes = Imagination(simulator, spec, timing).rollout(plans, arm.base())
    assert imagined.shape == (3, 2, spec.dim) and cubes is None
    for block in range(2):
        looked_at = simulator.time
        arm.advance(timing.latency_s)
        assert arm.execute(plans[1, block].reshape(spec.block, spec.dim), looked_at)
        arm.advance(spec.block * spec.dt + timing.settle_s)
        assert np.allclose(simulator.joint_positions, imagined[1, block], atol=tolerance)


def test_timing_refuses_what_makes_no_sense(bench):
    with pytest.raises(JepaError, match="latency_s is -1"):
        Timing(latency_s=-1)
    assert Timing(0.1, 0.05).block_seconds(bench.spec) == pytest.approx(0.55)
    assert TICK_S == 0.01
