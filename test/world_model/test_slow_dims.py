"""Slow dimensions of the latent: the terms of the loss, and what is refused."""

import numpy as np
import pytest
import torch

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.training.config import TrainingConfig
from jepa_ros.world_model.losses import LossConfig, jepa_loss
from jepa_ros.world_model.model import ModelConfig, WorldModel

SPEC = ActionSpec(("slide",), (-1.0,), (1.0,), (-10.0,), (10.0,), block=1)
SIZE = 32


def clips(rng, count=48, length=5):
    """A broad bar that its action moves, and a dot of 3x3 pixels that stays; images, bar's place, actions."""
    actions = rng.uniform(-1, 1, (count, length - 1, 1)).astype(np.float32)
    bar = np.concatenate([np.zeros((count, 1, 1)), actions.cumsum(1)], 1) + rng.uniform(-2, 2, (count, 1, 1))
    dot = rng.integers(0, SIZE - 3, (count, 2))
    images = np.zeros((count, length, SIZE, SIZE, 3), np.uint8)
    for i in range(count):
        for j in range(length):
            left = int(np.clip(12 + 2 * bar[i, j, 0], 0, SIZE - 8))
            images[i, j, :, left : left + 8, 0] = 255
            images[i, j, dot[i, 0] : dot[i, 0] + 3, dot[i, 1] : dot[i, 1] + 3] = (0, 200, 255)
    return torch.from_numpy(images), torch.from_numpy(bar.astype(np.float32)), torch.from_numpy(actions)


def test_the_terms_are_told_and_a_still_clip_is_not_slow_enough_to_matter():
    torch.manual_seed(0)
    images, bar, actions = clips(np.random.default_rng(1), 4)
    model = WorldModel(ModelConfig(image_size=(SIZE, SIZE), latent_dim=8), SPEC)
    still = images[:, :1].expand_as(images)
    _, terms, _ = jepa_loss(model, still, bar, actions, LossConfig(slow_dims=2))
    assert terms["slow"] == pytest.approx(0, abs=1e-9) and terms["slow_regulariser"] > 0
    _, moving, _ = jepa_loss(model, images, bar, actions, LossConfig(slow_dims=2))
    assert moving["slow"] > 1e-6
    assert "slow" not in jepa_loss(model, images, bar, actions, LossConfig())[1]


def test_impossible_numbers_are_refused():
    with pytest.raises(JepaError, match="slow_dims is -1"):
        LossConfig(slow_dims=-1)
    with pytest.raises(JepaError, match="slow_dims is 9; the latent has 8"):
        TrainingConfig(model=ModelConfig(latent_dim=8), loss=LossConfig(slow_dims=9))
