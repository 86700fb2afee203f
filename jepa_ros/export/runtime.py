"""An exported checkpoint, run by ONNX Runtime: NumPy in and out, no torch. Any other language reads the same files."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.images import resize
from jepa_ros.errors import JepaError
from jepa_ros.world_model.futures import Futures
from jepa_ros.world_model.trust import EXPORT as MANIFEST
from jepa_ros.world_model.trust import WEIGHTS

FORMAT = 1
GRAPHS = ("encoder", "predictor", "rollout", "costs")
PREFIX = "jepa_ros."
"""Of the metadata keys inside the ONNX files; their values are JSON."""


class OnnxModel:
    """The folder that `jepa export` wrote, or a checkpoint that it wrote into. ``embed`` and ``rollout`` stand in for
    those of ``WorldModel``, with NumPy arrays or tensors on the CPU.

    threads: of ONNX Runtime; providers: its execution providers, in order of preference.
    Facts of the checkpoint: spec, model_id, image_size (h, w), latent_dim D, context T, horizon H of the rollout graph,
    goal_tolerance, weights (term to default weight), reductions. JepaError where files are missing, changed or foreign.
    """

    runtime, device = "onnx", "cpu"
    codes, futures = 0, Futures()  # no export has a latent variable z

    def __init__(
        self, folder: str | Path, threads: int = 1, providers: Sequence[str] = ("CPUExecutionProvider",)
    ):
        self.path = Path(folder)
        self.manifest = _read_manifest(self.path)
        weights = _read_weights(
            self.path, self.manifest
        )  # must outlive the making of the sessions, and no longer
        options = _session_options(self.path, weights, threads)
        self._sessions = {
            name: _session(self.path, self.manifest, name, options, providers) for name in GRAPHS
        }
        try:
            facts = self.manifest["model"]
            self.spec = ActionSpec.from_dict(facts["action_spec"])
            self.model_id = str(facts["model_id"])
            self.image_size = tuple(map(int, facts["image_size"]))
            self.latent_dim, self.context, self.horizon = (
                int(facts[key]) for key in ("latent_dim", "context", "horizon")
            )
            self.goal_tolerance = float(facts["goal_tolerance"])
            self.weights = {str(name): float(weight) for name, weight in facts["weights"].items()}
            self.reductions = tuple(facts["reductions"])
        except (KeyError, TypeError, ValueError, AttributeError, JepaError) as error:
            raise JepaError(f"export {self.path / MANIFEST}: {error!r} in `model`; {_AGAIN}") from error

    def embed(self, image: np.ndarray) -> np.ndarray:
        """One camera image (H, W, 3) uint8 RGB of any size, cropped and resized -> its latent (D,) float32."""
        return self.encode(resize(image, self.image_size)[None])[0]

    def encode(self, images: np.ndarray) -> np.ndarray:
        """(B, h, w, 3) uint8 RGB at ``image_size`` -> latents (B, D)."""
        return self.run("encoder", images=images)[0]

    def predict(self, latents, proprio, actions) -> tuple[np.ndarray, np.ndarray]:
        """One block ahead: (B, T, D), (B, T, A) rad, (B, T, KA) rad, the last block to imagine -> (B, D), (B, A) rad."""
        return tuple(self.run("predictor", latents=latents, proprio=proprio, actions=actions))

    def rollout(self, latents, proprio, past_actions, actions) -> tuple[np.ndarray, np.ndarray]:
        """latents (T, D), proprio (T, A) rad, past_actions (T-1, KA) rad, actions (S, H, KA) rad
        -> latents (S, H, D), joint positions (S, H, A) rad. Another H than ``horizon`` goes block by block."""
        if actions.shape[1] == self.horizon:
            context = {"latents": latents, "proprio": proprio, "past_actions": past_actions}
            return tuple(self.run("rollout", **context, actions=actions))
        tiled = (
            np.repeat(np.asarray(x, np.float32)[None], len(actions), 0)
            for x in (latents, proprio, past_actions)
        )
        return self.imagine(*tiled, actions)

    def imagine(self, latents, proprio, past_actions, actions) -> tuple[np.ndarray, np.ndarray]:
        """Block by block, each sequence from a context of its own: latents (B, T, D), proprio (B, T, A) rad, past_actions
        (B, T-1, KA) rad, actions (B, H, KA) rad -> latents (B, H, D), joint positions (B, H, A) rad."""
        latents, proprio, past, actions = (
            np.asarray(x, np.float32) for x in (latents, proprio, past_actions, actions)
        )
        futures, joints = [], []
        for block in np.moveaxis(actions, 1, 0):
            blocks = np.concatenate([past, block[:, None]], 1)
            latent, position = self.predict(latents, proprio, blocks)
            latents = np.concatenate([latents[:, 1:], latent[:, None]], 1)
            proprio = np.concatenate([proprio[:, 1:], position[:, None]], 1)
            past = blocks[:, 1:]
            futures.append(latent)
            joints.append(position)
        return np.stack(futures, 1), np.stack(joints, 1)

    def costs(
        self,
        latents: np.ndarray,
        proprio: np.ndarray,
        actions: np.ndarray,
        goal: np.ndarray,
        reduction: str = "sum",
        weights: Mapping[str, float] | None = None,
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Energies of rollouts (S, H, D), (S, H, A), (S, H, KA) for a goal latent (D,), as ``Energy.evaluate``.

        weights: of terms, default those of the export; terms left out weigh 0.
        -> totals (S,), and of every term its weighted share (S,).
        """
        weights = self.weights if weights is None else weights
        if reduction not in self.reductions or set(weights) - set(self.weights):
            raise JepaError(
                f"costs: reduction {reduction!r} or terms {sorted(weights)} unknown; known: "
                f"{', '.join(self.reductions)}; {', '.join(self.weights)}"
            )
        totals, shares = self.run(
            "costs",
            [f"{reduction}_totals", f"{reduction}_terms"],
            latents=latents,
            proprio=proprio,
            actions=actions,
            goal=goal,
            weights=[weights.get(name, 0.0) for name in self.weights],
        )
        return totals, dict(zip(self.weights, shares, strict=True))

    def run(self, graph: str, outputs: list[str] | None = None, **inputs) -> list[np.ndarray]:
        """One graph of GRAPHS with its named inputs; JepaError where shapes do not fit it."""
        session = self._sessions[graph]
        arrays = {
            name: np.ascontiguousarray(value, np.uint8 if name == "images" else np.float32)
            for name, value in inputs.items()
        }
        try:
            return session.run(outputs, arrays)
        except Exception as error:  # onnxruntime's own exceptions have no common public base
            shapes = {name: array.shape for name, array in arrays.items()}
            wanted = {i.name: tuple(i.shape) for i in session.get_inputs()}
            raise JepaError(f"{graph}.onnx: inputs {shapes}, it takes {wanted}: {error}") from error


_AGAIN = "make it again: `jepa export`"


def import_onnxruntime():
    """The module onnxruntime; JepaError says how to get it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise JepaError(
            f"ONNX Runtime is not installed ({error}); get it: pip install onnxruntime"
        ) from error
    return onnxruntime


def _read_manifest(folder: Path) -> dict:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise JepaError(
            f"export {path}: not readable ({error}); give a folder that `jepa export --out` wrote"
        ) from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT or not isinstance(manifest.get("files"), dict):
        raise JepaError(f"export {path}: format is {found!r}, this version reads {FORMAT}; {_AGAIN}")
    return manifest


def _read_weights(folder: Path, manifest: dict) -> bytes:
    """The checkpoint's weights where the graphs read theirs from it, else nothing; JepaError where they are not those
    that the export was made for."""
    if not any(_field(entry, "weights") for entry in manifest["files"].values()):
        return b""
    try:
        weights = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise JepaError(f"export {folder / WEIGHTS}: {error.strerror}; the graphs have no weights") from error
    if hashlib.sha256(weights).hexdigest() != _field(manifest.get("model"), "checkpoint_sha256"):
        raise JepaError(f"export {folder / MANIFEST}: made for other weights than {WEIGHTS}; {_AGAIN}")
    return weights


def _session_options(folder: Path, weights: bytes, threads: int):
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    if not weights:
        return options
    try:
        # From memory: ONNX Runtime follows no link out of a folder, and an installed checkpoint may be links.
        options.add_external_initializers_from_files_in_memory([WEIGHTS], [weights], [len(weights)])
    except AttributeError as error:
        raise JepaError(
            f"export {folder}: ONNX Runtime {ort.__version__} is too old to read the weights of a checkpoint; install a "
            "newer one, or make an export that holds them: `jepa export --out`"
        ) from error
    return options


def _session(folder: Path, manifest: dict, name: str, options, providers: Sequence[str]):
    """The session of one graph, its bytes and its metadata those that the manifest names."""
    ort = import_onnxruntime()
    path = folder / f"{name}.onnx"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise JepaError(f"export {path}: {error.strerror}; {_AGAIN}") from error
    if hashlib.sha256(content).hexdigest() != _field(manifest["files"].get(name), "sha256"):
        raise JepaError(f"export {path}: not the file that {MANIFEST} names (its sha256 differs); {_AGAIN}")
    unknown = set(providers) - set(ort.get_available_providers())
    if unknown:
        raise JepaError(
            f"this ONNX Runtime has no {', '.join(sorted(unknown))}; it has {', '.join(ort.get_available_providers())}"
        )
    try:
        session = ort.InferenceSession(content, options, providers=list(providers))
    except Exception as error:  # onnxruntime's own exceptions have no common public base
        raise JepaError(f"export {path}: ONNX Runtime {ort.__version__} cannot read it: {error}") from error
    try:
        if read_metadata(session) == {"graph": name, **manifest["model"]}:
            return session
    except (json.JSONDecodeError, KeyError, TypeError):
        pass
    raise JepaError(f"export {path}: its metadata is not what {MANIFEST} says of the model; {_AGAIN}")


def read_metadata(session) -> dict:
    """What `jepa export` wrote into the ONNX file of an onnxruntime.InferenceSession."""
    properties = session.get_modelmeta().custom_metadata_map
    return {
        key.removeprefix(PREFIX): json.loads(value)
        for key, value in properties.items()
        if key.startswith(PREFIX)
    }


def _field(entry, key: str):
    return entry.get(key) if isinstance(entry, dict) else None
