"""What computes a checkpoint's model: torch, ONNX Runtime on the CPU, or recorded CUDA graphs on a GPU."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from jepa_ros.errors import JepaError
from jepa_ros.export.runtime import OnnxModel
from jepa_ros.export.runtimes import NO_CODES, RUNTIMES
from jepa_ros.export.verify import TOLERANCE, deviations, random_images, require_equal
from jepa_ros.world_model.checkpoint import Checkpoint


def with_runtime(
    checkpoint: Checkpoint,
    runtime: str = "auto",
    folder: str | Path = "",
    threads: int = 1,
    say: Callable[[str], None] = print,
    pinned: bool = False,
) -> Checkpoint:
    """The checkpoint, its ``model`` computed by ``runtime``; ``model.runtime`` names the one in use.

    runtime: of RUNTIMES. "auto" is ONNX Runtime for a model on the CPU, and torch where that cannot be: ``say`` is called
    with a line that tells why.  folder: of the export, "" is the checkpoint's own.  threads: of ONNX Runtime.
    pinned: the checkpoint is by its sha256, which its export is not: "auto" is torch then.  JepaError where "onnx" cannot be.
    """
    if runtime not in RUNTIMES:
        raise JepaError(f"runtime is {runtime!r}; choose one of {', '.join(RUNTIMES)}")
    device = checkpoint.model.device
    if checkpoint.model.codes and runtime != "torch":
        if runtime == "onnx":
            raise JepaError(f"runtime is onnx: {NO_CODES.format(checkpoint.path)}")
        say(f"runtime: {NO_CODES.format(checkpoint.path)}")
        return checkpoint
    if runtime == "auto" and pinned:
        say(
            "runtime: torch computes: the checkpoint is pinned and its export is not; runtime onnx takes it all the same"
        )
        return checkpoint
    if runtime == "torch" or (runtime == "auto" and device.type != "cpu"):
        return checkpoint
    if device.type != "cpu":
        raise JepaError(
            f"runtime is onnx and device {str(device)!r}: ONNX runs on the cpu here; change one of them"
        )
    try:
        return replace(checkpoint, model=_exported(checkpoint, folder or checkpoint.path, threads))
    except JepaError as error:
        if runtime == "onnx":
            raise
        say(f"runtime: torch computes, ONNX Runtime would be about twice as fast: {error}")
        return checkpoint


def _exported(checkpoint: Checkpoint, folder: str | Path, threads: int) -> OnnxModel:
    """The export in ``folder``, for the checkpoint's model: of the same weights, and compared with it here and now on
    pictures that nobody foresees. That finds what is stale or broken, not what was made to deceive."""
    exported = OnnxModel(folder, threads)
    if exported.model_id != checkpoint.model_id:
        raise JepaError(
            f"export {folder}: of checkpoint {exported.model_id}, in use is {checkpoint.model_id}; make it again: "
            f"`jepa export --checkpoint {checkpoint.path}`"
        )
    exported.spec.require_match(checkpoint.spec, f"export {folder}", f"checkpoint {checkpoint.path}")
    images = random_images(checkpoint.model.image_size, seed=None)
    found = deviations(checkpoint.model, exported, images, samples=(64,))
    require_equal(found, TOLERANCE, f"export {folder}")
    return exported
