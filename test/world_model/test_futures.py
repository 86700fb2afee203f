"""The latent variable z: off, nothing changes; on, its draws are the outcomes of a world that has two."""

from functools import lru_cache

import numpy as np
import pytest
import torch
from torch import nn

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.dataset import ClipDataset
from jepa_ros.data.episodes import Episode
from jepa_ros.errors import JepaError
from jepa_ros.training.latent_episodes import latent_episodes
from jepa_ros.world_model.futures import Futures
from jepa_ros.world_model.losses import LossConfig, jepa_loss
from jepa_ros.world_model.model import ModelConfig, WorldModel
from jepa_ros.world_model.prior import free_energy, pick

SPEC = ActionSpec(("a", "b"), (-0.1, -0.2), (0.1, 0.2), (-1.0, -1.0), (1.0, 1.0), block=2)
D, F = 4, 16


class FirstPixels(nn.Module):
    """An encoder that need not be learned: the first D values of the picture, -1 .. 1."""

    def forward(self, images):
        return images.flatten(1)[:, :D].float() / 127.5 - 1


def small_model(codes: int, seed: int = 0) -> WorldModel:
    torch.manual_seed(seed)
    config = ModelConfig(
        image_size=(16, 16), latent_dim=D, predictor_width=48, predictor_depth=1, codes=codes
    )
    model = WorldModel(config, SPEC)
    model.encoder = FirstPixels()
    return model


def clips(count: int, rng: np.random.Generator):
    """Two frames of a start, then for good one of two outcomes, 1 or -1 in the first value, by chance; no motion tells."""
    latents = np.zeros((count, 4, D), np.float32)
    latents[:, :, 1] = rng.uniform(-0.5, 0.5, count)[:, None]
    latents[:, 2:, 0] = rng.choice((-1.0, 1.0), count)[:, None]
    images = np.zeros((count, 4, 16 * 16 * 3), np.uint8)
    images[:, :, :D] = np.round((latents + 1) * 127.5)
    return (
        torch.from_numpy(images.reshape(count, 4, 16, 16, 3)),
        torch.zeros(count, 4, 2),
        torch.zeros(count, 3, 4),
    )


@lru_cache
def fit(codes: int, steps: int = 300) -> WorldModel:
    model, rng = small_model(codes), np.random.default_rng(0)
    config = LossConfig(regulariser=0.0, joint_head=0.0, projections=4)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(steps):
        loss, _, _ = jepa_loss(model, *clips(64, rng), config)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval().requires_grad_(False)


def futures_of(model: WorldModel, horizon: int = 2) -> np.ndarray:
    """Imagined latents of one candidate from a start: ([F,] horizon, D)."""
    latents, _ = model.rollout(
        torch.zeros(2, D), torch.zeros(2, 2), torch.zeros(1, 4), torch.zeros(1, horizon, 4)
    )
    return latents[..., 0, :, :].numpy()


def test_draws_separate_the_outcomes_where_a_deterministic_model_predicts_their_mean():
    mean = futures_of(fit(0))
    assert mean.shape == (2, D) and abs(mean[0, 0]) < 0.25
    model = fit(4)
    model.futures = Futures(F)
    futures = futures_of(model)
    assert futures.shape == (F, 2, D)
    near = np.abs(np.abs(futures[:, 0, 0]) - 1) < 0.3
    assert near.mean() >= 0.8
    assert 0.25 <= np.mean(futures[near, 0, 0] > 0) <= 0.75
    # What came stays, whatever z is drawn then: the second block of every future is its first.
    assert np.abs(futures[near, 1, 0] - futures[near, 0, 0]).max() < 0.4


def test_the_prior_knows_where_the_world_is_open_and_gives_both_outcomes_their_chance():
    model, rng = fit(4), np.random.default_rng(1)
    images, proprio, actions = clips(256, rng)
    latents = model.encode(images.flatten(0, 1)).unflatten(0, (256, 4))
    window = latents[:, :2], proprio[:, :2], actions[:, :2]
    futures, _ = model.predict_codes(*window)
    chances = model.prior(*window).exp()
    upper = (chances.T * (futures[..., 0] > 0)).sum(0)
    assert 0.35 < upper.mean() < 0.65
    settled, _ = model.predict_codes(latents[:, 1:3], proprio[:, 1:3], actions[:, 1:3])
    likely = model.prior(latents[:, 1:3], proprio[:, 1:3], actions[:, 1:3]).exp().T > 0.1
    assert (settled - latents[:, 3]).abs().amax(-1)[likely].max() < 0.5


def test_heads_learn_from_either_outcome():
    images, _, _ = clips(60, np.random.default_rng(3))
    frames = np.repeat(images.numpy(), 2, axis=1)  # two raw actions a block
    still = np.zeros((8, 2), np.float32)
    episodes = ClipDataset([Episode(seen, still, still, np.arange(8.0)) for seen in frames], SPEC, 4)
    found = latent_episodes(fit(4), episodes, horizon=1)
    first = found.imagined[np.isin(found.imagined_from, found.offsets + 2), 0, 0]
    assert (first > 0.6).float().mean() > 0.2 and (first < -0.6).float().mean() > 0.2
    torch.testing.assert_close(latent_episodes(fit(4), episodes, horizon=1).imagined, found.imagined)


def test_free_energy_is_between_the_best_code_and_their_mean_and_its_posterior_is_exact():
    errors, log_prior = torch.tensor([[0.0, 0.2], [1.0, 0.2]]), torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log()
    energy, posterior = free_energy(errors, log_prior, 0.1)
    torch.testing.assert_close(energy[1], torch.tensor(0.2))  # codes that predict the same tell nothing
    torch.testing.assert_close(posterior[:, 1], log_prior[1].exp())
    q, p = posterior[:, 0], log_prior[0].exp()
    torch.testing.assert_close(energy[0], (q * errors[:, 0]).sum() + 0.1 * (q * (q / p).log()).sum())
    assert 0 < energy[0] < errors[:, 0].mean()


def test_codes_are_drawn_as_often_as_the_prior_says():
    log_prior = torch.tensor([0.1, 0.0001, 0.6, 0.2999]).log().expand(1000, 4)
    draws = torch.from_numpy(Futures(1000, seed=2).draw(1)[:, 0].copy())
    share = pick(log_prior, draws).mean(0)
    torch.testing.assert_close(share, log_prior[0].exp(), atol=1.1e-3, rtol=0)
    assert pick(log_prior[:1], None).tolist() == [[0, 0, 1, 0]]
    assert pick(log_prior[:1], torch.tensor([1.0])).tolist() == [[0, 0, 0, 1]]  # rounding leaves no gap


def test_without_z_nothing_changes():
    model = small_model(0)
    assert model.prior is None and model.draws(3) is None
    assert not [name for name in model.state_dict() if "prior" in name]
    context = torch.randn(2, D), torch.zeros(2, 2), torch.zeros(1, 4), torch.randn(5, 3, 4)
    with torch.inference_mode():
        before = model.rollout(*context)
        model.futures = Futures(3, seed=7)
        after = model.rollout(*context)
    assert before[0].shape == (5, 3, D)
    torch.testing.assert_close(before, after, rtol=0, atol=0)


def test_every_candidate_meets_the_same_draws():
    model = small_model(3)
    model.futures = Futures(F, seed=3)
    g = torch.Generator().manual_seed(0)
    context = torch.randn(2, D, generator=g), torch.zeros(2, 2), torch.zeros(1, 4)
    actions = torch.randn(6, 3, 4, generator=g)
    latents, proprio = model.rollout(*context, actions)
    assert latents.shape == (F, 6, 3, D) and proprio.shape == (F, 6, 3, 2)
    alone, _ = model.rollout(*context, actions[4:5])
    torch.testing.assert_close(alone[:, 0], latents[:, 4], rtol=1e-5, atol=1e-5)
    draws = torch.from_numpy(Futures(F, seed=3).draw(3).copy())
    one, _ = model.imagine(
        *(x[None] for x in context), actions[4:5], draws[9:10]
    )  # future 9 of candidate 4, block by block
    torch.testing.assert_close(one[0], latents[9, 4], rtol=1e-5, atol=1e-5)
    assert latents.std(0).max() > 1e-3


def test_draws_are_evenly_spread_the_same_for_a_seed_and_apart_for_another():
    draws = Futures(8, seed=1).draw(5)
    assert draws.shape == (8, 5) and draws.dtype == np.float32
    np.testing.assert_allclose(np.sort(draws, axis=0), ((np.arange(8) + 0.5) / 8)[:, None].repeat(5, 1))
    assert len({tuple(block) for block in draws.T}) == 5
    np.testing.assert_array_equal(draws, Futures(8, seed=1).draw(5))
    assert np.any(draws != Futures(8, seed=2).draw(5))


def test_what_cannot_be_is_refused():
    for codes in (-1, 1, 2.5, 1000):
        with pytest.raises(JepaError, match="model codes is"):
            ModelConfig(codes=codes)
    with pytest.raises(JepaError, match="futures count is 0"):
        Futures(0)
    for price in (0.0, float("nan")):
        with pytest.raises(JepaError, match="z_price is"):
            LossConfig(z_price=price)
