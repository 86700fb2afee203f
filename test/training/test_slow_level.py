"""The slow level learns where several blocks lead in a world whose rule is known, in few numbers that can be drawn."""

import numpy as np
import pytest
import torch

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.training.latent_episodes import LatentEpisodes
from jepa_ros.training.slow_level import macro_blocks, macro_starts, slow_errors, slow_loss
from jepa_ros.world_model.slow_level import SlowLevel

K, STRIDE, U, D, FRAMES, EPISODES = 2, 3, 3, 4, 25, 60
SPEC = ActionSpec(
    joint_names=("x", "y"),
    lower=(-0.1,) * 2,
    upper=(0.1,) * 2,
    position_lower=(-9.0,) * 2,
    position_upper=(9.0,) * 2,
    block=K,
)
STEPS = K * STRIDE
"""Raw actions of a macro-action."""


def walks(seed: int) -> LatentEpisodes:
    """A point that walks: the latent is (x, y) in units of 0.3, and two numbers of chance that no action decides."""
    rng = np.random.default_rng(seed)
    heading = rng.uniform(-0.1, 0.1, (EPISODES, FRAMES // STEPS + 1, 2)).repeat(STEPS, 1)[:, :FRAMES]
    actions = np.clip(heading + 0.02 * rng.standard_normal(heading.shape), -0.1, 0.1)
    place = np.cumsum(np.concatenate([np.zeros((EPISODES, 1, 2)), actions[:, :-1]], 1), 1)
    latents = np.concatenate([place / 0.3, rng.standard_normal(place.shape)], 2)
    return LatentEpisodes(
        *(torch.tensor(x.reshape(-1, x.shape[2]), dtype=torch.float32) for x in (latents, place, actions)),
        np.arange(EPISODES + 1) * FRAMES,
        K,
        2,
        np.zeros(0, int),
        torch.zeros(0),
    )


@pytest.fixture(scope="module")
def learned() -> SlowLevel:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    slow, data = SlowLevel(D, SPEC, STRIDE, U, 48, 1), walks(0)
    starts = macro_starts(data, STRIDE)
    optimiser = torch.optim.AdamW(slow.parameters(), 3e-3)
    for step in range(500):
        loss = slow_loss(slow, data, starts, 128, 0.02, np.random.default_rng([0, step]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return slow.eval()


def test_steps_stay_within_their_episode():
    data = walks(0)
    starts = macro_starts(data, STRIDE)
    assert len(starts) == EPISODES * (FRAMES - STEPS)
    assert np.all(starts // FRAMES == (starts + STEPS) // FRAMES)
    assert not len(macro_starts(data, FRAMES)) and slow_errors(SlowLevel(D, SPEC, 20, U, 8, 1), data) == {}
    blocks = macro_blocks(data, starts[:5], STRIDE)
    raw = data.actions.numpy()
    np.testing.assert_array_equal(blocks.flatten(1), [raw[s : s + STEPS].reshape(-1) for s in starts[:5]])


def test_it_learns_where_a_macro_action_leads_and_not_what_chance_brings(learned):
    data = walks(1)
    frames = macro_starts(data, STRIDE)[::7]
    now, later = data.latents[frames], data.latents[frames + STEPS]
    with torch.no_grad():
        mean, _ = learned.infer(now, macro_blocks(data, frames, STRIDE))
        found = learned.predict(now, mean)
    change = (later - now)[:, :2].pow(2).mean()
    assert (found - later)[:, :2].pow(2).mean() < 0.05 * change
    # Of what no action decides the best guess is the mean, whatever the macro-action is.
    assert found[:, 2:].std(0).max() < 0.35
    errors = slow_errors(learned, data)
    assert errors["known"] < 0.7 * errors["unknown"]


def test_a_chain_of_two_leads_where_two_blocks_of_it_lead(learned):
    data = walks(2)
    frames = macro_starts(data, 2 * STRIDE)[::5]
    with torch.no_grad():
        macros = [
            learned.infer(data.latents[at], macro_blocks(data, at, STRIDE))[0]
            for at in (frames, frames + STEPS)
        ]
        path = learned.unroll(data.latents[frames], torch.stack(macros, 1))
    later = data.latents[frames + 2 * STEPS]
    change = (later - data.latents[frames])[:, :2].pow(2).mean()
    assert (path[:, 1] - later)[:, :2].pow(2).mean() < 0.05 * change


def test_macro_actions_are_normal_and_what_is_drawn_is_a_motion_as_recorded(learned):
    data = walks(3)
    frames = macro_starts(data, STRIDE)
    with torch.no_grad():
        mean, log_variance = learned.infer(data.latents[frames], macro_blocks(data, frames, STRIDE))
        drawn = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape)
        assert drawn.mean(0).abs().max() < 0.5 and (drawn.std(0) - 1).abs().max() < 0.4
        assert log_variance.amin(1).mean() < -1  # some of it says what was done
        assert log_variance.mean(0).max() > -1  # two numbers are enough for a walk in the plane
        led = learned.predict(data.latents[frames], torch.randn(mean.shape)) - data.latents[frames]
    recorded = (data.latents[frames + STEPS] - data.latents[frames])[:, :2]
    ratio = led[:, :2].std(0) / recorded.std(0)
    assert 0.75 < ratio.min() and ratio.max() < 1.3
