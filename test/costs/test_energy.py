import numpy as np
import pytest
import torch

from jepa_ros.costs.energy import Energy
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.planning.memory import Context
from jepa_ros.world_model.model import ModelConfig, WorldModel

SPEC = ActionSpec(
    joint_names=("a", "b"),
    lower=(-0.1, -0.2),
    upper=(0.1, 0.2),
    position_lower=(-1.0,) * 2,
    position_upper=(1.0,) * 2,
    block=2,
)


def rollouts(s=3, h=4, d=5):
    g = torch.Generator().manual_seed(0)
    return Rollouts(torch.randn(s, h, d, generator=g), torch.zeros(s, h, 2), torch.zeros(s, h, 4))


def test_goal_distance_is_the_root_mean_square_difference():
    r, goal = rollouts(), torch.zeros(5)
    result = Energy(SPEC, {"goal_distance": 2.0}).evaluate(r, goal, "last")
    torch.testing.assert_close(result.totals, 2 * (r.latents[:, -1] ** 2).mean(-1).sqrt())
    at_goal = Rollouts(goal.expand(3, 4, 5), r.proprio, r.actions)
    assert Energy(SPEC, {"goal_distance": 1.0}).evaluate(at_goal, goal, "sum").totals.abs().max() == 0


def test_effort_is_one_at_full_speed():
    full = torch.tensor([0.1, 0.2, -0.1, -0.2]).expand(3, 4, 4)
    r = rollouts()
    result = Energy(SPEC, {"effort": 1.0}).evaluate(
        Rollouts(r.latents, r.proprio, full), torch.zeros(5), "sum"
    )
    torch.testing.assert_close(result.totals, torch.full((3,), 4.0))


def test_joint_limit_is_zero_inside_and_one_at_the_limit():
    r = rollouts(s=3, h=1)
    joints = torch.tensor([[[0.9, -0.9]], [[1.0, 0.0]], [[0.0, -1.05]]])
    result = Energy(SPEC, {"joint_limit": 1.0}).evaluate(
        Rollouts(r.latents, joints, r.actions), torch.zeros(5), "sum"
    )
    torch.testing.assert_close(result.totals, torch.tensor([0.0, 1.0, 4.0]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("reduction", ["sum", "min", "last"])
def test_shares_add_up_to_totals(reduction):
    r = rollouts()
    r = Rollouts(r.latents, torch.full((3, 4, 2), 0.99), torch.full((3, 4, 4), 0.05))
    result = Energy(SPEC, {"goal_distance": 1.0, "effort": 0.3, "joint_limit": 0.5}).evaluate(
        r, torch.ones(5), reduction
    )
    assert set(result.terms) == {"goal_distance", "effort", "joint_limit"}
    torch.testing.assert_close(sum(result.terms.values()), result.totals)


def test_min_takes_the_best_step():
    latents = torch.tensor([[[3.0], [0.5], [2.0]], [[1.0], [4.0], [0.1]]])
    r = Rollouts(latents, torch.zeros(2, 3, 2), torch.zeros(2, 3, 4))
    result = Energy(SPEC, {"goal_distance": 1.0}).evaluate(r, torch.zeros(1), "min")
    torch.testing.assert_close(result.totals, torch.tensor([0.5, 0.1]))


@pytest.mark.parametrize(
    "weights, words",
    [
        ({"speed": 1.0}, "unknown cost terms"),
        ({"effort": -1.0}, "not negative"),
        ({"effort": float("nan")}, "finite"),
        ({"effort": 0.0}, "every cost weight"),
    ],
)
def test_bad_weights_are_refused(weights, words):
    with pytest.raises(JepaError, match=words):
        Energy(SPEC, weights)


def test_unknown_reduction_is_refused():
    with pytest.raises(JepaError, match="known: sum, min, last"):
        Energy(SPEC).evaluate(rollouts(), torch.zeros(5), "mean")


def test_evaluator_is_rollout_then_energy_and_the_same_every_time():
    torch.manual_seed(0)
    model = WorldModel(ModelConfig(latent_dim=5, predictor_width=16), SPEC).eval()
    rng = np.random.default_rng(0)
    context = rng.normal(size=(2, 5)), rng.normal(size=(2, 2)) * 0.1, rng.normal(size=(1, 4)) * 0.1
    energy, goal, actions = Energy(SPEC), rng.normal(size=5), rng.uniform(-0.1, 0.1, (6, 3, 4))
    evaluator = LatentEvaluator(model, energy, Context(*context, real=2, stamp=0.0), goal, "sum")
    costs = evaluator.evaluate(actions)
    assert costs.shape == (6,) and np.all(np.isfinite(costs))
    latents, proprio = model.rollout(*[torch.as_tensor(x, dtype=torch.float32) for x in (*context, actions)])
    expected = energy.evaluate(
        Rollouts(latents, proprio, torch.as_tensor(actions, dtype=torch.float32)),
        torch.as_tensor(goal, dtype=torch.float32),
        "sum",
    )
    np.testing.assert_array_equal(costs, expected.totals.numpy())
    np.testing.assert_array_equal(costs, evaluator.evaluate(actions))
    assert set(evaluator.result.terms) == {"goal_distance", "joint_limit"}
