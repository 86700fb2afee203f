"""Heads learn time, direction and ways in toy worlds where all three are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.training.heads import HeadTraining, fit_heads, waits
from jepa_ros.training.latent_episodes import LatentEpisodes, with_imagined
from jepa_ros.training.pairs import Chunks, chunks, imagined_pairs, real_pairs
from jepa_ros.world_model.heads import Heads, HeadsConfig

SPEC = ActionSpec(
    joint_names=("a",),
    lower=(-0.1,),
    upper=(0.1,),
    position_lower=(-9.0,),
    position_upper=(9.0,),
    block=1,
)
PLACES, RING, D, T = 9, 6, 6, 2
WHERE = torch.nn.functional.normalize(torch.randn(PLACES, D, generator=torch.Generator().manual_seed(5)))
"""The latent of every place: far from one another, near or not."""


def place(latents: torch.Tensor) -> torch.Tensor:
    return torch.cdist(latents, WHERE).argmin(-1)


def onwards(latents, proprio, past, actions, places=PLACES):
    """The world itself as its model: an action of more than 0.05 goes on by one place; none goes back."""
    future, now = [], place(latents[:, -1])
    for block in actions.unbind(1):
        now = (now + (block[:, 0] > 0.05)) % places
        future.append(WHERE[now])
    return torch.stack(future, 1), proprio


def around(*window):
    """The same on a ring of RING places."""
    return onwards(*window, places=RING)


def world(episodes: list[list[int]], imagine=onwards, horizon: int = 3) -> LatentEpisodes:
    """Episodes as sequences of places, at every one a step of 0.1 where the next is another."""
    frames = torch.tensor(sum(episodes, []))
    moves = [[0.1 * (b != a) for a, b in zip(e, e[1:] + e[-1:], strict=True)] for e in episodes]
    bare = LatentEpisodes(
        WHERE[frames],
        torch.zeros(len(frames), 1),
        torch.tensor(sum(moves, []), dtype=torch.float32)[:, None],
        np.cumsum([0, *map(len, episodes)]),
        1,
        T,
        np.zeros(0, int),
        torch.zeros(0),
    )
    return with_imagined(bare, imagine, horizon, 10_000)


def trained(episodes: LatentEpisodes, steps: int, heads: dict | None = None, **config) -> Heads:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    made = Heads(
        HeadsConfig(width=48, policy_width=48, depth=1, hypotheses=2, horizon=3, **(heads or {})), D, T, SPEC
    )
    fit_heads(
        made,
        episodes,
        HeadTraining(**{"steps": steps, "batch": 128, "learning_rate": 2e-3} | config),
        progress=False,
    )
    return made


@pytest.fixture(scope="module")
def ring():
    rng = np.random.default_rng(0)
    walks = [[(int(start) + i) % RING for i in range(12)] for start in rng.integers(RING, size=20)]
    return trained(world(walks, around), 900, far=RING - 1)


def test_in_a_one_way_world_the_way_back_is_the_way_round(ring):
    here, there = WHERE[: RING - 1], WHERE[1:RING]
    with torch.inference_mode():
        on, back = ring.distance(here, there), ring.distance(there, here)
    assert on.mean().item() == pytest.approx(1, abs=0.25)
    assert back.mean().item() == pytest.approx(RING - 1, rel=0.25)
    assert (back > 2 * on).all()


def test_distance_is_the_number_of_blocks_to_go(ring):
    blocks = torch.arange(RING)
    with torch.inference_mode():
        for start in range(RING):
            found = ring.distance(WHERE[start], WHERE[(start + blocks) % RING])
            torch.testing.assert_close(found, blocks.float(), rtol=0.3, atol=0.4)


def test_the_policy_goes_on_while_the_goal_is_ahead_and_rests_there(ring):
    for ahead, expected in ((0, [0, 0, 0]), (1, [0.1, 0, 0]), (2, [0.1, 0.1, 0]), (5, [0.1, 0.1, 0.1])):
        latents, goal = WHERE[torch.tensor([[2, 3]])], WHERE[(3 + ahead) % RING]
        with torch.inference_mode():
            found = ring.policy(latents, torch.zeros(1, T, 1), torch.full((1, 1, 1), 0.1), goal[None])
        best = (found[0, :, :, 0] - torch.tensor(expected, dtype=torch.float32)).abs().amax(-1).amin()
        assert best < 0.03, (ahead, found)


def test_td_value_on_a_chain_is_the_closed_form_also_across_episodes():
    """Nobody ever went from one end to the other; the bootstrap joins the halves."""
    chain = world([[0, 1, 2, 3, 4, 5], [3, 4, 5, 6, 7, 8]] * 10)
    heads = trained(chain, 1500, {"gamma": 0.8}, far=5, target_rate=0.05, value_expectile=0.8, imagined=0.5)
    with torch.inference_mode():
        for start, goal in ((0, 1), (0, 3), (2, 5), (3, 8), (0, 6), (0, 8)):
            value = heads.value(WHERE[start], WHERE[goal]).item()
            assert 0 < value < 1
            blocks = np.log(value) / np.log(0.8)  # of the closed form, 0.8 ** (goal - start)
            assert blocks == pytest.approx(goal - start, rel=0.15, abs=0.3), (start, goal)
        assert heads.value(WHERE[:8], WHERE[:8]).min() > 0.9


def test_of_ways_of_different_length_the_quicker_one_counts():
    """From 0 to 4 half of the episodes loiter on the way."""
    episodes = world([[0, 1, 2, 3, 4], [0, 5, 5, 6, 6, 7, 7, 3, 4]] * 10)
    heads = trained(episodes, 600, far=8)
    with torch.inference_mode():
        distance = heads.distance(WHERE[0], WHERE[4]).item()
        value = heads.value(WHERE[0], WHERE[4]).item()
    assert distance < 6 - 0.5  # the mean of 4 and 8, less a good part
    assert np.log(value) / np.log(0.95) < 6 - 0.5


def test_pairs_know_their_time():
    """With latents that are frame numbers, what pairs say of themselves can be counted."""
    frames = torch.arange(40.0)[:, None]
    offsets = np.array([0, 12, 40])

    def count(latents, proprio, past, actions):
        return latents[:, -1:] + 4.0 * (1 + torch.arange(actions.shape[1]))[None, :, None], proprio

    zeros = torch.zeros(40, 1)
    bare = LatentEpisodes(frames, zeros, zeros, offsets, 4, T, np.zeros(0, int), torch.zeros(0))
    episodes, rng = with_imagined(bare, count, 2, 1000), np.random.default_rng(0)
    for draw in (real_pairs, imagined_pairs):
        pairs = draw(episodes, 2000, 5, rng)
        known = pairs.blocks.isfinite()
        assert 0.6 < known.float().mean() < 0.85
        torch.testing.assert_close(pairs.following - pairs.start, torch.full((2000, 1), 4.0))
        torch.testing.assert_close((pairs.goal - pairs.start)[known, 0] / 4, pairs.blocks[known])
        assert pairs.blocks[known].min() == 0 and pairs.blocks[known].max() == 5
        assert len(set(((pairs.goal - pairs.start)[~known, 0]).tolist())) > 20


def test_chunks_hold_what_was_done_up_to_the_goal_and_the_context_before():
    frames = torch.arange(40.0)[:, None]
    offsets = np.array([0, 12, 40])
    bare = LatentEpisodes(
        frames, 10 * frames, 1 + frames, offsets, 4, T, np.array([3, 20]), 1000 + torch.zeros(2, 2, 1)
    )
    ways = chunks(bare, 500, 5, 3, 0.5, np.random.default_rng(0))
    start = ways.latents[:, -1]
    imagined = ways.goal[:, 0] == 1000
    assert imagined.sum() == 250
    ahead = (4 * ways.blocks).round().long()
    torch.testing.assert_close((ways.goal - start)[~imagined, 0], ahead[~imagined].float())
    steps = torch.arange(12)
    done = torch.where(steps < ahead[:, None], 1 + start + steps, 0.0)
    torch.testing.assert_close(ways.actions.flatten(1), done)
    early = (start[:, 0] < 4) | ((start[:, 0] >= 12) & (start[:, 0] < 16))
    torch.testing.assert_close(ways.latents[early, 0], start[early])  # nothing known before: at rest there
    assert not ways.past[early].any()
    torch.testing.assert_close(ways.latents[~early, 0], start[~early] - 4)
    torch.testing.assert_close(
        ways.past[~early, 0], 1 + start[~early] - 4 + torch.arange(4.0)
    )  # the block between
    torch.testing.assert_close(ways.proprio, 10 * ways.latents)
    assert (ahead == 0).any() and (ahead > 12).any()


def test_imagined_pairs_teach_what_was_never_recorded():
    """A model that leads elsewhere than the recording, three blocks from the first place: only who learns from imagination
    knows the way."""
    elsewhere = WHERE[8]

    def astray(latents, proprio, past, actions):
        future, _ = onwards(latents, proprio, past, actions)
        future[place(latents[:, -1]) == 0, -1] = elsewhere
        return future, proprio

    episodes = world([[0, 1, 2, 3, 4, 5]] * 20, astray)
    with_them, without = (trained(episodes, 400, far=5, imagined=share) for share in (0.7, 0.0))
    with torch.inference_mode():
        taught, untaught = (h.distance(WHERE[0], elsewhere).item() for h in (with_them, without))
    assert taught == pytest.approx(3, abs=0.6)
    assert abs(untaught - 3) > abs(taught - 3) + 0.3


def test_the_seed_decides():
    episodes = world([[0, 1, 2, 3, 4, 5]] * 5)
    one, same, other = (trained(episodes, 5, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["critic.network.0.weight"], other["critic.network.0.weight"])


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11, 20])
def test_any_number_of_steps_can_be_trained(steps):
    trained(world([[0, 1, 2, 3, 4, 5]] * 5), steps, batch=16)


def test_what_cannot_be_trained_is_refused():
    for bad, words in (
        ({"batch": 15}, "batch is 15; it must be at least 16"),
        ({"steps": 0}, "steps is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"learning_rate": float("inf")}, "learning_rate is inf"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"value_expectile": 2}, "value_expectile is 2"),
    ):
        with pytest.raises(JepaError, match=words):
            HeadTraining(**bad)
    short = world([[0], [1]])
    with pytest.raises(JepaError, match="no episode is long enough"):
        trained(short, 1)


@pytest.mark.parametrize("bound", [0.005, 0.1])
def test_what_counts_as_waiting_is_a_share_of_what_the_arm_can(bound):
    spec = replace(SPEC, lower=(-bound,), upper=(bound,), block=4)
    heads = Heads(HeadsConfig(width=8, policy_width=8, depth=1, hypotheses=2, horizon=1), D, T, spec)
    actions = bound * torch.tensor([0.0, 0.02, 0.5, 1.0])[:, None, None].expand(4, 1, 4)
    nothing = torch.zeros(4, 1)
    ways = Chunks(nothing, nothing, nothing, nothing, torch.full((4,), 3.0), actions)
    assert waits(ways, heads, HeadTraining().still).tolist() == [True, True, False, False]
