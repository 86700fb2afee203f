"""Object features in a toy world: an arm that moves all the time, and a thing that lies still until it is pushed."""

import numpy as np
import pytest
import torch

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.planning.memory import Context
from jepa_ros.training.heads import HeadTraining, fit_heads
from jepa_ros.training.latent_episodes import LatentEpisodes, with_imagined
from jepa_ros.training.objects import TOLD_BY_JOINTS, Seen, fit_features, object_policy_loss, told_by_joints
from jepa_ros.world_model.heads import Heads, HeadsConfig
from jepa_ros.world_model.objects import ARRIVED

SPEC = ActionSpec(
    joint_names=("a",),
    lower=(-0.5,),
    upper=(0.5,),
    position_lower=(-9.0,),
    position_upper=(9.0,),
    block=1,
)
D, T, FRAMES = 6, 2, 24
MIX = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(3)))[0]
SMALL = {"width": 32, "policy_width": 48, "depth": 1, "hypotheses": 2, "horizon": 3}
SMALL |= {"objects": 1, "object_width": 48, "object_policy_width": 48, "object_depth": 1}


def latents(arm: np.ndarray, thing: np.ndarray) -> torch.Tensor:
    """(F, D): both are in it, nowhere by themselves, and the arm is the greater part."""
    parts = [np.sin(2 * arm), np.cos(2 * arm), arm, 0.6 * thing, 0.3 * thing * np.cos(arm), 0 * arm]
    return torch.from_numpy(np.stack(parts, 1).astype(np.float32)) @ MIX


def follow(start: float, thing: float, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where arm and thing are before every action: an arm that comes up against the thing takes it along."""
    arm, things = [start], [thing]
    for action in actions[:-1]:
        arm.append(arm[-1] + action)
        things.append(max(things[-1], arm[-1]) if arm[-2] <= things[-1] else things[-1])
    return np.array(arm), np.array(things)


def episodes(count: int, things: bool = True) -> LatentEpisodes:
    """The arm goes to and fro; now and then it goes far enough to push."""
    rng, rows = np.random.default_rng(0), []
    for _ in range(count):
        there = rng.uniform(0.3, 1.5)
        wanted = rng.uniform(-1.0, 2.0, FRAMES // 4).repeat(4)
        arm, actions = [rng.uniform(-1.0, 0.2)], []
        for goal in wanted:
            actions.append(np.clip(goal - arm[-1], -0.5, 0.5))
            arm.append(arm[-1] + actions[-1])
        seen, where = follow(arm[0], there, np.array(actions))
        rows.append((latents(seen, where if things else 0 * where), seen, np.array(actions)))
    bare = LatentEpisodes(
        torch.cat([row[0] for row in rows]),
        torch.tensor(np.concatenate([row[1] for row in rows]), dtype=torch.float32)[:, None],
        torch.tensor(np.concatenate([row[2] for row in rows]), dtype=torch.float32)[:, None],
        np.arange(count + 1) * FRAMES,
        1,
        T,
        np.zeros(0, int),
        torch.zeros(0),
    )
    return with_imagined(bare, lambda z, *_: (z[:, -1:].expand(-1, 3, -1), None), 3, 100)


def made(seed: int = 0, **config) -> Heads:
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    return Heads(HeadsConfig(**SMALL | config), D, T, SPEC)


@pytest.fixture(scope="module")
def taught() -> Heads:
    heads, seen = made(), episodes(300)
    told = fit_features(heads.objects, seen, seed=0, steps=1500, progress=False)
    assert told < TOLD_BY_JOINTS
    config = HeadTraining(steps=900, batch=128, learning_rate=2e-3, far=8, imagined=0.0, still=0.02)
    fit_heads(heads, seen, config, progress=False)
    return heads


def offsets(heads: Heads, arms: np.ndarray, things: np.ndarray, goal: float) -> np.ndarray:
    with torch.inference_mode():
        return heads.objects.offset(latents(arms, things), latents(np.array([0.0]), np.array([goal]))).numpy()


def test_features_tell_the_thing_wherever_the_arm_is(taught):
    arms = np.linspace(-0.8, 0.4, 7)
    for goal in (0.6, 1.0, 1.4):
        assert offsets(taught, arms, np.full(7, goal), goal).max() < ARRIVED
        away = offsets(taught, arms, np.full(7, goal + 0.7), goal)
        assert away.min() > ARRIVED


def test_blocks_to_go_are_none_in_place_and_more_the_farther_the_thing_has_to_go(taught):
    def to_go(arm, thing, goal):
        here, there = latents(np.array([arm]), np.array([thing])), latents(np.array([0.0]), np.array([goal]))
        with torch.inference_mode():
            return taught.objects.blocks(here, there[0]).item()

    assert to_go(-0.5, 0.8, 0.8) == to_go(0.5, 0.8, 0.8) == 0
    assert 0 < to_go(0.7, 0.8, 1.4) < to_go(-0.9, 0.8, 1.4)  # the arm has to come first
    assert to_go(-0.9, 0.8, 1.9) > to_go(0.7, 0.8, 1.4)


def test_the_policy_pushes_while_the_thing_is_not_in_place(taught):
    """From behind the thing it goes on as far as the goal has it; in place, the plain policy is asked."""

    def first_blocks(arm: float, thing: float, goal_arm: float, goal: float) -> np.ndarray:
        context = Context(
            latents(np.full(T, arm), np.full(T, thing)).numpy(),
            np.full((T, 1), arm, np.float32),
            np.zeros((T - 1, 1), np.float32),
            T,
            0.0,
        )
        found, things_first = taught.propose(
            context, latents(np.array([goal_arm]), np.array([goal]))[0].numpy()
        )
        assert things_first == (thing != goal)
        return found

    pushing = first_blocks(0.6, 0.7, 0.0, 1.7)
    assert pushing.shape == (2, 3, 1) and pushing[:, 0].max() > 0.3  # though the goal's arm is behind
    here = latents(np.full(T, 0.6), np.full(T, 0.7))
    goal = latents(np.array([-0.6]), np.array([0.7]))
    with torch.inference_mode():
        plain = taught.policy(here[None], torch.full((1, T, 1), 0.6), torch.zeros(1, T - 1, 1), goal)
    np.testing.assert_allclose(first_blocks(0.6, 0.7, -0.6, 0.7), plain[0].numpy(), atol=1e-6)


def test_ways_longer_than_the_farthest_goal_are_driven_to_their_end():
    """A policy's horizon may be longer than ``far``. Here the arm takes the thing along all the time, 0.2 rad a block."""
    count, arm = 200, 0.2 * torch.arange(200.0)
    seen = LatentEpisodes(
        100 * arm[:, None].expand(-1, D),
        arm[:, None],
        torch.full((count, 1), 0.2),
        np.array([0, count]),
        1,
        T,
        np.zeros(0, int),
        torch.zeros(0, 3, D),
    )
    heads, ways = made(), []
    heads.objects.features = torch.nn.Linear(D, 1, bias=False)
    heads.objects.features.weight.data = torch.eye(D)[:1]

    def still(latents, joints, past, towards, here):
        ways.append((towards - here)[:, 0])
        return torch.zeros(len(latents), 2, 3, 1)

    heads.objects.chunks.forward = still
    found = Seen.of(heads.objects, seen)
    loss = object_policy_loss(heads, seen, found, 256, 1, 0.0, 0.01, np.random.default_rng(0))
    blocks = (ways[0] / 20).round()
    assert blocks.max() == 3
    assert loss.item() == pytest.approx((0.4**2 * blocks / 3).mean().item())


def test_where_nothing_stays_the_features_are_the_arm_and_that_is_found_out():
    heads, seen = made(), episodes(200, things=False)
    assert fit_features(heads.objects, seen, seed=0, steps=600, progress=False) > TOLD_BY_JOINTS
    assert told_by_joints(heads.objects, seen) > TOLD_BY_JOINTS


def test_views_of_a_motion_have_the_same_features():
    """Every motion once more in another light. That stays within an episode too; only who knows the views of a motion can tell
    that it is no thing."""
    seen = episodes(200)
    light = torch.linspace(-0.5, 0.5, 200).repeat_interleave(FRAMES)[:, None] * MIX[5]

    def change_by_light(motions: tuple[tuple[int, ...], ...]) -> float:
        both = LatentEpisodes(
            torch.cat([seen.latents, seen.latents + light]),
            seen.proprio.repeat(2, 1),
            seen.actions.repeat(2, 1),
            np.arange(401) * FRAMES,
            1,
            T,
            np.zeros(0, int),
            torch.zeros(0),
            motions,
        )
        heads = made()
        fit_features(heads.objects, both, seed=0, steps=1200, progress=False)
        with torch.inference_mode():
            plain, lit = (heads.objects.features(x) for x in both.latents.chunk(2))
        return (plain - lit).norm(dim=1).mean().item()

    together = change_by_light(tuple((i, 200 + i) for i in range(200)))
    assert together < 0.2 * ARRIVED
    assert together < 0.1 * change_by_light(())


def test_the_seed_decides_and_other_heads_do_not_notice():
    seen = episodes(20)
    config = HeadTraining(steps=3, batch=16, imagined=0.0)
    found = []
    for objects in (1, 1, 0):
        heads = made(objects=objects)
        if objects:
            fit_features(heads.objects, seen, seed=0, steps=3, progress=False)
        fit_heads(heads, seen, config, progress=False)
        found.append(heads.state_dict())
    one, same, without = found
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert torch.equal(one["critic.network.0.weight"], without["critic.network.0.weight"])
