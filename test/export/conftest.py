"""A small random checkpoint with statistics of its own, and its export."""

import pytest


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A checkpoint: 2 joints, 3 context frames, 32x16 images, every normalisation different from 0 and 1."""
    import torch

    from jepa_ros.data.action_spec import ActionSpec
    from jepa_ros.world_model.checkpoint import load_checkpoint, save_checkpoint
    from jepa_ros.world_model.model import ModelConfig, WorldModel

    spec = ActionSpec(
        ("a", "b"),
        (-0.1, -0.2),
        (0.1, 0.2),
        (-1.0,) * 2,
        (1.0, 0.5),
        block=2,
        mean=(0.01, -0.02),
        std=(0.05, 0.04),
    )
    torch.manual_seed(0)
    config = ModelConfig(image_size=(32, 16), latent_dim=8, context=3, predictor_width=16)
    model = WorldModel(config, spec)
    model.proprio_mean.copy_(torch.tensor([0.5, -0.5]))
    model.proprio_std.copy_(torch.tensor([0.3, 0.7]))
    folder = tmp_path_factory.mktemp("small")
    save_checkpoint(folder, model, {"goal_tolerance": 0.2})
    return load_checkpoint(folder)


@pytest.fixture(scope="session")
def small_export(small, tmp_path_factory):
    """Its folder, which was there and empty, with a rollout of 4 blocks."""
    from jepa_ros.export.writer import export_checkpoint

    out = tmp_path_factory.mktemp("export")
    export_checkpoint(small, out, horizon=4)
    return out
