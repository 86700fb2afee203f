"""The checkpoint against the robot: what one action means, the image it sees, what is known of normal looks."""

import numpy as np

from jepa_ros.costs.energy import HEAD_TERMS, OBJECTS, has_objects, wanted_heads
from jepa_ros.errors import JepaError
from jepa_ros.nodes.base.robot import robot_spec
from jepa_ros.nodes.doctor.expected import Expected
from jepa_ros.nodes.doctor.finding import Findings
from jepa_ros.nodes.doctor.heard import Heard
from jepa_ros.world_model.calibration import CALIBRATION
from jepa_ros.world_model.checkpoint import Checkpoint, load_checkpoint
from jepa_ros.world_model.device import require_device

_CROP = 0.05
"""Share of a side; less is not worth a word."""


def check_contract(
    expected: Expected, heard: Heard, image: np.ndarray | None
) -> tuple[Findings, Checkpoint | None]:
    """Findings, and the checkpoint where it can be used for this robot. image: a live one, (H, W, 3) uint8 RGB."""
    found, where = Findings("checkpoint"), str(expected.checkpoint)
    try:
        device = str(require_device(expected.encoder.param("device")))
        pin = expected.encoder.param("checkpoint_sha256")
        checkpoint = load_checkpoint(expected.checkpoint, device, pin)
    except JepaError as error:
        found.error(where, str(error), "give a checkpoint that can be read with --checkpoint")
        return found, None
    usable = _same_action(found, where, checkpoint, expected)
    _same_model(found, checkpoint, expected, heard)
    try:
        if checkpoint.calibration is None:
            found.warn(
                where,
                f"there is no {CALIBRATION}: the planner cannot judge what it sees",
                "make one with `jepa calibrate`",
            )
    except JepaError as error:
        usable = False
        found.error(where, str(error), "make the calibration again with `jepa calibrate`")
    usable &= _heads(found, where, checkpoint, expected)
    if image is not None:
        _image_size(found, expected.image.name, image, checkpoint.model.image_size)
    return found, checkpoint if usable else None


def _heads(found: Findings, where: str, checkpoint: Checkpoint, expected: Expected) -> bool:
    """Whether the heads are as good as what is asked of them: those that are there can be read, and they are there where they
    have a weight or are to plan."""
    try:
        wanting = wanted_heads({name: expected.cost.param(f"weights.{name}") for name in HEAD_TERMS})
        if wanting:
            checkpoint.require_heads(wanting)
        if expected.planner.param("mode") == "policy":
            checkpoint.require_heads("mode policy")
        if checkpoint.heads is not None:
            found.ok(where, f"has heads: temporal distance, value, policy{_objects(checkpoint, expected)}")
    except JepaError as error:
        found.error(
            where,
            str(error),
            "train the heads again with `jepa heads`, or give them no weight and set the planner's mode to search",
        )
        return False
    return True


def _objects(checkpoint: Checkpoint, expected: Expected) -> str:
    """Whether they have found things to bring where a goal has them, and whether that counts, in words."""
    if not has_objects(checkpoint.heads):
        return ""
    counts = expected.cost.param(f"weights.{OBJECTS}") > 0
    return ", objects" if counts else f", objects (left out of the energy: weights.{OBJECTS} is 0)"


def _same_action(found: Findings, where: str, checkpoint: Checkpoint, expected: Expected) -> bool:
    try:
        robot = robot_spec(expected.guard)
    except JepaError:
        return False  # the joints' check tells
    differing = checkpoint.spec.differences(robot)
    for name in differing:
        ours, theirs = getattr(checkpoint.spec, name), getattr(robot, name)
        found.error(
            f"{where} {name}",
            f"the checkpoint was trained for {_short(ours)}, the robot has {_short(theirs)}",
            "give the checkpoint of this robot with --checkpoint, or the robot of this checkpoint with --robot",
        )
    if not differing:
        spec = checkpoint.spec
        found.ok(
            where,
            f"model {checkpoint.model_id} fits the robot: {spec.dim} joints, {spec.space}, {spec.rate_hz:g} actions a "
            f"second in blocks of {spec.block}, at most {max(spec.upper):g} {spec.unit} each",
        )
    return not differing


def _same_model(found: Findings, checkpoint: Checkpoint, expected: Expected, heard: Heard) -> None:
    """Whether the nodes that run have this checkpoint."""
    for name in ("encoder", "world_model", "planner"):
        full = f"{expected.base}/{name}"
        theirs = heard.parameters.get(full, {}).get("checkpoint")
        if theirs and str(theirs) != str(expected.checkpoint):
            found.warn(
                full,
                f"it runs with checkpoint {theirs}",
                f"give --checkpoint {theirs} to check that one, or launch the graph with {expected.checkpoint}",
            )


def _image_size(found: Findings, topic: str, image: np.ndarray, size: tuple[int, int]) -> None:
    (height, width), (rows, columns) = image.shape[:2], size
    words = f"{width}x{height} pixels for a model that sees {columns}x{rows}"
    if height < rows or width < columns:
        found.warn(
            topic,
            f"{words}: it is enlarged, and less sharp than in training",
            "let the camera send at least the model's size",
        )
        return
    kept = min(1.0, width * rows / (height * columns)), min(1.0, height * columns / (width * rows))
    side, lost = ("height", 1 - kept[0]) if kept[0] < kept[1] else ("width", 1 - kept[1])
    crop = f"; {100 * lost:.0f} % of the {side} is cut off, half on each side" if lost > _CROP else ""
    found.ok(topic, words + crop)


def _short(value) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(v if isinstance(v, str) else f"{v:g}" for v in value) + "]"
    return str(value)
