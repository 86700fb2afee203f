"""The live camera view beside what the checkpoint saw in training: figures, and what looks different in words.

The reference is the median of training images: the still background, with the arm blurred out. So a picture of the arm
in any pose is compared with it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from jepa_ros.nodes.doctor.finding import Level

CAP, CHANGED = 40.0, 40.0
"""Levels of 255. A pixel counts as changed above the one, and no more than the other into a mismatch: the arm may
stand anywhere."""
_COARSE = 64
"""px; shifts are searched at this size."""
_REACH = 0.2
"""Farthest shift that is searched, share of a side."""
_BETTER = 0.85
"""A shift is one where it leaves less than this share of the mismatch."""
_TURNED = 0.5
"""The same for mirrored, upside down, swapped colours."""
FLAT = 0.25
"""Share of the reference's contrast below which there is nothing to see."""
BRIGHTNESS = 25.0
"""Levels of 255."""
CHANGED_SHARE, SIMILAR = 0.2, 0.6
"""Where more than this share of the pixels has changed, or the similarity is less, the view is another one."""
JOINT_FACTOR = 7.0
"""On the joint error of held-out training images; on 300 undisturbed simulated views 99 % stay below."""
TURNS = {
    "upside down": lambda image: image[::-1, ::-1],
    "mirrored": lambda image: image[:, ::-1],
    "red-blue swapped": lambda image: image[..., ::-1],
}


_UNCOVER = "take off what covers the lens, switch on the light"
_TURN = "turn the camera, or correct the encoding that its driver announces"
_MOVE = "move the camera back until both pictures agree, and fix it there"
_LIGHT = "restore the light of the training data, or fix the camera's exposure and white balance"
_CLEAR = "clear the view of what was not there in training"
_JOINTS = "where the view looks right, check the driver's joint names, signs and zero positions"
_TRAIN = (
    "restore the view of the training data, or record with this one and train; the planner would hold the arm"
)


@dataclass(frozen=True)
class Difference:
    """What is different, how bad that is, and what to do."""

    level: Level
    words: str
    do: str


@dataclass(frozen=True)
class View:
    """similarity: structural, 1 where the pictures are the same.  shift: of the live picture to the right and down,
    share of a side.  brightness: live less reference, levels of 255.  contrast: live by reference.
    changed: share of the pixels.  turned: a key of TURNS, or "".
    unfamiliarity, limit: of the live latent, and where the planner holds; nan without a calibration.
    joint_error, joint_limit: rad, root mean square of what the latent says of the joints less joint_states.
    """

    similarity: float
    shift: tuple[float, float]
    brightness: float
    contrast: float
    changed: float
    turned: str
    unfamiliarity: float = math.nan
    limit: float = math.nan
    joint_error: float = math.nan
    joint_limit: float = math.nan

    def differences(self) -> list["Difference"]:
        """What is different, the worst first; empty where the view is as in training."""
        if self.contrast < FLAT:
            return [Difference(Level.ERROR, "nothing to be seen (covered, or dark)", _UNCOVER)]
        said = []
        if self.turned:
            said.append(Difference(Level.ERROR, f"the picture is {self.turned}", _TURN))
        elif self.shift != (0.0, 0.0):
            said.append(Difference(Level.WARN, f"the picture has moved {_directions(self.shift)}", _MOVE))
        if abs(self.brightness) > BRIGHTNESS:
            word = "brighter" if self.brightness > 0 else "darker"
            said.append(Difference(Level.WARN, f"{word} by {abs(self.brightness):.0f} of 255", _LIGHT))
        if not said and (self.changed > CHANGED_SHARE or self.similarity < SIMILAR):
            words = f"something else is in view ({100 * self.changed:.0f} % of the pixels differ)"
            said.append(Difference(Level.WARN, words, _CLEAR))
        if self.joint_error > self.joint_limit:
            words = f"the arm is seen {self.joint_error:.2f} rad off joint_states"
            said.append(Difference(Level.WARN, words, _JOINTS))
        if self.unfamiliarity > self.limit:
            words = f"the model does not know such a view (unfamiliarity {self.unfamiliarity:.1f})"
            said.append(Difference(Level.ERROR, words, _TRAIN))
        return sorted(said, key=lambda difference: -difference.level)


def compare(live: np.ndarray, reference: np.ndarray) -> View:
    """Two (h, w, 3) uint8 RGB pictures of one size."""
    offset = np.median(live.astype(np.float32) - reference, axis=(0, 1))
    plain = mismatch(live, reference)
    turned = next(
        (
            words
            for words, turn in TURNS.items()
            if mismatch(turn(live), reference) < _TURNED * plain and plain > CAP / 10
        ),
        "",
    )
    levelled = np.clip(live - offset, 0, 255)
    return View(
        similarity(live, reference),
        (0.0, 0.0) if turned else find_shift(levelled, reference),
        float(offset.mean()),
        float(live.std(axis=(0, 1)).mean() / max(reference.std(axis=(0, 1)).mean(), 1e-6)),
        float(np.mean(change(live, reference) > CHANGED)),
        turned,
    )


def change(live: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(h, w) mean difference of the channels, levels of 255."""
    return np.abs(live.astype(np.float32) - reference).mean(axis=-1)


def mismatch(live: np.ndarray, reference: np.ndarray) -> float:
    """Mean difference, levels of 255, no pixel counted for more than CAP."""
    return float(np.minimum(change(live, reference), CAP).mean())


def similarity(live: np.ndarray, reference: np.ndarray) -> float:
    """Structural similarity of the grey pictures (Wang et al. 2004), 1 where they are the same."""
    a, b = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float64) for p in (live, reference))

    def blur(x):
        return cv2.GaussianBlur(x, (11, 11), 1.5)

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b, both = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2, blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    return float((top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def find_shift(live: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """How far the live picture lies to the right and down of the reference, as shares of width and height; zeros where
    no shift makes them alike."""
    scale = min(1.0, _COARSE / max(reference.shape[:2]))
    size = round(reference.shape[1] * scale), round(reference.shape[0] * scale)
    a, b = (cv2.resize(p.astype(np.float32), size, interpolation=cv2.INTER_AREA) for p in (live, reference))
    height, width = b.shape[:2]
    reach = round(_REACH * max(height, width))
    scores = {
        (dx, dy): mismatch(_part(a, dx, dy), _part(b, -dx, -dy))
        for dx in range(-min(reach, width - 1), min(reach, width - 1) + 1)
        for dy in range(-min(reach, height - 1), min(reach, height - 1) + 1)
    }
    dx, dy = min(scores, key=lambda at: (scores[at], abs(at[0]) + abs(at[1])))
    return (dx / width, dy / height) if scores[dx, dy] < _BETTER * scores[0, 0] else (0.0, 0.0)


def _part(image: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """What overlaps with the other picture."""
    height, width = image.shape[:2]
    return image[max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)]


def _directions(shift: Sequence[float]) -> str:
    words = zip(shift, (("left", "right"), ("up", "down")), strict=True)
    return ", ".join(f"{100 * abs(by):.0f} % {names[by > 0]}" for by, names in words if by)
