"""Loading a checkpoint in the nodes that compute with it."""

from dataclasses import replace
from pathlib import Path

import torch

from jepa_ros.errors import JepaError
from jepa_ros.export.runtime import OnnxModel
from jepa_ros.export.verify import TOLERANCE, deviations, random_images, require_equal
from jepa_ros.nodes.base.parameters import Param
from jepa_ros.nodes.base.pin import CHECKPOINT_SHA256
from jepa_ros.nodes.base.robot import robot_spec
from jepa_ros.world_model.checkpoint import Checkpoint, load_checkpoint
from jepa_ros.world_model.device import require_device

CHECKPOINT = Param("checkpoint", "", "Checkpoint directory (config.json, model.safetensors).")
MODEL_PARAMS = (
    CHECKPOINT,
    CHECKPOINT_SHA256,
    Param("device", "cpu", "Where the model computes: cpu, cuda, cuda:0."),
    Param(
        "torch_threads",
        1,
        "Threads of torch in this process. More than the free cores makes it many times slower.",
        1,
        256,
    ),
    Param(
        "runtime",
        "torch",
        "What computes the model: torch, or onnx (ONNX Runtime on the CPU, with torch_threads threads) from a folder "
        "that `jepa export` wrote.",
        choices=("torch", "onnx"),
    ),
    Param("onnx", "", "That folder, for runtime onnx; empty: the folder `onnx` inside the checkpoint's."),
)


def load(node, path: str | None = None) -> Checkpoint:
    """The checkpoint that a node's parameters name, checked against its `robot.*`; JepaError says what is
    wrong."""
    torch.set_num_threads(node.param("torch_threads"))
    path = path or node.param("checkpoint")
    if not path:
        raise JepaError(
            "the parameter checkpoint is empty; set it to a directory that `jepa train --out` wrote"
        )
    device = str(require_device(node.param("device")))
    checkpoint = load_checkpoint(path, device, node.param("checkpoint_sha256"))
    checkpoint.spec.require_match(robot_spec(node), f"checkpoint {path}", f"robot of node {node.get_name()}")
    if node.param("runtime") == "torch":
        return checkpoint
    if device != "cpu":
        raise JepaError(
            f"runtime is onnx and device {device!r}: the nodes run ONNX on the cpu; change one of them"
        )
    folder = node.param("onnx") or Path(path) / "onnx"
    return replace(checkpoint, model=_exported(checkpoint, folder, node.param("torch_threads")))


def _exported(checkpoint: Checkpoint, folder: str | Path, threads: int) -> OnnxModel:
    """The export in ``folder``, for the checkpoint's model: of the same weights, and compared with it here and now, so
    that a pinned checkpoint pins what its export computes."""
    exported = OnnxModel(folder, threads)
    if exported.model_id != checkpoint.model_id:
        raise JepaError(
            f"export {folder}: of checkpoint {exported.model_id}, in use is {checkpoint.model_id}; make it again: "
            f"`jepa export --checkpoint {checkpoint.path}`"
        )
    exported.spec.require_match(checkpoint.spec, f"export {folder}", f"checkpoint {checkpoint.path}")
    images = random_images(checkpoint.model.image_size)
    found = deviations(checkpoint.model, exported, images, samples=(64,))
    require_equal(found, TOLERANCE, f"export {folder}")
    return exported
