import numpy as np
import pytest
import torch

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.world_model.collapse import sigreg, vicreg
from jepa_ros.world_model.losses import LossConfig, TargetEncoder, jepa_loss
from jepa_ros.world_model.model import ModelConfig, WorldModel

A, K = 3, 2
SPEC = ActionSpec(
    joint_names=("a", "b", "c"),
    lower=(-0.1,) * A,
    upper=(0.1,) * A,
    position_lower=(-1.0,) * A,
    position_upper=(1.0,) * A,
    block=K,
    mean=(0.01, 0.0, -0.02),
    std=(0.05, 0.04, 0.03),
)


def make(**kwargs) -> WorldModel:
    torch.manual_seed(0)
    return WorldModel(ModelConfig(**({"latent_dim": 8, "predictor_width": 32} | kwargs)), SPEC).eval()


def context(model):
    g = torch.Generator().manual_seed(1)
    t = model.context
    return (
        torch.randn(t, model.latent_dim, generator=g),
        torch.randn(t, A, generator=g) * 0.3,
        torch.randn(t - 1, K * A, generator=g) * 0.05,
    )


@pytest.mark.parametrize("encoder, size", [("conv", (64, 64)), ("conv", (96, 128)), ("vit_tiny", (128, 128))])
def test_encode_gives_one_token_a_frame_whatever_the_batch(encoder, size):
    model = make(encoder=encoder, image_size=size)
    images = torch.randint(
        0, 256, (3, *size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    with torch.inference_mode():
        together = model.encode(images)
        alone = torch.cat([model.encode(image[None]) for image in images])
    assert together.shape == (3, 8)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_encode_refuses_another_size_or_dtype():
    model = make()
    with pytest.raises(JepaError, match=r"64, 64"):
        model.encode(torch.zeros(1, 32, 64, 3, dtype=torch.uint8))
    with pytest.raises(JepaError, match="uint8"):
        model.encode(torch.zeros(1, 64, 64, 3))


def test_bad_architecture_is_named():
    with pytest.raises(JepaError, match="unknown encoder 'resnet'"):
        make(encoder="resnet")
    with pytest.raises(JepaError, match="divisible by 16"):
        make(image_size=(60, 64))
    with pytest.raises(JepaError, match="latent_dim is 0"):
        make(latent_dim=0)
    with pytest.raises(JepaError, match="at least 2 real frames"):
        make(context=1)


def test_rollout_is_predict_applied_step_by_step_in_physical_units():
    model = make(context=3)
    latents, proprio, past = context(model)
    actions = torch.randn(5, 4, K * A, generator=torch.Generator().manual_seed(2)) * 0.05
    z, q = model.rollout(latents, proprio, past, actions)
    assert z.shape == (5, 4, 8) and q.shape == (5, 4, A)
    with torch.inference_mode():
        zs, ps, bs = (
            list(latents),
            list(model.normalise_proprio(proprio)),
            list(model.normalise_actions(past)),
        )
        for h in range(4):
            bs.append(model.normalise_actions(actions[2, h]))
            nz, nq = model.predict(
                torch.stack(zs[-3:])[None], torch.stack(ps[-3:])[None], torch.stack(bs[-3:])[None]
            )
            zs.append(nz[0])
            ps.append(nq[0])
            torch.testing.assert_close(z[2, h], nz[0], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(
                q[2, h], nq[0] * model.proprio_std + model.proprio_mean, atol=1e-5, rtol=1e-5
            )


def test_candidates_do_not_leak_into_one_another():
    model = make()
    actions = torch.randn(6, 3, K * A, generator=torch.Generator().manual_seed(3)) * 0.05
    together, _ = model.rollout(*context(model), actions)
    alone, _ = model.rollout(*context(model), actions[4:5])
    torch.testing.assert_close(together[4:5], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("anti_collapse", ["sigreg", "vicreg", "ema"])
def test_loss_has_gradients_where_it_should(anti_collapse):
    model = make().train()
    config = LossConfig(anti_collapse=anti_collapse)
    target = TargetEncoder(model.encoder, 0.9) if anti_collapse == "ema" else None
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (4, 5, 64, 64, 3), dtype=np.uint8))
    proprio = torch.from_numpy(rng.normal(0, 0.3, (4, 5, A)).astype(np.float32))
    actions = torch.from_numpy(rng.normal(0, 0.05, (4, 4, K * A)).astype(np.float32))
    loss, terms, latents = jepa_loss(model, images, proprio, actions, config, target)
    loss.backward()
    assert latents.shape == (20, 8)
    assert ("regulariser" in terms) == (anti_collapse != "ema")
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.encoder.parameters())
    if target is not None:
        assert all(p.grad is None for p in target.parameters())
        before = next(target.parameters()).clone()
        with torch.no_grad():
            next(model.encoder.parameters()).add_(1.0)
        target.update(model.encoder)
        torch.testing.assert_close(next(target.parameters()), before + 0.1)


@pytest.mark.parametrize("anti_collapse", ["sigreg", "vicreg"])
def test_encoders_in_bfloat16_leave_predictor_and_regulariser_in_float32(anti_collapse):
    model, rng, predicted = make().train(), np.random.default_rng(0), []
    model.predictor.register_forward_hook(lambda _, inputs, outputs: predicted.extend([*inputs, *outputs]))
    images = torch.from_numpy(rng.integers(0, 256, (4, 4, 64, 64, 3), dtype=np.uint8))
    proprio = torch.from_numpy(rng.normal(0, 0.3, (4, 4, A)).astype(np.float32))
    actions = torch.from_numpy(rng.normal(0, 0.05, (4, 3, K * A)).astype(np.float32))
    config = LossConfig(anti_collapse=anti_collapse)
    torch.manual_seed(1)
    _, terms, latents = jepa_loss(model, images, proprio, actions, config, autocast=torch.bfloat16)
    assert latents.dtype == torch.float32 and (latents == latents.bfloat16()).all()
    assert {x.dtype for x in [*predicted, *terms.values()]} == {torch.float32}
    torch.manual_seed(1)
    expected = sigreg(latents, config.projections) if anti_collapse == "sigreg" else vicreg(latents)
    torch.testing.assert_close(terms["regulariser"], expected, rtol=0, atol=0)


def test_latents_of_the_second_view_are_drawn_to_those_of_the_first_which_stay():
    model = make()
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (6, 3, 64, 64, 3), dtype=np.uint8))
    proprio = torch.from_numpy(rng.normal(0, 0.3, (3, 3, A)).astype(np.float32)).repeat(2, 1, 1)
    actions = torch.from_numpy(rng.normal(0, 0.05, (3, 2, K * A)).astype(np.float32)).repeat(2, 1, 1)
    only_views = LossConfig(regulariser=0, one_step=0, multi_step=0, proprio=0, joint_head=0, views=1)
    loss, terms, latents = jepa_loss(model, images, proprio, actions, only_views, two_views=True)
    torch.testing.assert_close(terms["views"], (latents[9:] - latents[:9]).pow(2).mean())

    loss.backward()
    found = [p.grad.clone() for p in model.encoder.parameters()]
    model.zero_grad()
    first, second = model.encode(images.flatten(0, 1)).chunk(2)
    (second - first.detach()).pow(2).mean().backward()
    for gradient, parameter in zip(found, model.encoder.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, atol=1e-6, rtol=1e-4)


def clips(batch: int, length: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    return (
        torch.from_numpy(rng.integers(0, 256, (batch, length, 64, 64, 3), dtype=np.uint8)),
        torch.from_numpy(rng.normal(0, 0.3, (batch, length, A)).astype(np.float32)),
        torch.from_numpy(rng.normal(0, 0.05, (batch, length - 1, K * A)).astype(np.float32)),
    )


def test_the_multi_step_loss_goes_as_far_as_it_is_told():
    model, (images, proprio, actions) = make(), clips(3, 5)
    z = model.encode(images.flatten(0, 1)).unflatten(0, (3, 5))
    joints, blocks = model.normalise_proprio(proprio), model.normalise_actions(actions)
    rolled, rolled_joints = model.unroll(z[:, :2], joints[:, :2], blocks[:, :1], blocks[:, 1:])

    def terms(unroll):
        torch.manual_seed(0)
        return jepa_loss(model, images, proprio, actions, LossConfig(unroll=unroll))[1]

    for unroll, blocks_ahead in ((0, 3), (2, 2), (9, 3)):
        error = (rolled[:, :blocks_ahead] - z[:, 2 : 2 + blocks_ahead]).pow(2).mean()
        torch.testing.assert_close(terms(unroll)["multi_step"], error)
    one_step = terms(1)
    assert "multi_step" not in one_step and one_step["one_step"] == terms(0)["one_step"]
    only_ahead = torch.stack(
        [model.predict(z[:, i : i + 2], joints[:, i : i + 2], blocks[:, i : i + 2])[1] for i in range(3)], 1
    )
    torch.testing.assert_close(one_step["proprio"], (only_ahead - joints[:, 2:]).pow(2).mean())
    with pytest.raises(JepaError, match="unroll is -1"):
        LossConfig(unroll=-1)


def test_without_proprioception_latents_are_predicted_from_pictures_and_actions_alone():
    model = make(proprioception=False)
    latents, proprio, past = context(model)
    actions = torch.randn(5, 4, K * A, generator=torch.Generator().manual_seed(2)) * 0.05
    z, q = model.rollout(latents, proprio, past, actions)
    elsewhere, moved = model.rollout(latents, proprio + 0.3, past, actions)
    assert torch.equal(z, elsewhere)
    torch.testing.assert_close(moved, q + 0.3)  # how joints change is predicted, from where they are
    assert not torch.allclose(
        *(make().rollout(latents, p, past, actions)[0] for p in (proprio, proprio + 0.3))
    )


def test_unknown_anti_collapse_is_refused():
    with pytest.raises(JepaError, match="known: sigreg, vicreg, ema"):
        LossConfig(anti_collapse="hope")


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_impossible_loss_weights_are_refused(weight):
    with pytest.raises(JepaError, match="joint_head is .* not negative"):
        LossConfig(joint_head=weight)
