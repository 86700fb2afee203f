"""Refined candidates cost less, keep their bounds, and are refined the same way again."""

import numpy as np
import pytest
import torch

from jepa_ros.costs.energy import Energy
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.planning.memory import Context
from jepa_ros.world_model.model import ModelConfig, WorldModel

S, H, T, D, A, K = 6, 3, 2, 8, 2, 2
SPEC = ActionSpec(("a", "b"), (-0.1, -0.2), (0.2, 0.1), (-1.0,) * A, (1.0,) * A, block=K, std=(0.05,) * A)
LOWER, UPPER = np.tile(SPEC.lower, K), np.tile(SPEC.upper, K)


@pytest.fixture
def world():
    """An evaluator with a small random model, and candidates."""
    torch.manual_seed(0)
    model = WorldModel(ModelConfig(latent_dim=D, predictor_width=32, predictor_depth=1), SPEC)
    model.eval().requires_grad_(False)
    rng = np.random.default_rng(0)
    energy = Energy(SPEC, {"goal_distance": 1.0, "effort": 0.01, "joint_limit": 0.1})
    context = (
        rng.standard_normal((T, D)),
        rng.uniform(-0.5, 0.5, (T, A)),
        rng.uniform(-0.05, 0.05, (T - 1, K * A)),
    )
    goal = rng.standard_normal(D).astype(np.float32)
    actions = rng.uniform(LOWER, UPPER, (S, H, K * A)).astype(np.float32)
    return LatentEvaluator(
        model, energy, Context(*context, 2, 0.0), goal, "sum", network=lambda: model
    ), actions


@pytest.mark.parametrize("reduction", ["sum", "min", "last"])
def test_refined_candidates_cost_less_within_their_bounds(world, reduction):
    evaluator, actions = world
    evaluator.reduction = reduction
    before = evaluator(actions)
    refined = evaluator.refine(actions, SPEC, 8, 0.2)
    after = evaluator(refined)
    assert refined.shape == actions.shape and refined.dtype == np.float32
    assert np.all(after <= before + 1e-5) and np.mean(before - after) > 0.01 * np.mean(before)
    assert np.all(refined >= LOWER - 1e-6) and np.all(refined <= UPPER + 1e-6)
    assert np.any(np.isclose(refined, UPPER)) or np.any(np.isclose(refined, LOWER))
    np.testing.assert_array_equal(refined, evaluator.refine(actions, SPEC, 8, 0.2))


def test_a_descent_that_is_late_ends_after_its_step(world):
    evaluator, actions = world
    asked = []
    late = evaluator.refine(actions, SPEC, 50, 0.1, lambda: asked.append(0) or len(asked) == 3)
    np.testing.assert_array_equal(late, evaluator.refine(actions, SPEC, 2, 0.1))
    assert len(asked) == 3


def test_a_slowed_arm_keeps_its_own_bounds(world):
    evaluator, actions = world
    slowed = evaluator.refine(0.1 * actions, SPEC.slowed(0.1), 8, 0.5)
    assert np.all(slowed >= 0.1 * LOWER - 1e-6) and np.all(slowed <= 0.1 * UPPER + 1e-6)


def test_a_step_too_wide_is_not_taken(world):
    evaluator, actions = world
    few = evaluator.refine(actions, SPEC, 3, 0.05)
    wide = evaluator.refine(few, SPEC, 1, 1.0)
    assert np.all(evaluator(wide) <= evaluator(few) + 1e-5)


def test_each_candidate_goes_its_own_way(world):
    evaluator, actions = world
    together, alone = evaluator.refine(actions, SPEC, 5, 0.1), evaluator.refine(actions[2:3], SPEC, 5, 0.1)
    np.testing.assert_allclose(together[2:3], alone, atol=1e-5)


def test_at_the_goal_itself_nothing_breaks(world):
    evaluator, actions = world
    evaluator(actions)
    context = [torch.tensor(x)[None] for x in evaluator._fixed[:3]]
    with torch.inference_mode():
        future = evaluator.model.imagine(*context, torch.tensor(actions[:1]))[0]
    evaluator._fixed[3] = future[0, 0].numpy()
    assert np.all(np.isfinite(evaluator.refine(actions[:1], SPEC, 4, 0.1)))


def test_ends_are_energies_after_the_last_block(world):
    evaluator, actions = world
    evaluator(actions)
    ends = evaluator.ends()
    evaluator.reduction = "last"
    np.testing.assert_allclose(ends, evaluator(actions), rtol=1e-6)
    np.testing.assert_allclose(evaluator.ends(), ends, rtol=1e-6)
