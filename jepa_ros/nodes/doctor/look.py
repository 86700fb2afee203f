"""The check of the camera view: figures by the checkpoint, findings, and the picture for the user."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from jepa_ros.data.images import resize
from jepa_ros.evaluation.filmstrip import BAD, GOAL, GOOD, Panel, compose, write_png
from jepa_ros.nodes.doctor.expected import Expected
from jepa_ros.nodes.doctor.finding import Findings, Level
from jepa_ros.nodes.doctor.view import JOINT_FACTOR, View, change, compare
from jepa_ros.world_model.checkpoint import Checkpoint

_TONES = {Level.OK: GOOD, Level.WARN: GOAL, Level.ERROR: BAD}
_CAPTION = 24
"""Letters of a topic that fit below a panel beside the size."""
_DO = (
    "put camera and light back as they were in training (see the picture), or record and train with this view"
)


def look(checkpoint: Checkpoint, live: np.ndarray, joints: np.ndarray | None, expected: Expected) -> View:
    """The figures of a live image (H, W, 3) uint8 RGB. joints: (A,) rad at that time, where they are known."""
    reference = checkpoint.reference_view
    view = compare(resize(live, reference.shape[:2]), reference)
    latent = checkpoint.model.embed(live)
    if (calibration := checkpoint.calibration) is not None:
        quantile, margin = (
            expected.planner.param(f"surprise.{name}") for name in ("quantile", "unfamiliarity_margin")
        )
        limit = margin * calibration.ood_quantiles[f"{quantile:g}"]
        view = replace(view, unfamiliarity=float(calibration.ood_score(latent[None])[0]), limit=limit)
    usual = checkpoint.config.get("metrics", {}).get("validation_joint_error_rad")
    if joints is not None and usual:
        error = float(np.sqrt(np.mean((_decoded(checkpoint, latent) - joints) ** 2)))
        view = replace(view, joint_error=error, joint_limit=JOINT_FACTOR * usual)
    return view


def check_view(
    checkpoint: Checkpoint,
    live: np.ndarray | None,
    joints: np.ndarray | None,
    expected: Expected,
) -> tuple[Findings, View | None]:
    """Findings about the view, and its figures where there are two pictures to compare."""
    found, where = Findings("view"), expected.image.name
    if checkpoint.reference_view is None:
        found.warn(
            where,
            f"checkpoint {checkpoint.path} has no reference_view.png: the camera's place cannot be checked",
            "compare by eye with a training image, or train again",
        )
        return found, None
    if live is None:
        return found, None
    view = look(checkpoint, live, joints, expected)
    differences = view.differences()
    figures = f"similarity {view.similarity:.2f}"
    if np.isfinite(view.unfamiliarity):
        figures += f", unfamiliarity {view.unfamiliarity:.1f} (limit {view.limit:.1f})"
    if np.isfinite(view.joint_error):
        figures += f", joints seen {view.joint_error:.2f} rad off (limit {view.joint_limit:.2f})"
    if differences:
        words, actions = ("; ".join(getattr(d, part) for d in differences) for part in ("words", "do"))
        tell = found.error if differences[0].level == Level.ERROR else found.warn
        tell(where, f"{words}: {figures}", actions)
    else:
        found.ok(where, f"as in training: {figures}")
    return found, view


def draw(path: Path, checkpoint: Checkpoint, live: np.ndarray, view: View, topic: str) -> None:
    """Reference, live view as the model sees it, and their difference, side by side, as a PNG."""
    reference = checkpoint.reference_view
    seen = resize(live, reference.shape[:2])
    differences = view.differences()
    tone = _TONES[differences[0].level if differences else Level.OK]
    size = f"{live.shape[1]}x{live.shape[0]}"
    panels = [
        Panel(reference, "in training", "median image: the arm is a blur"),
        Panel(seen, "now", f"{topic[-_CAPTION:]}, {size}", tone),
        Panel(
            _heat(seen, reference), "difference", f"{100 * view.changed:.0f} % of the pixels, arm included"
        ),
    ]
    words = differences[0].words.split(" (")[0] if differences else "as in training"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, compose(panels, words[0].upper() + words[1:], f"similarity {view.similarity:.2f}", tone))


def _heat(live: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Black where they are the same, through red to white."""
    strength = np.clip(change(live, reference) / 128, 0, 1)[..., None]
    return (255 * np.clip(3 * strength - np.array([0.0, 1.0, 2.0]), 0, 1)).astype(np.uint8)


@torch.inference_mode()
def _decoded(checkpoint: Checkpoint, latent: np.ndarray) -> np.ndarray:
    """(A,) rad, the joints that the checkpoint's joint head reads out of a latent (D,)."""
    model = checkpoint.model
    scores = model.joint_head(torch.as_tensor(latent, device=model.proprio_mean.device))
    return (scores * model.proprio_std + model.proprio_mean).cpu().numpy()
