"""Settings of a training run."""

import math
from dataclasses import asdict, dataclass, field

import torch

from jepa_ros.errors import JepaError
from jepa_ros.training.selection import Selection
from jepa_ros.world_model.device import require_device
from jepa_ros.world_model.losses import LossConfig
from jepa_ros.world_model.model import ModelConfig

AUGMENTATIONS = ("none", "views")


@dataclass(frozen=True)
class TrainingConfig:
    """One run: ``steps`` optimiser steps over batches of ``batch`` clips of ``clip`` frames.

    precision: float32 or bfloat16, the dtype of the encoder's arithmetic in training (weights stay float32).
    baseline_steps: steps for the baselines' networks afterwards; 0 leaves them out.  head_steps: for the heads on the
    finished model's latents, likewise.  objects: see HeadTraining.
    validation: the share of motions held out.
    augmentation: "none", or "views": every clip as it was recorded, and once more from another scene of the same motion
    where there is one, augmented (augmentation.py); ``batch`` counts both, so that a step costs the same.
    mixture: weights of the shares that clips are drawn from (data/mixture.py); empty draws all alike.
    selection: what the weights that become the checkpoint are chosen by: the world model's by its tasks that need no heads, the
    heads' by all of them.  head_select_every: steps from one candidate of the heads to the next.
    preset: the name of the one that the settings began as, "" for none.
    """

    steps: int = 3000
    batch: int = 96
    clip: int = 6
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-3
    warmup: int = 200
    seed: int = 0
    precision: str = "float32"
    device: str = "cpu"
    threads: int = 2
    validation: float = 0.04
    augmentation: str = "none"
    log_every: int = 50
    save_every: int = 500
    baseline_steps: int = 2000
    head_steps: int = 3000
    objects: int = 6
    mixture: dict[str, float] = field(default_factory=dict)
    selection: Selection = field(default_factory=Selection)
    head_select_every: int = 1000
    preset: str = ""
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self):
        require_device(self.device)
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise JepaError(f"training learning_rate is {self.learning_rate}; it must be positive")
        for name in ("seed", "baseline_steps", "head_steps", "objects"):
            if getattr(self, name) < 0:
                raise JepaError(f"training {name} is {getattr(self, name)}; it must not be negative")
        if self.augmentation not in AUGMENTATIONS:
            raise JepaError(f"unknown augmentation {self.augmentation!r}; known: {', '.join(AUGMENTATIONS)}")
        if self.precision not in ("float32", "bfloat16"):
            raise JepaError(f"unknown precision {self.precision!r}; known: float32, bfloat16")
        if self.augmentation == "views" and self.batch < 2:
            raise JepaError("training batch is 1; two views of a clip need at least 2")
        for name in ("steps", "batch", "threads", "log_every", "save_every", "head_select_every"):
            if getattr(self, name) < 1:
                raise JepaError(f"training {name} is {getattr(self, name)}; it must be at least 1")
        if self.loss.slow_dims > self.model.latent_dim:
            raise JepaError(
                f"slow_dims is {self.loss.slow_dims}; the latent has {self.model.latent_dim} dimensions in all"
            )
        if self.clip <= self.model.context:
            raise JepaError(
                f"clip is {self.clip} frames; it must be longer than the context of {self.model.context}"
            )

    @property
    def autocast(self) -> torch.dtype | None:
        """The dtype for torch.autocast, None for plain float32."""
        return torch.bfloat16 if self.precision == "bfloat16" else None

    def to_dict(self) -> dict:
        """A JSON-serialisable dict."""
        return asdict(self) | {"model": self.model.to_dict()}
