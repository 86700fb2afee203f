"""CEM, iCEM and MPPI find known optima, answer at any moment, and say clearly when they cannot."""

import math

import numpy as np
import pytest

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.protocols import EvaluationTimeout
from jepa_ros.planning.receding_horizon import Planner

A, K = 3, 2
SPEC = ActionSpec(
    joint_names=("a", "b", "c"),
    lower=(-1.0,) * A,
    upper=(1.0,) * A,
    block=K,
    position_lower=(-9.0,) * A,
    position_upper=(9.0,) * A,
)
STILL = np.zeros(A)
ICEM = {"noise_beta": 1.0, "kept_elites": 0.3, "sample_decay": 1.05, "momentum": 0.1, "correlation": 0.0}
SOLVERS = {
    "cem": {"solver": "cem"},
    "plain cem": {"solver": "cem", "kept_elites": 0.0, "correlation": 0.0},
    "icem": {"solver": "cem", **ICEM},
    "mppi": {"solver": "mppi", "std_decay": 0.7},
}


def planner(**settings):
    return Planner(
        SPEC,
        PlannerConfig(
            **{
                "horizon": 2,
                "samples": 200,
                "iterations": 25,
                "elites": 20,
                "initial_std": 1.0,
                "min_std": 0.02,
                **settings,
            }
        ),
    )


class Clock:
    """Steady seconds that pass only where the test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("space", ["free_blocks", "one_block", "hold_action"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_finds_the_optimum_of_a_known_quadratic(solver, space):
    searched = planner(space=space, **SOLVERS[solver])
    best = np.random.default_rng(1).uniform(-0.8, 0.8, searched.space.size)
    target = searched.space.decode(best[None])[0]
    weights = np.linspace(0.5, 2.0, target.size).reshape(target.shape)

    solution = searched.plan(lambda actions: np.sum(weights * (actions - target) ** 2, axis=(1, 2)), STILL)

    np.testing.assert_allclose(solution.actions, target, atol=0.05)
    assert solution.iterations == 25 and not solution.deadline_missed


@pytest.mark.parametrize("solver", ["cem", "mppi"])
def test_an_optimum_out_of_bounds_is_met_at_the_bound(solver):
    searched = planner(space="hold_action", solver=solver)
    solution = searched.plan(lambda actions: np.sum((actions - 5.0) ** 2, axis=(1, 2)), STILL)
    np.testing.assert_allclose(solution.actions, 1.0, atol=1e-3)
    assert np.all(solution.actions <= 1.0)


def test_correlations_help_in_an_oblique_valley():
    valley = np.array([[1.0, 1.0, 1.0], [0.1, -0.1, 0.0], [0.0, 0.1, -0.1]])
    target = np.array([0.5, -0.4, 0.2])

    def evaluate(actions):
        return np.sum(((actions[:, 0, :A] - target) @ valley.T) ** 2, axis=1)

    def median_cost(correlation):
        searched = planner(space="hold_action", samples=32, elites=8, iterations=8, correlation=correlation)
        costs = []
        for seed in range(40):
            searched.reset(seed)
            costs.append(searched.plan(evaluate, STILL).cost)
        return np.median(costs)

    assert median_cost(0.5) < 0.7 * median_cost(0.0)


@pytest.mark.parametrize("solver", ["cem", "mppi"])
def test_the_best_candidate_seen_is_returned_with_its_place(solver):
    seen = []

    def evaluate(actions):
        costs = np.random.default_rng(len(seen)).random(len(actions))  # no structure: the mean is no better
        seen.append((actions.copy(), costs))
        return costs

    solution = planner(space="one_block", solver=solver, iterations=6).plan(evaluate, STILL)

    lowest = min(costs.min() for _, costs in seen)
    iteration, index = solution.best_at
    assert solution.cost == lowest == seen[iteration][1][index]
    np.testing.assert_array_equal(solution.actions, seen[iteration][0][index])
    assert solution.evaluations == sum(len(costs) for _, costs in seen)
    assert solution.cost_trace == list(np.minimum.accumulate([costs.min() for _, costs in seen]))


@pytest.mark.parametrize("solver", SOLVERS)
def test_no_motion_is_always_a_candidate(solver):
    seen = []

    def evaluate(actions):
        seen.append(actions)
        return np.sum(actions**2, axis=(1, 2))

    solution = planner(space="free_blocks", **SOLVERS[solver], iterations=3).plan(evaluate, STILL)
    assert solution.cost == 0.0 and not np.any(solution.actions)
    assert any(not np.any(actions) for actions in seen[0])


def test_population_decays_to_twice_the_elites():
    sizes = []

    def evaluate(actions):
        sizes.append(len(actions))
        return np.sum(actions**2, axis=(1, 2))

    planner(samples=64, elites=16, iterations=6, sample_decay=1.5).plan(evaluate, STILL)
    assert sizes == [64, 42, 32, 32, 32, 32]


@pytest.mark.parametrize("solver", ["cem", "mppi"])
def test_unusable_costs_are_never_chosen(solver):
    target = 0.5

    def evaluate(actions):
        costs = np.sum((actions - target) ** 2, axis=(1, 2))
        costs[actions[:, 0, 0] > 0.3] = np.nan
        costs[actions[:, 0, 1] > 0.4] = -np.inf
        return costs

    solution = planner(space="hold_action", solver=solver).plan(evaluate, STILL)
    assert math.isfinite(solution.cost)
    np.testing.assert_allclose(solution.actions[0, :A], [0.3, 0.4, 0.5], atol=0.03)


@pytest.mark.parametrize("solver", ["cem", "mppi"])
def test_a_single_usable_candidate_is_enough(solver):
    def evaluate(actions):
        return np.where(np.any(actions, axis=(1, 2)), np.nan, 1.0)

    assert planner(space="one_block", solver=solver, iterations=1).plan(evaluate, STILL).cost == 1.0


@pytest.mark.parametrize("solver", ["cem", "mppi"])
def test_nothing_but_nan_is_an_error_that_says_where_to_look(solver):
    with pytest.raises(JepaError, match="none of the 200 costs in iteration 0 is finite; check the world"):
        planner(solver=solver).plan(lambda actions: np.full(len(actions), np.nan), STILL)


def test_costs_of_the_wrong_shape_are_an_error():
    with pytest.raises(JepaError, match=r"shape \(200, 2\) for 200 candidates"):
        planner().plan(lambda actions: np.zeros((len(actions), 2)), STILL)


@pytest.mark.parametrize("solver", ["cem", "mppi"])
def test_the_deadline_cuts_the_search_short_with_the_best_so_far(solver):
    clock, calls = Clock(), []

    def evaluate(actions):
        clock.now += 0.010
        calls.append(actions)
        return np.sum((actions - 0.3) ** 2, axis=(1, 2))

    searched = Planner(SPEC, PlannerConfig(solver=solver, iterations=50, horizon=2), clock=clock)
    solution = searched.plan(evaluate, STILL, deadline_s=0.035)
    assert len(calls) == solution.iterations == 3 and solution.deadline_missed
    assert clock.now <= 100.0 + 0.035, "an iteration that would not have fitted was not begun"
    assert solution.cost == min(np.sum((c - 0.3) ** 2, axis=(1, 2)).min() for c in calls)


def test_a_deadline_already_past_still_gives_one_iteration():
    clock = Clock()

    def evaluate(actions):
        clock.now += 1.0
        return np.sum(actions**2, axis=(1, 2))

    solution = Planner(SPEC, PlannerConfig(horizon=2), clock=clock).plan(evaluate, STILL, deadline_s=-1.0)
    assert solution.iterations == 1 and solution.deadline_missed


def test_a_generous_deadline_is_not_missed():
    solution = Planner(SPEC, PlannerConfig(horizon=2), clock=Clock()).plan(
        lambda actions: np.sum(actions**2, axis=(1, 2)), STILL, deadline_s=1.0
    )
    assert solution.iterations == PlannerConfig.iterations and not solution.deadline_missed


@pytest.mark.parametrize("solver", ["cem", "mppi"])
def test_costs_that_stop_coming_leave_the_best_so_far(solver):
    calls = []

    def evaluate(actions):
        if len(calls) == 2:
            raise EvaluationTimeout("no costs within 0.1 s")
        calls.append(actions)
        return np.sum((actions - 0.3) ** 2, axis=(1, 2))

    solution = planner(solver=solver).plan(evaluate, STILL)
    assert solution.iterations == 2 and solution.deadline_missed


@pytest.mark.parametrize("solver", ["cem", "mppi"])
def test_an_iteration_without_a_usable_cost_leaves_the_best_so_far(solver):
    calls = []

    def evaluate(actions):
        calls.append(actions)
        return np.sum((actions - 0.3) ** 2, axis=(1, 2)) if len(calls) < 3 else np.full(len(actions), np.nan)

    solution = planner(solver=solver).plan(evaluate, STILL)
    call, index = solution.best_at
    assert solution.iterations == len(calls) == 3 and solution.deadline_missed and call < 2
    np.testing.assert_array_equal(calls[call][index], solution.actions)


def test_costs_that_never_come_are_the_callers_to_hear_of():
    def evaluate(actions):
        raise EvaluationTimeout("no costs within 0.1 s")

    with pytest.raises(EvaluationTimeout, match="no costs within"):
        planner().plan(evaluate, STILL)


def test_kept_elites_stay_in_the_race_without_being_evaluated_again():
    candidates, costs = [], [np.full(20, 5.0), np.full(20, 9.0), np.full(20, 9.0)]
    costs[0][7] = 1.0  # the only elite, unmatched later

    def evaluate(actions):
        candidates.append(actions)
        return costs[len(candidates) - 1]

    planner(samples=20, elites=1, kept_elites=1.0, iterations=3).plan(evaluate, STILL)
    best = candidates[0][7]
    np.testing.assert_allclose(candidates[1][0], best)
    np.testing.assert_allclose(
        candidates[2][0], best, err_msg="the mean of the elites, which are still this one"
    )
    assert [len(c) for c in candidates] == [20, 20, 20]
