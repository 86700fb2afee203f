"""A checkpoint to ONNX files and export.json; what differs from torch is never left behind."""

import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from jepa_ros.costs.energy import DEFAULT_WEIGHTS, PLAIN_TERMS
from jepa_ros.errors import JepaError
from jepa_ros.export import graphs
from jepa_ros.export.runtime import FORMAT, MANIFEST, PREFIX, OnnxModel, import_onnxruntime
from jepa_ros.export.runtimes import NO_CODES
from jepa_ros.export.verify import TOLERANCE, deviations, random_images, rendered_images, require_equal
from jepa_ros.planning.protocols import REDUCTIONS
from jepa_ros.world_model.checkpoint import Checkpoint
from jepa_ros.world_model.trust import WEIGHTS, file_sha256

OPSET = 18
HORIZON = 5


def export_checkpoint(
    checkpoint: Checkpoint, out: Path | None = None, horizon: int = HORIZON, tolerance: float = TOLERANCE
) -> dict:
    """Write encoder, predictor, rollout and costs to the folder ``out`` and return export.json's content.

    out: None is the checkpoint's own folder, where the graphs read their weights from model.safetensors: small files,
    in place of those of an earlier export.  horizon: H of the rollout graph, blocks; the number of candidates S stays
    free. Files appear after ONNX Runtime gave torch's numbers within the tolerance on random and on rendered images;
    JepaError otherwise, where ``out`` holds something already, and where it cannot be written.
    """
    onnx = _import_onnx()
    if checkpoint.model.codes:
        raise JepaError(NO_CODES.format(checkpoint.path))
    if horizon < 1:
        raise JepaError(f"horizon is {horizon}; a rollout needs at least 1 block")
    if not 0 < tolerance < float("inf"):
        raise JepaError(f"tolerance is {tolerance}; give a positive number, such as {TOLERANCE:g}")
    if out is None:
        return _export_beside(onnx, checkpoint, horizon, tolerance)
    out = Path(out)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise JepaError(f"{out}: exists already; remove it, or give another --out")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as workplace:
            folder = Path(workplace) / "export"
            folder.mkdir()
            manifest = _write(onnx, checkpoint, folder, horizon)
            _verify(checkpoint, folder, manifest, tolerance)
            os.replace(folder, out)
    except OSError as error:
        raise JepaError(f"{out}: cannot be written ({error.strerror}); give another --out") from error
    return manifest


def _export_beside(onnx, checkpoint: Checkpoint, horizon: int, tolerance: float) -> dict:
    home = checkpoint.path
    try:
        with tempfile.TemporaryDirectory(prefix=".export.", dir=home) as workplace:
            folder = Path(workplace)
            shutil.copyfile(home / WEIGHTS, folder / WEIGHTS)
            manifest = _write(onnx, checkpoint, folder, horizon, tensor_places(folder / WEIGHTS))
            _verify(checkpoint, folder, manifest, tolerance)
            (home / MANIFEST).unlink(missing_ok=True)  # half of two exports is none
            for entry in manifest["files"].values():
                os.replace(folder / entry["file"], home / entry["file"])
            os.replace(folder / MANIFEST, home / MANIFEST)
    except OSError as error:
        raise JepaError(f"{home}: cannot be written ({error.strerror}); give --out") from error
    return manifest


def tensor_places(path: Path) -> dict[bytes, tuple[int, int]]:
    """Of a safetensors file: the bytes of every tensor of more than a hundred -> (offset, length) in the file."""
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    spans = [
        [begin + end for end in entry["data_offsets"]]
        for name, entry in json.loads(content[8:begin]).items()
        if name != "__metadata__"
    ]
    return {content[a:b]: (a, b - a) for a, b in spans if b - a > 100}


def model_facts(checkpoint: Checkpoint, horizon: int) -> dict:
    """What every ONNX file says of its model, JSON-serialisable: the contract of the robot, normalisation, sizes, the
    default energy."""
    model, spec = checkpoint.model, checkpoint.spec
    return {
        "format": FORMAT,
        "model_id": checkpoint.model_id,
        "checkpoint_sha256": file_sha256(checkpoint.path / WEIGHTS),
        "action_spec": spec.to_dict(),
        "image_size": list(model.image_size),
        "latent_dim": model.latent_dim,
        "context": model.context,
        "horizon": horizon,
        "goal_tolerance": checkpoint.goal_tolerance,
        "weights": {name: float(DEFAULT_WEIGHTS.get(name, 0.0)) for name in PLAIN_TERMS},
        "reductions": list(REDUCTIONS),
        "normalisation": {
            "where": "inside the graphs: inputs and outputs are uint8 pixels and rad",
            "pixels": "x / 127.5 - 1",
            "proprio_mean": model.proprio_mean.tolist(),
            "proprio_std": model.proprio_std.tolist(),
            "action_mean": list(spec.mean),
            "action_std": list(spec.std),
        },
    }


def _write(
    onnx,
    checkpoint: Checkpoint,
    folder: Path,
    horizon: int,
    weights: Mapping[bytes, tuple[int, int]] | None = None,
) -> dict:
    """weights: where in the WEIGHTS of ``folder`` tensors are that the graphs leave there."""
    facts = model_facts(checkpoint, horizon)
    files = {}
    for name, arguments in traces(checkpoint, horizon).items():
        proto = trace(*arguments)
        del proto.metadata_props[:]
        for key, value in {"graph": name, **facts}.items():
            proto.metadata_props.add(key=PREFIX + key, value=json.dumps(value))
        shared = _leave_outside(onnx, proto, weights or {})
        content = proto.SerializeToString()
        (folder / f"{name}.onnx").write_bytes(content)
        onnx.checker.check_model(folder / f"{name}.onnx")
        files[name] = {
            "file": f"{name}.onnx",
            "bytes": len(content),
            "sha256": sha256(content).hexdigest(),
            "ir_version": proto.ir_version,
            "inputs": _shapes(onnx, proto.graph.input),
            "outputs": _shapes(onnx, proto.graph.output),
        } | ({"weights": WEIGHTS} if shared else {})
    manifest = {"format": FORMAT, "opset": OPSET, "model": facts, "files": files}
    _save(folder, manifest)
    return manifest


def _leave_outside(onnx, proto, weights: Mapping[bytes, tuple[int, int]]) -> int:
    """Let the graph read from WEIGHTS what is there as well; returns how many tensors that are."""
    shared = 0
    for initializer in proto.graph.initializer:
        place = weights.get(onnx.numpy_helper.to_array(initializer).tobytes())
        if place is None:
            continue
        initializer.ClearField("raw_data")
        initializer.ClearField("float_data")
        initializer.data_location = onnx.TensorProto.EXTERNAL
        for key, value in zip(("location", "offset", "length"), (WEIGHTS, *place), strict=True):
            initializer.external_data.add(key=key, value=str(value))
        shared += 1
    return shared


def _verify(checkpoint: Checkpoint, folder: Path, manifest: dict, tolerance: float) -> None:
    model = checkpoint.model
    images = {"random": random_images(model.image_size)}
    if checkpoint.reference_view is not None:
        from jepa_ros.data.images import resize

        images["reference_view"] = resize(checkpoint.reference_view, model.image_size)[None]
    try:
        images["rendered"] = rendered_images(model.image_size)
    except JepaError:  # no graphics here: said by its absence in export.json
        pass
    found = deviations(model, OnnxModel(folder), np.concatenate(list(images.values())))
    require_equal(found, tolerance, f"export of {checkpoint.path}")
    manifest["verified"] = {
        "measure": "greatest |onnx - torch| / max(1, |torch|)",
        "tolerance": tolerance,
        "reached": found,
        "images": {kind: len(group) for kind, group in images.items()},
        "torch": torch.__version__,
        "onnxruntime": import_onnxruntime().__version__,
    }
    _save(folder, manifest)


def _save(folder: Path, manifest: dict) -> None:
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def traces(checkpoint: Checkpoint, horizon: int) -> dict[str, tuple]:
    """Graph name to module, its named inputs, names of outputs, and the free axes of every input."""
    model, spec = checkpoint.model, checkpoint.spec
    t, d, a, ka = model.context, model.latent_dim, spec.dim, spec.block_dim
    b, s, h = (torch.export.Dim(name) for name in "BSH")
    rolled = ("future_latents", "future_proprio")
    return {
        "encoder": (
            graphs.EncoderGraph(model),
            {"images": torch.zeros(2, *model.image_size, 3, dtype=torch.uint8)},
            ("latents",),
            {"images": {0: b}},
        ),
        "predictor": (
            graphs.PredictorGraph(model),
            {
                "latents": torch.zeros(2, t, d),
                "proprio": torch.zeros(2, t, a),
                "actions": torch.zeros(2, t, ka),
            },
            ("next_latent", "next_proprio"),
            {name: {0: b} for name in ("latents", "proprio", "actions")},
        ),
        "rollout": (
            graphs.RolloutGraph(model),
            {
                "latents": torch.zeros(t, d),
                "proprio": torch.zeros(t, a),
                "past_actions": torch.zeros(t - 1, ka),
                "actions": torch.zeros(3, horizon, ka),
            },
            rolled,
            {"latents": None, "proprio": None, "past_actions": None, "actions": {0: s}},
        ),
        "costs": (
            graphs.CostGraph(spec),
            {
                "latents": torch.zeros(3, 4, d),
                "proprio": torch.zeros(3, 4, a),
                "actions": torch.zeros(3, 4, ka),
                "goal": torch.zeros(d),
                "weights": torch.ones(len(PLAIN_TERMS)),
            },
            tuple(f"{reduction}_{part}" for reduction in REDUCTIONS for part in ("totals", "terms")),
            {name: {0: s, 1: h} for name in ("latents", "proprio", "actions")}
            | {"goal": None, "weights": None},
        ),
    }


def trace(module: torch.nn.Module, inputs: dict, outputs: tuple[str, ...], free: dict):
    """The ModelProto of a module, without the source paths that the exporter notes at every node."""
    try:
        with _quiet():
            program = torch.onnx.export(
                module.eval(),
                kwargs=inputs,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=free,
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise JepaError(
            f"{type(module).__name__}: torch {torch.__version__} cannot write it as ONNX: {error}"
        ) from error
    proto = program.model_proto
    for part in (proto.graph, *proto.graph.node, *proto.graph.value_info, *proto.graph.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    return proto


@contextmanager
def _quiet():
    """The exporter warns of libraries that are not used here, and of its own changes to come."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _shapes(onnx, values) -> dict[str, dict]:
    return {
        value.name: {
            "dtype": onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower(),
            "shape": [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim],
        }
        for value in values
    }


def _import_onnx():
    try:
        import onnx
        import onnxscript  # noqa: F401  torch's exporter needs it
    except ImportError as error:
        raise JepaError(
            f"writing ONNX needs more than is installed ({error}); get it: pip install onnx onnxscript"
        ) from error
    import_onnxruntime()
    return onnx
