"""The planner reaches the goal of a known linear system in closed loop, reproducibly, from a warm start."""

import numpy as np
import pytest

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.receding_horizon import Planner

A, K = 4, 4
SPEC = ActionSpec(
    joint_names=tuple("abcd"),
    lower=(-0.12,) * A,
    upper=(0.12,) * A,
    block=K,
    position_lower=(-2.0,) * A,
    position_upper=(2.0,) * A,
)
GOAL = np.array([0.9, -0.6, 0.3, -1.2])
SETTINGS = [
    ("displacement", "cem"),
    ("displacement", "mppi"),
    ("hold_action", "cem"),
    ("hold_action", "mppi"),
    ("one_block", "cem"),
    ("free_blocks", "cem"),
]


def step(position, blocks):
    """A linear system: actions (S, H, KA) add up, positions lag: x += 0.8 (target - x) per action."""
    samples, horizon, _ = blocks.shape
    target = np.repeat(position[None], samples, axis=0)
    reached = target.copy()
    ends = np.empty((samples, horizon, A))
    for h in range(horizon):
        for action in blocks[:, h].reshape(samples, K, A).transpose(1, 0, 2):
            target = target + action
            reached = reached + 0.8 * (target - reached)
        ends[:, h] = reached
    return ends


def evaluator(position, reduction, goal=GOAL):
    def evaluate(actions):
        distance = np.linalg.norm(step(position, actions) - goal, axis=-1)
        return distance.sum(axis=1) if reduction == "sum" else distance.min(axis=1)

    return evaluate


@pytest.mark.parametrize("space, solver", SETTINGS)
def test_reaches_the_goal_of_a_linear_system_in_closed_loop(space, solver):
    planner = Planner(SPEC, PlannerConfig(space=space, solver=solver))
    position = np.zeros(A)
    for _ in range(12):
        solution = planner.plan(evaluator(position, planner.reduction), position)
        position = step(position, solution.actions[None, :1])[0, 0]
    np.testing.assert_allclose(position, GOAL, atol=0.05)


def test_a_displacement_plan_keeps_the_position_limits():
    planner = Planner(SPEC, PlannerConfig(min_std=0.2))
    position, goal = np.array([1.8, -1.9, 0.0, 1.99]), np.array([3.0, -3.0, 0.0, 3.0])
    seen = []

    def evaluate(actions):
        ends = position + actions.reshape(len(actions), -1, A).sum(axis=1)
        seen.append(ends)
        return np.linalg.norm(ends - goal, axis=1)

    planner.plan(evaluate, position)
    assert np.all(np.concatenate(seen) <= 2.0 + 1e-9) and np.all(np.concatenate(seen) >= -2.0 - 1e-9)


@pytest.mark.parametrize("space, solver", SETTINGS)
def test_the_same_seed_gives_the_same_plans_and_another_seed_others(space, solver):
    def plans(seed):
        planner = Planner(SPEC, PlannerConfig(space=space, solver=solver, seed=seed))
        evaluate = evaluator(np.zeros(A), planner.reduction)
        return [planner.plan(evaluate, np.zeros(A)).actions for _ in range(3)]

    first, again, other = plans(3), plans(3), plans(4)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_cut_short_plan_does_not_change_the_random_numbers_of_the_next():
    def second_plans_candidates(iterations_of_the_first):
        clock = [0.0]
        planner = Planner(SPEC, PlannerConfig(iterations=5), clock=lambda: clock[0])
        calls, first_candidates = [0], []

        def evaluate(actions):
            calls[0] += 1
            clock[0] += 1.0
            first_candidates.append(actions)
            return np.arange(len(actions), dtype=float)  # the first candidate, no motion, is the best

        planner.plan(evaluate, np.zeros(A), deadline_s=iterations_of_the_first + 0.5)
        assert calls[0] == iterations_of_the_first
        first_candidates.clear()
        planner.plan(evaluate, np.zeros(A), deadline_s=1.5)
        return first_candidates[0]

    np.testing.assert_array_equal(second_plans_candidates(1), second_plans_candidates(4))


def test_reset_begins_anew():
    planner = Planner(SPEC, PlannerConfig())
    evaluate = evaluator(np.zeros(A), "sum")
    first = planner.plan(evaluate, np.zeros(A)).actions
    warm = planner.plan(evaluate, np.zeros(A)).actions
    planner.reset()
    np.testing.assert_array_equal(planner.plan(evaluate, np.zeros(A)).actions, first)
    assert not np.array_equal(warm, first)
    planner.reset(seed=9)
    assert not np.array_equal(planner.plan(evaluate, np.zeros(A)).actions, first)


@pytest.mark.parametrize("executed_blocks", [0, 1, 2])
def test_the_rest_of_the_last_plan_is_a_candidate(executed_blocks):
    planner = Planner(SPEC, PlannerConfig(samples=16, elites=4))
    first = planner.plan(evaluator(np.zeros(A), "sum"), np.zeros(A))
    candidates = []

    def evaluate(actions):
        candidates.append(actions)
        return np.sum(actions**2, axis=(1, 2))

    planner.plan(evaluate, np.zeros(A), executed_blocks=executed_blocks)
    rest = np.concatenate([first.actions[executed_blocks:], np.zeros((executed_blocks, K * A))])
    assert min(np.abs(candidate - rest).max() for candidate in candidates[0]) < 1e-12


def test_a_warm_start_searches_narrowly_and_keeps_some_wide_candidates():
    planner = Planner(SPEC, PlannerConfig(samples=1000, warm_std=0.05, wide_fraction=0.1))
    firsts = []

    def evaluate(actions):
        firsts.append(np.abs(actions).sum(axis=(1, 2)))
        return firsts[-1]

    planner.plan(evaluate, np.zeros(A))
    cold, calls = firsts[0], len(firsts)
    planner.plan(evaluate, np.zeros(A))
    warm = firsts[calls]
    far = np.median(cold)
    assert np.mean(cold > far / 2) > 0.9
    assert 0.05 < np.mean(warm > far / 2) < 0.15


def test_a_moment_given_as_deadline_is_refused():
    with pytest.raises(JepaError, match="deadline_s is 123456.0; it is a duration"):
        Planner(SPEC).plan(evaluator(np.zeros(A), "sum"), np.zeros(A), deadline_s=123456.0)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"solver": "sgd"}, "solver is 'sgd'; choose one of cem, mppi"),
        ({"space": "loop"}, "space is 'loop'; choose one of displacement"),
        ({"samples": 1}, r"samples is 1; it must lie in \[2, 65536\]"),
        ({"samples": 64.5}, "samples is 64.5; it must be an integer"),
        ({"iterations": 0}, r"iterations is 0; it must lie in \[1"),
        ({"horizon": "5"}, "horizon is '5'; it must be a finite number"),
        ({"elites": 65}, r"elites is 65; at most samples \(64\)"),
        ({"warm_std": 0.0}, r"warm_std is 0.0; it must lie in \(0.0, 1.0\]"),
        ({"wide_fraction": 1.5}, "wide_fraction is 1.5"),
        ({"temperature": float("nan")}, "temperature is nan; it must be a finite number"),
        ({"seed": -1}, "seed is -1"),
        ({"momentum": True}, "momentum is True"),
    ],
)
def test_bad_settings_are_named_with_their_range(settings, message):
    with pytest.raises(JepaError, match=message):
        PlannerConfig(**settings)


def test_config_from_dict_names_unknown_keys_and_round_trips():
    config = PlannerConfig(solver="mppi", samples=32)
    assert PlannerConfig.from_dict(config.to_dict()) == config
    with pytest.raises(JepaError, match=r"unknown keys \['sampels'\]"):
        PlannerConfig.from_dict({"sampels": 3})
    assert PlannerConfig(solver="mppi", samples=4).elites == 8, "elites say nothing to MPPI"


def test_every_plan_draws_new_candidates():
    planner, candidates = Planner(SPEC, PlannerConfig(iterations=1)), []

    def evaluate(actions):
        candidates.append(actions)
        return np.sum(actions**2, axis=(1, 2))  # no motion is the best, so every warm start is the same

    for _ in range(3):
        planner.plan(evaluate, np.zeros(A))
    assert not np.allclose(candidates[1], candidates[2])
