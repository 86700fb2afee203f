import numpy as np
import pytest
import torch

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.dataset import ClipDataset
from jepa_ros.data.episodes import Episode
from jepa_ros.training.calibration import calibrate, surprise
from jepa_ros.training.validation import encode_frames
from jepa_ros.world_model.model import ModelConfig, WorldModel

SPEC = ActionSpec(("x", "y"), (-0.1,) * 2, (0.1,) * 2, (-1.0,) * 2, (1.0,) * 2, block=2)


def episode(seed: int, frames: int = 20) -> Episode:
    """Smooth pictures that drift, with actions and joints that mean nothing."""
    rng = np.random.default_rng(seed)
    waves = np.cumsum(rng.normal(0, 0.3, (frames, 3)), 0) + rng.uniform(0, 6, 3)
    rows, columns = np.mgrid[0:3:16j, 0:3:16j]
    pixels = np.sin(rows[None, ..., None] + waves[:, None, None]) * np.cos(
        columns[None, ..., None] - waves[:, None, None]
    )
    actions = rng.uniform(-0.1, 0.1, (frames, 2)).astype(np.float32)
    return Episode(
        (127 + 120 * pixels).astype(np.uint8), np.cumsum(actions, 0), actions, np.arange(frames) / 10
    )


@pytest.fixture
def model():
    torch.manual_seed(0)
    return WorldModel(
        ModelConfig(latent_dim=6, image_size=(16, 16), predictor_width=16, context=3), SPEC
    ).eval()


def test_clips_can_be_shortened_to_every_start_of_the_same_episodes():
    clips = ClipDataset([episode(0), episode(1, frames=12)], SPEC, length=5).shortened(3)
    np.testing.assert_array_equal(clips.starts, [*range(16), *range(20, 28)])
    images, proprio, actions = clips[17]
    assert images.shape == (3, 16, 16, 3) and actions.shape == (2, 4)
    np.testing.assert_array_equal(proprio, episode(1, frames=12).joint_positions[[1, 3, 5]])


def test_surprise_of_a_model_that_predicts_no_change_is_the_change(model):
    with torch.no_grad():
        model.predictor.out[1].weight.zero_()
        model.predictor.out[1].bias.zero_()
    clips = ClipDataset([episode(0), episode(1)], SPEC, length=4)
    latents = encode_frames(model, clips.images)
    found = surprise(model, latents, clips, batch=5)
    last = np.concatenate(
        [np.arange(6, 20), np.arange(26, 40)]
    )  # context 3, blocks of 2: the seventh frame on
    z = latents.numpy()
    np.testing.assert_allclose(found, np.sqrt(np.mean((z[last] - z[last - 2]) ** 2, -1)), rtol=1e-5)


def test_surprise_depends_on_the_actions_between(model):
    clips = ClipDataset([episode(0)], SPEC, length=4)
    latents = encode_frames(model, clips.images)
    before = surprise(model, latents, clips)
    clips.actions[:] = -clips.actions
    assert np.abs(surprise(model, latents, clips) - before).max() > 1e-4


def test_calibration_tells_pictures_like_those_of_training_from_others(model):
    train = ClipDataset([episode(seed) for seed in range(40)], SPEC, length=4)
    held_out = ClipDataset([episode(seed) for seed in range(40, 50)], SPEC, length=4)
    found = calibrate(model, train, held_out, "sha256:00", frames=500)
    latents = encode_frames(model, held_out.images).numpy()
    scores = found.ood_score(latents)
    assert found.frames == 500 and 1 < found.effective_rank <= 6
    assert found.ood_quantiles["0.95"] == pytest.approx(np.quantile(scores, 0.95))
    assert 0.5 < np.median(scores) < 1.5
    darker = encode_frames(model, held_out.images // 4).numpy()
    assert np.median(found.ood_score(darker)) > found.ood_quantiles["0.999"]
    arm, joints = found.joint_readout, held_out.proprio
    assert arm.quantiles["0.95"] == pytest.approx(np.quantile(arm.error(latents, joints), 0.95))
    known = arm.error(encode_frames(model, train.images).numpy(), train.proprio)
    assert np.sqrt(np.mean(known**2)) == pytest.approx(1, rel=0.1)
    assert (
        0
        < found.surprise_quantiles["0.5"]
        < found.surprise_quantiles["0.99"]
        < found.surprise_quantiles["0.999"]
    )


def test_surprise_is_measured_by_the_futures_that_a_rollout_imagines(tmp_path):
    """An outcome that the prior never draws is a surprise, though a code of its own predicts it."""
    torch.manual_seed(0)
    config = ModelConfig(latent_dim=6, image_size=(16, 16), predictor_width=16, context=3, codes=4)
    model = WorldModel(config, SPEC).eval()
    with torch.no_grad():
        model.prior.network[-1].weight.zero_()
        model.prior.network[-1].bias.copy_(torch.tensor([0.0, -20.0, -20.0, -20.0]))  # code 0 alone
    clips = ClipDataset([episode(0)], SPEC, length=4)
    latents = encode_frames(model, clips.images)
    found = surprise(model, latents, clips)
    starts = clips.shortened(4).starts[:, None]
    frames, blocks = starts + np.arange(0, 8, 2), starts + np.arange(6)
    futures = []
    for frame, block in zip(frames, blocks, strict=True):
        seen, joints = latents[frame[:3]], torch.from_numpy(clips.proprio[frame[:3]])
        done = torch.from_numpy(clips.actions[block]).reshape(3, -1)
        imagined, _ = model.rollout(seen, joints, done[:2], done[None, 2:])
        futures.append((imagined[:, 0, 0] - latents[frame[3]]).pow(2).mean(-1).sqrt().min())
    np.testing.assert_allclose(found, futures, rtol=1e-4)
