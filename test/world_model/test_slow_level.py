"""The slow level: its shapes, what it may know, where it lies; and how the checkpoint says that it has none."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.world_model.checkpoint import halved, load_checkpoint, save_checkpoint, save_heads
from jepa_ros.world_model.heads import Heads, HeadsConfig
from jepa_ros.world_model.heads_file import macro_width
from jepa_ros.world_model.model import ModelConfig, WorldModel
from jepa_ros.world_model.trust import HEADS

SPEC = ActionSpec(
    joint_names=("a", "b"),
    lower=(-0.1, -0.3),
    upper=(0.2, 0.1),
    position_lower=(-1.0,) * 2,
    position_upper=(1.0,) * 2,
    block=2,
)
D, T, U, STRIDE = 8, 2, 3, 5
CONFIG = HeadsConfig(width=16, policy_width=16, depth=1, hypotheses=3, horizon=4, stride=STRIDE, macro=U)


def make_heads(config: HeadsConfig = CONFIG) -> Heads:
    torch.manual_seed(0)
    return Heads(config, D, T, SPEC).eval()


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(1)
    save_checkpoint(
        tmp_path,
        WorldModel(ModelConfig(latent_dim=D, predictor_width=16), SPEC).eval(),
        {"goal_tolerance": 0.2},
    )
    return tmp_path


def test_macro_actions_are_inferred_from_what_was_done_and_lead_on_step_by_step():
    slow = make_heads().slow
    latents, blocks = torch.randn(6, D), 0.1 * torch.randn(6, STRIDE, 4)
    mean, log_variance = slow.infer(latents, blocks)
    assert mean.shape == log_variance.shape == (6, U)
    assert not torch.equal(slow.infer(latents, blocks + 0.01)[0], mean)
    macros = torch.randn(6, 2, U)
    path = slow.unroll(latents, macros)
    first = slow.predict(latents, macros[:, 0])
    torch.testing.assert_close(path, torch.stack([first, slow.predict(first, macros[:, 1])], 1))


def test_what_is_foreseen_is_the_path_and_the_distance_heads_blocks():
    heads, rng = make_heads(), np.random.default_rng(0)
    context = SimpleNamespace(latents=rng.normal(size=(T, D)).astype(np.float32))
    goal, macros = rng.normal(size=D), rng.normal(size=(7, 3, U))
    firsts, blocks = heads.foresee(context, goal, macros)
    assert firsts.shape == (7, D) and firsts.dtype == np.float32 and blocks.shape == (7, 4)
    with torch.no_grad():
        path = heads.slow.unroll(
            torch.tensor(context.latents[-1]).expand(7, D), torch.tensor(macros, dtype=torch.float32)
        )
        to_go = heads.distance(path, torch.tensor(goal, dtype=torch.float32))
    np.testing.assert_allclose(firsts, path[:, 0], atol=1e-6)
    np.testing.assert_allclose(blocks[:, 1:], to_go, atol=1e-5)
    assert np.ptp(blocks[:, 0]) == 0 and np.ptp(blocks[:, 1]) > 0
    np.testing.assert_array_equal(heads.foresee(context, goal, macros)[1], blocks)


def test_it_comes_back_with_the_heads_and_its_width_is_told_without_torch(folder):
    heads = make_heads()
    save_heads(folder, heads)
    heads.load_state_dict(halved(heads))
    loaded = load_checkpoint(folder).require_slow_level("this test")
    assert loaded.config == CONFIG and macro_width(folder) == U
    for name, tensor in heads.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=0, atol=0)


def test_heads_without_it_are_heads_as_before(folder):
    with_it, without = make_heads(), make_heads(HeadsConfig(**CONFIG.to_dict() | {"stride": 0}))
    assert without.slow is None and not any(name.startswith("slow") for name in without.state_dict())
    for name, tensor in without.state_dict().items():
        torch.testing.assert_close(with_it.state_dict()[name], tensor, rtol=0, atol=0)
    save_heads(folder, without)
    assert macro_width(folder) == 0
    checkpoint = load_checkpoint(folder)
    with pytest.raises(
        JepaError, match="levels: 2 needs a slow level, and .* has none; train the heads again"
    ):
        checkpoint.require_slow_level("levels: 2")
    (folder / HEADS).unlink()
    with pytest.raises(JepaError, match="levels: 2 needs heads"):
        load_checkpoint(folder).require_slow_level("levels: 2")


def test_a_file_that_does_not_say_what_it_holds_is_refused(folder):
    (folder / HEADS).write_bytes(b"no safetensors")
    with pytest.raises(JepaError, match="not a readable safetensors file"):
        macro_width(folder)


@pytest.mark.parametrize("bad", [{"stride": -1}, {"stride": 2.5}, {"macro": 0}])
def test_an_architecture_that_makes_no_sense_is_refused_by_name(bad):
    with pytest.raises(JepaError, match=next(iter(bad))):
        HeadsConfig(**bad)
