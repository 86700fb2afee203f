"""Several futures of a candidate to one energy."""

import numpy as np
import pytest
import torch

from jepa_ros.costs.energy import Energy
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.costs.risk import Risk
from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.planning.memory import Context
from jepa_ros.world_model.futures import Futures
from jepa_ros.world_model.model import ModelConfig, WorldModel

SPEC = ActionSpec(("a", "b"), (-0.1, -0.2), (0.1, 0.2), (-1.0, -1.0), (1.0, 1.0), block=2)
F, S, H, D = 8, 3, 4, 5


def energies():
    return torch.randn(F, S, generator=torch.Generator().manual_seed(0))


def futures():
    g = torch.Generator().manual_seed(1)
    return Rollouts(
        torch.randn(F, S, H, D, generator=g),
        0.99 * torch.ones(F, S, H, 2),
        torch.randn(S, H, 4, generator=g) / 20,
    )


@pytest.mark.parametrize(
    ("risk", "expected"),
    [
        (Risk("mean"), lambda e: e.mean(0)),
        (Risk("worst"), lambda e: e.amax(0)),
        (Risk("mix", 0.5, 0.25), lambda e: 0.5 * e.mean(0) + 0.5 * e.sort(0).values[-2:].mean(0)),
        (
            Risk("mix", 1.0, 0.3125),
            lambda e: (e.sort(0).values[-2:].sum(0) + 0.5 * e.sort(0).values[-3]) / 2.5,
        ),
        (Risk("mix", 1.0, 0.01), lambda e: e.amax(0)),
        (Risk("mix", 0.7, 1.0), lambda e: e.mean(0)),
    ],
    ids=lambda x: str(x) if isinstance(x, Risk) else "",
)
def test_risk_is_a_weighted_mean_of_the_futures(risk, expected):
    weights = risk.weights(energies())
    torch.testing.assert_close(weights.sum(0), torch.ones(S))
    torch.testing.assert_close((weights * energies()).sum(0), expected(energies()))


@pytest.mark.parametrize("reduction", ["sum", "min", "last"])
@pytest.mark.parametrize("kind", ["mean", "worst", "mix"])
def test_shares_and_steps_are_joined_as_totals_are(reduction, kind):
    weights, goal = {"goal_distance": 1.0, "effort": 0.3, "joint_limit": 0.5}, torch.ones(D)
    rollouts = futures()
    result = Energy(SPEC, weights, risk=Risk(kind)).evaluate(rollouts, goal, reduction)
    alone = [
        Energy(SPEC, weights).evaluate(
            Rollouts(rollouts.latents[f], rollouts.proprio[f], rollouts.actions), goal, reduction
        )
        for f in range(F)
    ]
    totals = torch.stack([one.totals for one in alone])
    joined = Risk(kind).weights(totals)
    torch.testing.assert_close(result.totals, (joined * totals).sum(0))
    torch.testing.assert_close(sum(result.terms.values()), result.totals)
    assert result.steps.shape == (S, H)
    if reduction == "sum":
        torch.testing.assert_close(result.steps.sum(-1), result.totals)
    if kind == "worst":
        torch.testing.assert_close(result.totals, totals.amax(0))


def test_a_term_of_the_candidates_alone_is_the_same_in_every_future():
    rollouts, goal = futures(), torch.zeros(D)
    several = Energy(SPEC, {"effort": 1.0}, risk=Risk("mix")).evaluate(rollouts, goal)
    one = Energy(SPEC, {"effort": 1.0}).evaluate(
        Rollouts(rollouts.latents[0], rollouts.proprio[0], rollouts.actions), goal
    )
    torch.testing.assert_close(several.totals, one.totals)


def test_a_future_that_is_no_number_makes_its_candidate_unusable_and_no_other():
    rollouts = futures()
    rollouts.latents[2, 1, 0] = float("nan")
    for kind in ("mean", "worst", "mix"):
        totals = (
            Energy(SPEC, {"goal_distance": 1.0}, risk=Risk(kind)).evaluate(rollouts, torch.zeros(D)).totals
        )
        assert totals.isfinite().tolist() == [True, False, True]


def evaluator(kind: str) -> LatentEvaluator:
    torch.manual_seed(0)
    model = (
        WorldModel(ModelConfig(image_size=(16, 16), latent_dim=D, codes=3), SPEC).eval().requires_grad_(False)
    )
    model.futures = Futures(F)
    rng = np.random.default_rng(0)
    context = Context(
        rng.standard_normal((2, D)).astype("f"), np.zeros((2, 2), "f"), np.zeros((1, 4), "f"), 2, 0.0
    )
    energy = Energy(SPEC, {"goal_distance": 1.0}, risk=Risk(kind))
    return LatentEvaluator(model, energy, context, rng.standard_normal(D).astype("f"), "sum", lambda: model)


def test_an_evaluator_costs_all_futures_and_tells_each_ones_first_block():
    actions = np.random.default_rng(1).uniform(-0.1, 0.1, (S, H, 4)).astype("f")
    costs = {kind: evaluator(kind).evaluate(actions) for kind in ("mean", "mix", "worst")}
    assert np.all(costs["mean"] < costs["mix"]) and np.all(costs["mix"] < costs["worst"])
    one = evaluator("mix")
    one.evaluate(actions)
    assert one.predicted((0, 2)).shape == (F, D) and len(one.steps((0, 1))) == H
    assert one.ends().shape == (S,)


def test_gradients_lead_down_the_joined_energy():
    actions = np.zeros((S, H, 4), np.float32)
    for kind in ("mean", "worst"):
        one = evaluator(kind)
        better = one.refine(actions, one.model.spec, 10, 0.1)
        assert np.all(one.evaluate(better) < one.evaluate(actions))


def test_what_cannot_be_is_refused():
    for wrong, words in (
        (dict(kind="best"), "risk is 'best'"),
        (dict(weight=1.1), "risk_weight is 1.1"),
        (dict(weight=float("nan")), "risk_weight is nan"),
        (dict(tail=0.0), "risk_tail is 0"),
    ):
        with pytest.raises(JepaError, match=words):
            Risk(**wrong)
