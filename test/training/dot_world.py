"""The smallest world with something to see, and settings to train on it in a second."""

import json

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.episodes import Episode
from jepa_ros.training.config import TrainingConfig
from jepa_ros.world_model.model import ModelConfig

SPEC = ActionSpec(
    joint_names=("x", "y"),
    lower=(-0.1,) * 2,
    upper=(0.1,) * 2,
    position_lower=(-1.0,) * 2,
    position_upper=(1.0,) * 2,
    block=2,
)
SMALL = ModelConfig(latent_dim=8, image_size=(16, 16), predictor_width=32)
DATA = {"digest": "abc", "episodes": 12}


def dot_world(seed: int, frames: int = 30) -> Episode:
    """A bright blob whose place is the joint position: the smallest world with something to see."""
    rng = np.random.default_rng(seed)
    actions = rng.uniform(-0.1, 0.1, (frames, 2)).astype(np.float32)
    joints = np.clip(
        rng.uniform(-0.5, 0.5, 2) + np.cumsum(np.vstack([np.zeros((1, 2)), actions[:-1]]), 0), -0.9, 0.9
    )
    rows, columns = np.mgrid[-1:1:16j, -1:1:16j]
    distance = (columns - joints[:, 0, None, None]) ** 2 + (rows - joints[:, 1, None, None]) ** 2
    images = np.repeat((255 * np.exp(-8 * distance)).astype(np.uint8)[..., None], 3, axis=-1)
    return Episode(
        images=images,
        joint_positions=joints.astype(np.float32),
        actions=actions,
        stamps=np.arange(frames) / 10.0,
        source=f"dot_{seed}",
        metadata={},
    )


EPISODES = [dot_world(seed) for seed in range(12)]


def config(**kwargs) -> TrainingConfig:
    return TrainingConfig(
        **(
            {
                "steps": 6,
                "batch": 8,
                "clip": 4,
                "warmup": 2,
                "log_every": 2,
                "save_every": 3,
                "baseline_steps": 0,
                "head_steps": 0,
                "threads": 1,
                "model": SMALL,
                "validation": 0.2,
            }
            | kwargs
        )
    )


def logged(folder) -> list[dict]:
    """The rows of a run, without how fast it went."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("images_per_second", "data_share")} for row in rows]
