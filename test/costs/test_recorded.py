"""On a GPU: the recorded graph gives the energies of the same call by call, for every plan, and nothing in it waits."""

import copy

import numpy as np
import pytest
import torch

from jepa_ros.costs.energy import Energy
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.costs.recorded import recorded
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.planning.memory import Context
from jepa_ros.planning.protocols import REDUCTIONS
from jepa_ros.world_model.heads import Heads, HeadsConfig
from jepa_ros.world_model.model import ModelConfig, WorldModel

SPEC = ActionSpec(("a", "b"), (-0.1, -0.2), (0.1, 0.2), (-1.0,) * 2, (1.0,) * 2, block=2)
WEIGHTS = {"goal_distance": 1.0, "effort": 0.5, "joint_limit": 0.1}
T, D, A, KA = 2, 8, 2, 4


def model_on(device):
    torch.manual_seed(0)
    return (
        WorldModel(ModelConfig(latent_dim=D, predictor_width=16), SPEC)
        .to(device)
        .eval()
        .requires_grad_(False)
    )


def context(seed):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in ((T, D), (T, A), (T - 1, KA), (D,))]


def evaluator_on(model, energy, seed, reduction="sum"):
    *arrays, goal = context(seed)
    return LatentEvaluator(model, energy, Context(*arrays, real=T, stamp=0.0), goal, reduction)


def candidates(seed, count=7, horizon=3):
    return np.random.default_rng(seed).uniform(-0.1, 0.1, (count, horizon, KA)).astype(np.float32)


def test_constants_of_the_terms_follow_the_rollouts_and_come_back():
    energy = Energy(SPEC, WEIGHTS)
    cpu = evaluator_on(model_on("cpu"), energy, 0)
    before = cpu.evaluate(candidates(0))
    energy._move(torch.device("meta"))
    assert energy.terms[1][1].scale.device.type == "meta"
    fresh = evaluator_on(model_on("cpu"), Energy(SPEC, WEIGHTS), 0)
    np.testing.assert_array_equal(fresh.evaluate(candidates(0)), before)


gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")


@gpu
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_recorded_evaluator_gives_the_energies_of_the_cpu(reduction):
    model, reference = model_on("cuda"), model_on("cpu")
    energy = Energy(SPEC, WEIGHTS)
    for seed, count in ((0, 7), (1, 7), (2, 300)):
        ours = evaluator_on(model, energy, seed, reduction)
        theirs = evaluator_on(reference, Energy(SPEC, WEIGHTS), seed, reduction)
        for iteration in range(3):
            actions = candidates(10 * seed + iteration, count)
            expected = theirs.evaluate(actions)
            np.testing.assert_allclose(ours.evaluate(actions), expected, rtol=1e-4, atol=1e-4)
            for name, values in theirs.result.terms.items():
                np.testing.assert_allclose(ours.result.terms[name].cpu(), values, rtol=1e-4, atol=1e-4)
        for iteration in range(3):  # of an earlier iteration too, which the graph has written over since
            np.testing.assert_allclose(
                ours.predicted((iteration, 2)), theirs.predicted((iteration, 2)), rtol=1e-4, atol=1e-4
            )


@gpu
def test_it_is_recorded_once_and_an_iteration_does_not_synchronise():
    model, energy = model_on("cuda"), Energy(SPEC, WEIGHTS)
    evaluators = [evaluator_on(model, energy, seed) for seed in range(2)]
    evaluators[0].evaluate(candidates(0))
    arrays = (*context(0), candidates(0))
    first = recorded(model, energy, "sum", arrays)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for evaluator in evaluators:
            evaluator.evaluate(candidates(1))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert recorded(model, energy, "sum", arrays) is first


@gpu
def test_a_recording_holds_what_heads_say_of_objects():
    """Whether things are in place decides nothing on the host: one recording serves goals where they are, and are not."""
    torch.manual_seed(0)
    small = {"width": 16, "policy_width": 16, "depth": 1}
    small |= {"objects": 3, "object_width": 16, "object_policy_width": 16, "object_depth": 1}
    heads = Heads(HeadsConfig(**small), D, T, SPEC).eval().requires_grad_(False)
    heads.objects.features[-1].weight.data *= 20
    reference = copy.deepcopy(heads)
    ours, theirs = (Energy(SPEC, {"objects": 1.0}, own) for own in (heads.cuda(), reference))
    model, on_cpu = model_on("cuda"), model_on("cpu")
    for seed in range(3):
        expected = evaluator_on(on_cpu, theirs, seed).evaluate(candidates(seed))
        found = evaluator_on(model, ours, seed).evaluate(candidates(seed))
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    *start, _ = context(0)
    latents, _ = on_cpu.rollout(*map(torch.from_numpy, start), torch.zeros(1, 1, KA))
    arrived = LatentEvaluator(model, ours, Context(*start, real=T, stamp=0.0), latents[0, 0].numpy(), "min")
    assert not arrived.evaluate(np.zeros((7, 3, KA), np.float32)).any()
