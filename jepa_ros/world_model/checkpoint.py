"""Checkpoint directories: `model.safetensors`, `config.json`, `calibration.json`, `heads.safetensors`,
`baselines.safetensors`, `reference_view.png`.

Weights are read with safetensors: opening a stranger's checkpoint runs no code of theirs, and one that holds
code is refused.
"""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.world_model.calibration import CALIBRATION, Calibration
from jepa_ros.world_model.heads import Heads, HeadsConfig
from jepa_ros.world_model.heads_file import heads_metadata
from jepa_ros.world_model.model import ModelConfig, WorldModel
from jepa_ros.world_model.trust import (
    EXPORT,
    HEADS,
    WEIGHTS,
    file_sha256,
    heads_may_be_used,
    model_id_of,
    refuse_code,
    require_digest,
)

FORMAT = 1
CONFIG, BASELINES, REFERENCE_VIEW = "config.json", "baselines.safetensors", "reference_view.png"


@dataclass(frozen=True)
class Checkpoint:
    """A world model and what must be known to use it.

    model_id: the first 12 hex digits of the weights' sha256; it ties plans to the model that made them.
    goal_tolerance: latent distance (root mean square over D) that means "there", calibrated on held-out frames.
    reference_view: (h, w, 3) uint8 RGB, what the camera saw in training, or None.
    sha256: what it is pinned to, "" where it is not.
    """

    model: WorldModel
    config: dict
    model_id: str
    goal_tolerance: float
    reference_view: np.ndarray | None
    path: Path
    sha256: str = ""

    @property
    def spec(self) -> ActionSpec:
        """The contract of the robot that the model was trained for."""
        return self.model.spec

    @cached_property
    def calibration(self) -> Calibration | None:
        """What is normal for the model, read when first asked for; None where there is no calibration.json.

        JepaError where the file is damaged, or made for other weights or another width.
        """
        return load_calibration(self.path, self.model_id, self.model.latent_dim, self.spec.dim)

    @cached_property
    def heads(self) -> Heads | None:
        """The heads that may be used, read when first asked for, on the model's device; None where there are none, or
        the checkpoint is pinned and they are not.

        JepaError where the file is damaged, or made for other weights.
        """
        if not heads_may_be_used(self.path, self.sha256):
            return None
        require_digest(self.path, self.sha256)
        return load_heads(self.path, self.model_id, self.model).to(self.model.device)

    @cached_property
    def network(self) -> WorldModel:
        """The model in torch, where gradients pass through it: ``model``, or where another runtime computes that, the
        weights read again."""
        if isinstance(self.model, WorldModel):
            return self.model
        network = load_checkpoint(self.path, str(self.model.device), self.sha256).model
        network.futures = self.model.futures
        return network

    def require_heads(self, purpose: str) -> Heads:
        """``heads``; JepaError where there are none to be used, with what they were wanted for."""
        if self.heads is not None:
            return self.heads
        file = self.path / HEADS
        if file.is_file():
            raise JepaError(
                f"{purpose} needs heads: the pin is of the weights alone; pin {file} too, "
                "checkpoint_sha256:=WEIGHTS,HEADS"
            )
        raise JepaError(
            f"{purpose} needs heads, and there is no {file}; train them: "
            f"`jepa heads --bags DIR --checkpoint {self.path}`"
        )

    def require_slow_level(self, purpose: str) -> Heads:
        """``heads`` with a slow level; JepaError where there is none, with what it was wanted for."""
        heads = self.require_heads(purpose)
        if heads.slow is None:
            raise JepaError(
                f"{purpose} needs a slow level, and {self.path / HEADS} has none; train the heads again: "
                f"`jepa heads --bags DIR --checkpoint {self.path} --stride 5`"
            )
        return heads


def save_checkpoint(
    path: Path, model: WorldModel, config: dict, reference_view: np.ndarray | None = None
) -> None:
    """Write the directory; each file whole or not at all. ``config`` is kept beside model and ActionSpec.

    A calibration, heads, baselines and an export that lie there belong to the weights before, and are removed.
    """
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_tensors(path / WEIGHTS, tensors)
    for name in (CALIBRATION, HEADS, BASELINES, EXPORT):
        (path / name).unlink(missing_ok=True)
    if reference_view is not None:
        cv2.imwrite(str(path / REFERENCE_VIEW), cv2.cvtColor(reference_view, cv2.COLOR_RGB2BGR))
    content = {
        "format": FORMAT,
        "model": model.config.to_dict(),
        "action_spec": model.spec.to_dict(),
        **config,
    }
    write_whole(path / CONFIG, (json.dumps(content, indent=2) + "\n").encode())


def save_metrics(path: Path, metrics: dict) -> None:
    """Put what is known now into the config.json of the folder ``path``."""
    content = _read_json(path / CONFIG) | {"metrics": metrics}
    write_whole(path / CONFIG, (json.dumps(content, indent=2) + "\n").encode())


def halved(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Its state with the parameters as float16, 11 bits of every number, for networks whose last bits decide nothing; buffers
    stay as they are, and `load_weights` makes float32 of all."""
    weights = dict(module.named_parameters())
    return {
        name: (x.half() if name in weights else x).detach().cpu().contiguous()
        for name, x in module.state_dict().items()
    }


def save_tensors(
    path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write one safetensors file, whole or not at all; JepaError where it cannot be written."""
    partial = path.with_suffix(".partial")
    try:
        save_file(tensors, partial, metadata)
        os.replace(partial, path)
    except (SafetensorError, OSError) as error:
        raise JepaError(
            f"{path}: cannot be written ({_words(error)}); is there room, and may you write there?"
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old or the new content, never half of it."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def load_checkpoint(path: str | Path, device: str = "cpu", sha256: str = "") -> Checkpoint:
    """Read a checkpoint directory; JepaError names the file and what is wrong with it.

    sha256: of model.safetensors, and after a comma that of heads.safetensors, as pinned; "" takes any.
    """
    path = Path(path)
    if path.is_dir():
        refuse_code(path)
    for name in (CONFIG, WEIGHTS):
        if not (path / name).is_file():
            raise JepaError(
                f"checkpoint {path}: there is no {name}; give a directory that `jepa train --out` wrote"
            )
    require_digest(path, sha256)
    config = _read_json(path / CONFIG)
    try:
        spec = ActionSpec.from_dict(config["action_spec"])
        model = WorldModel(ModelConfig(**config["model"]), spec)
        tolerance = float(config["goal_tolerance"])
    except (KeyError, TypeError, ValueError, JepaError) as error:
        raise JepaError(
            f"checkpoint {path / CONFIG}: {_words(error)}; the file is not one `jepa train` wrote"
        ) from error
    load_weights(path / WEIGHTS, model)
    view = (
        cv2.imread(str(path / REFERENCE_VIEW), cv2.IMREAD_COLOR)
        if (path / REFERENCE_VIEW).is_file()
        else None
    )
    return Checkpoint(
        model.to(device).eval().requires_grad_(False),
        config,
        model_id_of(file_sha256(path / WEIGHTS)),
        tolerance,
        None if view is None else cv2.cvtColor(view, cv2.COLOR_BGR2RGB),
        path,
        sha256,
    )


def save_calibration(path: Path, calibration: Calibration) -> None:
    """Write calibration.json beside the weights in ``path``, tied to them by their model_id."""
    content = {
        "format": FORMAT,
        "model_id": model_id_of(file_sha256(path / WEIGHTS)),
        **calibration.to_dict(),
    }
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
    write_whole(path / CALIBRATION, f"{{\n{lines}\n}}\n".encode())


def load_calibration(path: Path, model_id: str, latent_dim: int, joints: int) -> Calibration | None:
    """calibration.json of the folder ``path``, None where there is none; JepaError where it does not fit latents of
    ``latent_dim`` numbers or an arm of so many ``joints``."""
    file, again = path / CALIBRATION, "make it again: `jepa calibrate`"
    if not file.is_file():
        return None
    content = _read_json(file)
    if content.get("model_id") != model_id:
        raise JepaError(
            f"checkpoint {file}: made for model {content.get('model_id')}, this is {model_id}; {again}"
        )
    try:
        calibration = Calibration.from_dict(content)
        calibration.require_joints(joints)
    except JepaError as error:
        raise JepaError(f"checkpoint {file}: {error}; {again}") from error
    if calibration.latent_dim != latent_dim:
        raise JepaError(
            f"checkpoint {file}: {calibration.latent_dim} wide for latents of {latent_dim}; {again}"
        )
    return calibration


def save_heads(path: Path, heads: Heads, training: dict | None = None) -> None:
    """Write heads.safetensors beside the weights in ``path``, in half precision, tied to them by their model_id; its metadata
    hold the architecture, and how they were trained."""
    content = {
        "format": str(FORMAT),
        "model_id": model_id_of(file_sha256(path / WEIGHTS)),
        "heads": json.dumps(heads.config.to_dict()),
        "training": json.dumps(training or {}),
    }
    save_tensors(path / HEADS, halved(heads), content)


def load_heads(path: Path, model_id: str, model: WorldModel) -> Heads:
    """heads.safetensors of the folder ``path``, for ``model``; JepaError where it is damaged or does not fit."""
    file, again, metadata = path / HEADS, "train them again: `jepa heads`", heads_metadata(path)
    if metadata.get("model_id") != model_id:
        raise JepaError(
            f"checkpoint {file}: made for model {metadata.get('model_id')}, this is {model_id}; {again}"
        )
    try:
        heads = Heads(
            HeadsConfig(**json.loads(metadata["heads"])), model.latent_dim, model.context, model.spec
        )
    except (KeyError, TypeError, ValueError, JepaError) as error:
        raise JepaError(f"checkpoint {file}: {_words(error)}; {again}") from error
    load_weights(file, heads, "its own header")
    return heads.eval().requires_grad_(False)


def load_weights(path: Path, module: torch.nn.Module, described: str = CONFIG) -> None:
    """Fill ``module`` from a safetensors file of exactly its tensors, all finite; JepaError otherwise.

    described: what says which tensors those are.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise JepaError(
            f"checkpoint {path}: not a readable safetensors file ({_words(error)}); copy or train it again"
        ) from error
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise JepaError(
            f"checkpoint {path}: its tensors are not those that {described} describes: {_words(error)}; copy or train it "
            "again"
        ) from error
    broken = [
        name for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()
    ]
    if broken:
        raise JepaError(
            f"checkpoint {path}: NaN or Inf in {', '.join(broken)}; the training diverged, train it again"
        )


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise JepaError(f"checkpoint {path}: not readable JSON ({_words(error)})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        raise JepaError(
            f"checkpoint {path}: format is {found!r}, this version reads {FORMAT}; train it again"
        )
    return content


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
