"""Lets tests import the benchmarks as they import one another; a small checkpoint for them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory):
    """The folder `checkpoint` of a random model of the simulated arm, with heads, not exported."""
    import torch

    from jepa_ros.data.collect import arm_spec
    from jepa_ros.world_model.checkpoint import save_checkpoint, save_heads
    from jepa_ros.world_model.heads import Heads, HeadsConfig
    from jepa_ros.world_model.model import ModelConfig, WorldModel

    torch.manual_seed(0)
    folder, spec = tmp_path_factory.mktemp("benchmarks") / "checkpoint", arm_spec()
    config = ModelConfig(image_size=(32, 32), latent_dim=8, predictor_width=16, predictor_depth=1)
    save_checkpoint(folder, WorldModel(config, spec), {"goal_tolerance": 0.05})
    heads = HeadsConfig(width=16, policy_width=16, depth=1)
    save_heads(folder, Heads(heads, config.latent_dim, config.context, spec))
    return folder
