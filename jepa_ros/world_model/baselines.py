"""The networks of the baselines that `jepa evaluate` stands beside the planner, trained on the same bags.

Both use the world model's encoder architecture with weights of their own, so that they differ from it in what they
learn, not in how well they see.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.world_model.checkpoint import BASELINES, halved, load_checkpoint, load_weights, save_tensors
from jepa_ros.world_model.encoders import build_encoder
from jepa_ros.world_model.model import ModelConfig


class Baselines(nn.Module):
    """A joint decoder (image -> joint positions) and a goal-conditioned behaviour-cloning policy."""

    def __init__(self, config: ModelConfig, spec: ActionSpec, width: int = 256):
        super().__init__()
        self.config, self.spec = config, spec
        self.decoder_encoder = build_encoder(config.encoder, config.image_size, width)
        self.decoder = nn.Sequential(nn.SiLU(), nn.Linear(width, spec.dim))
        self.policy_encoder = build_encoder(config.encoder, config.image_size, width)
        self.policy = nn.Sequential(
            nn.Linear(2 * width + spec.dim, 2 * width),
            nn.SiLU(),
            nn.Linear(2 * width, width),
            nn.SiLU(),
            nn.Linear(width, spec.block_dim),
        )
        self.register_buffer("proprio_mean", torch.zeros(spec.dim))
        self.register_buffer("proprio_std", torch.ones(spec.dim))

    def decode(self, images: Tensor) -> Tensor:
        """(B, h, w, 3) uint8 -> z-scored joint positions (B, A)."""
        return self.decoder(self.decoder_encoder(images))

    def act(self, images: Tensor, goals: Tensor, proprio: Tensor) -> Tensor:
        """Frames and goal frames (B, h, w, 3) uint8, proprio (B, A) rad -> z-scored block (B, KA)."""
        codes = self.policy_encoder(torch.cat([images, goals]))
        joints = (proprio - self.proprio_mean) / self.proprio_std
        return self.policy(torch.cat([codes[: len(images)], codes[len(images) :], joints], dim=1))

    @torch.inference_mode()
    def joints_from_image(self, image: np.ndarray) -> np.ndarray:
        """(h, w, 3) uint8 RGB -> joint positions (A,) rad."""
        z = self.decode(torch.from_numpy(np.ascontiguousarray(image))[None])[0]
        return (z * self.proprio_std + self.proprio_mean).numpy().astype(np.float64)

    @torch.inference_mode()
    def policy_block(self, image: np.ndarray, goal: np.ndarray, proprio: np.ndarray) -> np.ndarray:
        """Two (h, w, 3) uint8 RGB images and joint positions (A,) rad -> raw actions (K, A) rad."""
        frames = [torch.from_numpy(np.ascontiguousarray(x))[None] for x in (image, goal)]
        z = self.act(*frames, torch.as_tensor(proprio, dtype=torch.float32)[None])[0]
        actions = z.numpy().reshape(self.spec.block, self.spec.dim) * np.array(self.spec.std) + np.array(
            self.spec.mean
        )
        return np.clip(actions, self.spec.lower, self.spec.upper)


def save_baselines(path: Path, baselines: Baselines) -> None:
    """Write ``baselines.safetensors`` into a checkpoint directory, in half precision."""
    save_tensors(Path(path) / BASELINES, halved(baselines))


def load_baselines(path: str | Path) -> Baselines:
    """Read the baselines beside a checkpoint; JepaError where there are none or they are damaged."""
    path = Path(path)
    if not (path / BASELINES).is_file():
        raise JepaError(
            f"checkpoint {path}: there is no {BASELINES}; `jepa train --baseline-steps N` makes it"
        )
    checkpoint = load_checkpoint(path)
    baselines = Baselines(checkpoint.model.config, checkpoint.spec)
    load_weights(path / BASELINES, baselines)
    return baselines.eval().requires_grad_(False)
