from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.world_model.checkpoint import halved, load_checkpoint, save_checkpoint, save_heads
from jepa_ros.world_model.heads import Heads, HeadsConfig
from jepa_ros.world_model.model import ModelConfig, WorldModel
from jepa_ros.world_model.trust import file_sha256

SPEC = ActionSpec(
    joint_names=("a", "b"),
    lower=(-0.1, -0.3),
    upper=(0.2, 0.1),
    position_lower=(-1.0,) * 2,
    position_upper=(1.0,) * 2,
    block=2,
)
D, T, CONFIG = 8, 2, HeadsConfig(width=16, depth=1, hypotheses=3, horizon=4)


def make_heads(seed: int = 0) -> Heads:
    torch.manual_seed(seed)
    return Heads(CONFIG, D, T, SPEC).eval()


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(1)
    model = WorldModel(ModelConfig(latent_dim=D, predictor_width=16), SPEC).eval()
    save_checkpoint(tmp_path, model, {"goal_tolerance": 0.2})
    heads = make_heads()
    heads.proprio_mean.fill_(0.5)
    save_heads(tmp_path, heads)
    heads.load_state_dict(halved(heads))
    return heads, tmp_path


def test_distance_is_a_quasimetric_even_untrained():
    heads, (x, y, z) = make_heads(), torch.randn(3, 500, D)
    there, back, on = heads.distance(x, y), heads.distance(y, x), heads.distance(y, z)
    assert there.shape == (500,) and there.min() >= 0
    assert heads.distance(x, x).abs().max() == 0
    assert (heads.distance(x, z) <= there + on + 1e-5).all()
    assert ((there - back).abs() > 0.01).float().mean() > 0.5


def test_one_goal_serves_all_latents_and_gradients_at_the_goal_are_finite():
    heads, latents, goal = make_heads(), torch.randn(5, 4, D), torch.randn(D)
    for head in (heads.distance, heads.value):
        assert head(latents, goal).shape == (5, 4)
        torch.testing.assert_close(head(latents, goal), head(latents, goal.expand(5, 4, D)))
    here = goal.clone().requires_grad_(True)
    heads.distance(here, goal).backward()
    assert here.grad.isfinite().all()


def test_value_is_the_discounted_number_of_blocks():
    heads, latents, goal = make_heads(), torch.randn(50, D), torch.randn(D)
    value, blocks = heads.value(latents, goal), heads.critic.blocks(latents, goal)
    assert ((value > 0) & (value <= 1)).all() and (blocks >= 0).all()
    torch.testing.assert_close(value.log() / np.log(CONFIG.gamma), blocks)


def test_chunks_stay_within_the_bounds_of_each_joint_however_sure_the_policy_is():
    heads = make_heads()
    with torch.no_grad():
        heads.chunks.network[-1].weight.mul_(1e4)
    chunks = heads.policy(*(torch.randn(60, *shape) for shape in ((T, D), (T, 2), (T - 1, 4), (D,))))
    assert chunks.shape == (60, 3, 4, 4)
    raw = chunks.unflatten(-1, (2, 2)).flatten(0, 3)
    torch.testing.assert_close(raw.amin(0), torch.tensor(SPEC.lower))
    torch.testing.assert_close(raw.amax(0), torch.tensor(SPEC.upper))


def test_a_policy_without_proprioception_does_not_look_at_the_joints():
    torch.manual_seed(0)
    blind = Heads(replace(CONFIG, proprioception=False), D, T, SPEC).eval()
    latents, proprio, past, goal = (torch.randn(9, *shape) for shape in ((T, D), (T, 2), (T - 1, 4), (D,)))
    elsewhere = torch.randn(9, T, 2)
    assert torch.equal(*(blind.policy(latents, joints, past, goal) for joints in (proprio, elsewhere)))
    assert not torch.equal(
        *(make_heads().policy(latents, joints, past, goal) for joints in (proprio, elsewhere))
    )


def test_proposals_are_the_policys_from_a_planners_context():
    heads, rng = make_heads(), np.random.default_rng(0)
    context = SimpleNamespace(
        latents=rng.normal(size=(T, D)).astype(np.float32),
        proprio=rng.normal(size=(T, 2)).astype(np.float32),
        actions=rng.normal(size=(T - 1, 4)).astype(np.float32),
    )
    goal = rng.normal(size=D)
    proposals, things_first = heads.propose(context, goal)
    assert not things_first, "these heads know of no things"
    assert proposals.shape == (3, 4, 4) and proposals.dtype == np.float32
    tensors = [
        torch.tensor(x, dtype=torch.float32)[None]
        for x in (context.latents, context.proprio, context.actions, goal)
    ]
    np.testing.assert_allclose(proposals, heads.policy(*tensors)[0].detach(), atol=1e-6)
    np.testing.assert_array_equal(proposals, heads.propose(context, goal)[0])


def test_they_lie_beside_the_model_in_half_precision(saved):
    heads, path = saved
    loaded, x, y = load_checkpoint(path).heads, torch.randn(9, D), torch.randn(D)
    assert loaded.config == CONFIG and loaded.proprio_mean.tolist() == [0.5, 0.5]
    assert (path / "heads.safetensors").stat().st_size < 3 * sum(
        p.numel() for p in heads.parameters()
    ) + 20_000
    torch.testing.assert_close(loaded.distance(x, y), heads.distance(x, y), rtol=0, atol=0)
    assert not any(p.requires_grad for p in loaded.parameters())


def test_a_checkpoint_without_heads_says_what_makes_them(saved):
    _, path = saved
    (path / "heads.safetensors").unlink()
    checkpoint = load_checkpoint(path)
    assert checkpoint.heads is None
    with pytest.raises(JepaError, match="cost term value needs heads.*no .*heads.safetensors.*jepa heads"):
        checkpoint.require_heads("cost term value")


def test_new_weights_take_the_heads_of_the_old_ones_away(saved):
    _, path = saved
    model = WorldModel(ModelConfig(latent_dim=D, predictor_width=16), SPEC)
    save_checkpoint(path, model, {"goal_tolerance": 0.2})
    assert load_checkpoint(path).heads is None


def rewrite(path, metadata=None, **tensors):
    from safetensors import safe_open

    file = path / "heads.safetensors"
    with safe_open(file, framework="pt") as content:
        kept = content.metadata()
    save_file(load_file(file) | tensors, file, kept | (metadata or {}))


@pytest.mark.parametrize(
    "change, words",
    [
        ({"metadata": {"model_id": "0123456789ab"}}, "made for model 0123456789ab"),
        ({"metadata": {"heads": '{"width": 8, "depth": 1}'}}, "tensors are not those that its own header"),
        ({"metadata": {"heads": '{"wings": 2}'}}, "wings"),
        ({"metadata": {"heads": '{"width": -1}'}}, "width is -1"),
        ({"metadata": {"heads": "{"}}, "train them again"),
        ({"proprio_mean": torch.tensor([float("nan"), 0.0])}, "NaN or Inf in proprio_mean"),
    ],
)
def test_heads_that_do_not_fit_are_refused(saved, change, words):
    _, path = saved
    rewrite(path, **change)
    with pytest.raises(JepaError, match=words):
        load_checkpoint(path).heads  # noqa: B018


def test_damaged_heads_are_refused(saved):
    _, path = saved
    file = path / "heads.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(JepaError, match="heads.safetensors.*not a readable safetensors"):
        load_checkpoint(path).heads  # noqa: B018


def test_a_pin_covers_the_heads_only_where_it_names_them(saved):
    _, path = saved
    weights, heads = (file_sha256(path / name) for name in ("model.safetensors", "heads.safetensors"))
    only_weights = load_checkpoint(path, sha256=weights)
    assert only_weights.heads is None
    with pytest.raises(JepaError, match="pin is of the weights alone"):
        only_weights.require_heads("planner.mode hybrid")
    assert load_checkpoint(path, sha256=f"{weights},{heads.upper()}").heads is not None
    with pytest.raises(JepaError, match="heads.safetensors: refused, its sha256 is"):
        load_checkpoint(path, sha256=f"{weights},{weights}")
    checkpoint = load_checkpoint(path, sha256=f"{weights},{heads}")
    rewrite(path, {"note": "changed since"})
    with pytest.raises(JepaError, match="heads.safetensors: refused, its sha256 is"):
        checkpoint.heads  # noqa: B018
    for pin in ("ab", f"{weights},", f"{weights},{heads},{heads}", f",{heads}"):
        with pytest.raises(JepaError, match="64 hex digits"):
            load_checkpoint(path, sha256=pin)


@pytest.mark.parametrize("field", [{"width": 0}, {"hypotheses": 1.5}, {"gamma": 1.0}])
def test_settings_that_cannot_be_are_refused(field):
    with pytest.raises(JepaError, match=next(iter(field))):
        HeadsConfig(**field)
