"""All shifts and strengths in one picture, clean beside."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from jepa_ros.evaluation.filmstrip import BACKGROUND, FAINT, INK, MARGIN, font
from jepa_ros.evaluation.shifts.condition import Condition
from jepa_ros.evaluation.shifts.suite import Shift
from jepa_ros.evaluation.shifts.view import ShiftedView
from jepa_ros.simulation.held_out import held_out_seed
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import Task

_CELL, _GAP, _LABEL, _BLOCKS_APART = 160, 6, 34, 40


def contact_sheet(
    simulator: Simulator, task: Task, shifts: Sequence[Shift], strengths: Sequence[str], seed: int
) -> np.ndarray:
    """(H, W, 3) uint8 RGB: what the agent sees at the start of episode ``seed``. Leaves the simulator there.

    One row per shift: clean, then the strengths; in two halves side by side where there are many shifts.
    """
    simulator.reset(task.episode(seed)[0])
    clean = simulator.render()
    halves = 2 if len(shifts) > 4 else 1
    down = -(-len(shifts) // halves)
    block = (1 + len(strengths)) * (_CELL + _GAP) - _GAP
    width = 2 * MARGIN + halves * block + (halves - 1) * _BLOCKS_APART
    canvas = Image.new("RGB", (width, 2 * MARGIN + 20 + down * (_CELL + _LABEL)), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    bold, small = font(15, bold=True), font(13)
    for half in range(halves):
        for column, title in enumerate(("clean", *strengths)):
            x = MARGIN + half * (block + _BLOCKS_APART) + column * (_CELL + _GAP)
            draw.text((x, MARGIN + 14), title, FAINT, font=small, anchor="ls")
    for i, shift in enumerate(shifts):
        x, y = MARGIN + i // down * (block + _BLOCKS_APART), MARGIN + 20 + i % down * (_CELL + _LABEL)
        draw.text((x, y + 22), shift.name.replace("_", " "), INK, font=bold, anchor="ls")
        amounts = ", ".join(f"{shift.amount(strength):g}" for strength in strengths)
        draw.text((x + block, y + 22), f"{amounts} {shift.unit}", FAINT, font=small, anchor="rs")
        pictures = [clean]
        for strength in strengths:
            with ShiftedView(simulator, Condition(shift.name, strength), held_out_seed(seed)) as view:
                pictures.append(view.render())
        for column, picture in enumerate(pictures):
            canvas.paste(_cell(picture), (x + column * (_CELL + _GAP), y + _LABEL - 6))
    return np.asarray(canvas)


def _cell(picture: np.ndarray) -> Image.Image:
    """The camera's own pixels, enlarged."""
    return Image.fromarray(picture).resize((_CELL, _CELL), Image.Resampling.NEAREST)
