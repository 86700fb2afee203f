"""The suite: every shift by its name, in three strengths, drawn from held-out seeds."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.evaluation.shifts import pictures
from jepa_ros.evaluation.shifts.condition import STRENGTHS
from jepa_ros.simulation.edits import camera, colours, distractors, light
from jepa_ros.simulation.held_out import HELD_OUT_SEEDS, held_out_mix

_STREAM = 3
"""Keys these draws apart from those of episodes (1) and of recording (2), see simulation/tasks.py."""


@dataclass(frozen=True)
class Shift:
    """One way in which the camera's picture changes.

    amounts: one per strength, in ``unit``.
    edit: (spec, rng, amount), changes the scene; or spoil: (image, rng, frame_rng, amount) -> image.
    tasks: where it says anything.
    """

    name: str
    amounts: tuple[float, float, float]
    unit: str
    edit: Callable | None = None
    spoil: Callable | None = None
    tasks: tuple[str, ...] = ("reach", "push")

    def amount(self, strength: str) -> float:
        """In ``unit``."""
        return self.amounts[STRENGTHS.index(strength)]

    def rng(self, seed: int, *more: int) -> np.random.Generator:
        """seed: in HELD_OUT_SEEDS. The same for every strength, so that a stronger shift is more of the same."""
        if seed not in HELD_OUT_SEEDS:
            raise JepaError(f"shift {self.name}: seed {seed} is none of those held out for evaluation")
        return np.random.default_rng((_STREAM, *self.name.encode(), seed, *more))


def _held_out(edit: Callable) -> Callable:
    return partial(edit, mix=held_out_mix)


SHIFTS = {
    shift.name: shift
    for shift in (
        Shift("light_level", (0.3, 0.7, 1.3), "stops up or down", light.light_level),
        Shift("light_direction", (40, 80, 140), "degrees", light.light_direction),
        Shift(
            "table_colour", (0.25, 0.5, 1.0), "of the way to a new colour", _held_out(colours.table_colour)
        ),
        Shift("arm_colour", (0.25, 0.5, 1.0), "of the way to new colours", _held_out(colours.arm_colour)),
        Shift(
            "cube_colour",
            (0.25, 0.5, 1.0),
            "of the way to a new colour",
            _held_out(colours.cube_colour),
            tasks=("push",),
        ),
        Shift("background_texture", (0.2, 0.45, 0.9), "contrast", _held_out(colours.background_texture)),
        Shift("distractors", (3, 6, 12), "objects", _held_out(distractors.distractors)),
        Shift("camera_pan", (1, 2, 4), "degrees", camera.camera_pan),
        Shift("camera_tilt", (1, 2, 4), "degrees", camera.camera_tilt),
        Shift("camera_shift", (1, 2, 4), "cm", camera.camera_shift),
        Shift("camera_fov", (4, 8, 16), "% wider or narrower", camera.camera_fov),
        Shift("noise", (5, 12, 30), "of 255, standard deviation", spoil=pictures.noise),
        Shift("blur", (0.8, 1.6, 3.2), "% of the height, standard deviation", spoil=pictures.blur),
        Shift("jpeg_quality", (80, 45, 15), "of 100", spoil=pictures.jpeg_quality),
        Shift("occlusion", (3, 6, 12), "% of the picture", spoil=pictures.occlusion),
    )
}


def chosen_shifts(text: str, task: str) -> tuple[list[Shift], list[str]]:
    """`all` or a comma-separated list -> the shifts to run, and the names of those that the task has no use for."""
    names = list(SHIFTS) if text == "all" else _words(text)
    _require_known("--shifts", names, SHIFTS, "all")
    usable = [name for name in names if task in SHIFTS[name].tasks]
    if not usable:
        raise JepaError(
            f"--shifts {text}: task {task} has nothing for it to change; choose others, or --task push"
        )
    return [SHIFTS[name] for name in usable], [name for name in names if name not in usable]


def chosen_strengths(text: str) -> list[str]:
    """A comma-separated list -> strengths, from weak to strong."""
    names = _words(text)
    _require_known("--strengths", names, STRENGTHS)
    return [name for name in STRENGTHS if name in names]


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word.strip().replace("-", "_") for word in text.split(",") if word.strip()))


def _require_known(option: str, names: list[str], known, *others: str) -> None:
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        what = f"unknown {', '.join(unknown)}" if unknown else "it names none"
        raise JepaError(f"{option}: {what}; known: {', '.join((*known, *others))}")
