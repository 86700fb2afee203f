"""Cost terms that are heads of the checkpoint, over rollouts of its world model."""

import numpy as np
import pytest
import torch

from jepa_ros.costs.energy import DEFAULT_WEIGHTS, OBJECTS, Energy
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.planning.memory import Context
from jepa_ros.world_model.checkpoint import load_checkpoint, save_checkpoint, save_heads
from jepa_ros.world_model.heads import Heads, HeadsConfig
from jepa_ros.world_model.model import ModelConfig, WorldModel
from jepa_ros.world_model.trust import WEIGHTS, file_sha256

SPEC = ActionSpec(
    joint_names=("a", "b"),
    lower=(-0.1, -0.2),
    upper=(0.1, 0.2),
    position_lower=(-1.0,) * 2,
    position_upper=(1.0,) * 2,
    block=2,
)
D, T, S, H = 8, 2, 6, 3


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    save_checkpoint(
        path, WorldModel(ModelConfig(latent_dim=D, predictor_width=16), SPEC), {"goal_tolerance": 0.1}
    )
    save_heads(path, Heads(HeadsConfig(width=16, policy_width=16, depth=1), D, T, SPEC))
    return load_checkpoint(path)


@pytest.fixture
def context():
    rng = np.random.default_rng(0)
    return rng.normal(size=(T, D)), np.zeros((T, 2)), np.zeros((T - 1, 4)), rng.normal(size=D)


ACTIONS = np.random.default_rng(1).uniform(-0.1, 0.1, (S, H, 4)).astype(np.float32)


def imagined(checkpoint, context) -> tuple[Rollouts, torch.Tensor]:
    *start, goal = (torch.tensor(x, dtype=torch.float32) for x in context)
    actions = torch.from_numpy(ACTIONS)
    return Rollouts(*checkpoint.model.rollout(*start, actions), actions), goal


def test_terms_are_the_heads_blocks_to_go_along_real_rollouts(checkpoint, context):
    rollouts, goal = imagined(checkpoint, context)
    energy = Energy.of(checkpoint, {"temporal_distance": 2.0, "value": 0.5})
    result = energy.evaluate(rollouts, goal, "sum")
    heads = checkpoint.heads
    with torch.inference_mode():
        distance = heads.distance(rollouts.latents, goal)
        value = heads.value(rollouts.latents, goal)
    torch.testing.assert_close(result.terms["temporal_distance"], 2 * distance.sum(-1))
    torch.testing.assert_close(result.terms["value"], 0.5 * (value.log() / np.log(0.95)).sum(-1))
    torch.testing.assert_close(result.steps.sum(-1), result.totals)
    assert distance.std() > 0 and (distance > 0).all()


def test_the_direction_matters_to_the_energy(checkpoint, context):
    """Going from here to there is not coming back: exchanging the two changes the energy."""
    rollouts, goal = imagined(checkpoint, context)
    energy = Energy.of(checkpoint, {"temporal_distance": 1.0})
    there = energy.evaluate(Rollouts(rollouts.latents[:1, :1], rollouts.proprio, None), goal).totals
    back = energy.evaluate(Rollouts(goal[None, None], rollouts.proprio, None), rollouts.latents[0, 0]).totals
    assert abs(there - back) > 1e-3


def test_gradients_reach_the_actions_through_heads_and_model(checkpoint, context):
    *start, goal = (torch.tensor(x, dtype=torch.float32)[None] for x in context)
    actions = torch.from_numpy(ACTIONS[:1]).clone().requires_grad_(True)
    rollouts = Rollouts(*checkpoint.model.imagine(*start, actions), actions)
    energy = Energy.of(checkpoint, {"temporal_distance": 1.0, "value": 1.0})
    energy.differentiable(rollouts, goal[0]).totals.sum().backward()
    assert actions.grad.abs().sum() > 0 and actions.grad.isfinite().all()


@pytest.mark.parametrize("reduction", ["sum", "min", "last"])
def test_evaluator_tells_the_energy_after_every_block(checkpoint, context, reduction):
    energy = Energy.of(checkpoint, {"goal_distance": 1.0, "temporal_distance": 1.0})
    evaluator = LatentEvaluator(
        checkpoint.model, energy, Context(*context[:3], 2, 0.0), context[3], reduction
    )
    first, second = evaluator.evaluate(ACTIONS), evaluator.evaluate(ACTIONS[::-1])
    reduce = {"sum": sum, "min": min, "last": lambda steps: steps[-1]}[reduction]
    for call, totals in enumerate((first, second)):
        for index in range(S):
            steps = evaluator.steps((call, index))
            assert len(steps) == H and reduce(steps) == pytest.approx(totals[index], rel=1e-5)
    np.testing.assert_allclose(evaluator.ends(), [evaluator.steps((1, i))[-1] for i in range(S)])


def test_without_head_terms_the_energy_is_what_it_was_to_the_bit(checkpoint, context):
    rollouts, goal = imagined(checkpoint, context)
    before = {"goal_distance": 1.0, "effort": 0.0, "joint_limit": 0.1}
    assert before == {name: DEFAULT_WEIGHTS[name] for name in before}
    assert not any(DEFAULT_WEIGHTS[name] for name in set(DEFAULT_WEIGHTS) - {*before, OBJECTS})
    distance = (rollouts.latents - goal).pow(2).mean(-1).sqrt()
    margin = 0.95
    beyond = torch.relu(-margin - rollouts.proprio) + torch.relu(rollouts.proprio - margin)
    limit = (beyond / 0.05).pow(2).sum(-1)
    expected = torch.stack([1.0 * distance, 0.1 * limit])
    for energy in (Energy(SPEC), Energy(SPEC, before), Energy.of(checkpoint)):
        result = energy.evaluate(rollouts, goal)
        assert set(result.terms) == {"goal_distance", "joint_limit"} and not energy.needs_actions
        assert torch.equal(result.totals, expected.sum(-1).sum(0))


@pytest.fixture(scope="module")
def with_objects(tmp_path_factory):
    path = tmp_path_factory.mktemp("with_objects")
    torch.manual_seed(0)
    model = WorldModel(ModelConfig(latent_dim=D, predictor_width=16), SPEC)
    save_checkpoint(path, model, {"goal_tolerance": 0.1})
    small = {"width": 16, "policy_width": 16, "depth": 1}
    small |= {"objects": 3, "object_width": 16, "object_policy_width": 16, "object_depth": 1}
    heads = Heads(HeadsConfig(**small), D, T, SPEC)
    heads.objects.features[-1].weight.data *= 20  # features of unit variance, as training makes them
    save_heads(path, heads)
    return load_checkpoint(path)


def test_things_out_of_place_are_part_of_the_energy_where_heads_have_found_some(
    checkpoint, with_objects, context
):
    rollouts, goal = imagined(with_objects, context)
    result = Energy.of(with_objects).evaluate(rollouts, goal)
    blocks = with_objects.heads.objects.blocks(rollouts.latents, goal)
    assert (blocks > 0).any()
    torch.testing.assert_close(result.terms[OBJECTS], DEFAULT_WEIGHTS[OBJECTS] * blocks.sum(-1))
    there = Energy.of(with_objects).evaluate(
        Rollouts(goal.expand(S, H, D), rollouts.proprio, rollouts.actions), goal
    )
    assert not there.terms[OBJECTS].any()  # in place: the rest of the energy decides
    for without in (
        Energy.of(with_objects, DEFAULT_WEIGHTS | {OBJECTS: 0.0}),
        Energy.of(checkpoint),  # heads that have found nothing
        Energy(SPEC),  # no heads
    ):
        assert OBJECTS not in without.evaluate(rollouts, goal).terms


@pytest.mark.parametrize("reduction", ["sum", "min", "last"])
def test_down_the_gradient_things_come_nearer_their_place_and_in_place_nothing_pulls(
    with_objects, context, reduction
):
    *start, goal = context
    evaluator = LatentEvaluator(
        with_objects.model,
        Energy.of(with_objects, {OBJECTS: 1.0}),
        Context(*start, 2, 0.0),
        goal,
        reduction,
        network=lambda: with_objects.network,
    )
    refined = evaluator.refine(ACTIONS, with_objects.spec, 4, 0.2)
    before, after = evaluator.evaluate(ACTIONS), evaluator.evaluate(refined)
    assert np.isfinite(refined).all() and (after <= before).all() and (after < before).any()
    actions = torch.from_numpy(ACTIONS[:1]).clone().requires_grad_(True)
    here = with_objects.model.imagine(*(torch.tensor(x, dtype=torch.float32)[None] for x in start), actions)
    rollouts, there = Rollouts(*here, actions), here[0][0, 0].detach()
    steps = evaluator.energy.differentiable(rollouts, there).steps
    (pull,) = torch.autograd.grad(steps[0, 0], actions)
    assert steps[0, 0] == 0 and not pull.any()


def test_several_futures_each_have_their_things_in_place_or_not(with_objects, context):
    rollouts, goal = imagined(with_objects, context)
    other = Rollouts(rollouts.latents + 0.5, rollouts.proprio, rollouts.actions)
    both = Rollouts(torch.stack([rollouts.latents, other.latents]), rollouts.proprio, rollouts.actions)
    energy = Energy.of(with_objects, {OBJECTS: 1.0})
    one, two, together = (energy.evaluate(x, goal).totals for x in (rollouts, other, both))
    assert not torch.equal(one, two)
    torch.testing.assert_close(together, (one + two) / 2)


def test_heads_that_follow_the_rollouts_stay_on_one_device(with_objects):
    own = load_checkpoint(with_objects.path)
    Energy.of(own)._move(torch.device("meta"))
    assert {tensor.device.type for tensor in own.heads.state_dict().values()} == {"meta"}


def test_heads_that_the_pin_does_not_name_say_nothing_of_objects(with_objects):
    pinned = load_checkpoint(with_objects.path, sha256=file_sha256(with_objects.path / WEIGHTS))
    assert OBJECTS not in {term.name for _, term in Energy.of(pinned).terms}


def test_a_head_term_without_heads_is_refused_with_what_to_do(checkpoint, tmp_path):
    with pytest.raises(JepaError, match="temporal_distance and value needs heads.*jepa heads"):
        Energy(SPEC, {"temporal_distance": 1.0, "value": 1.0})
    Energy(SPEC, {"goal_distance": 1.0, "temporal_distance": 0.0})  # left out
    save_checkpoint(tmp_path, checkpoint.model, {"goal_tolerance": 0.1})
    with pytest.raises(JepaError, match="cost term value needs heads.*no .*heads.safetensors"):
        Energy.of(load_checkpoint(tmp_path), {"value": 1.0})
    assert Energy.of(load_checkpoint(tmp_path)).terms  # the default needs none
