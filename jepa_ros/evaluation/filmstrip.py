"""One picture of an episode: start, along the way, end and goal, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PANEL, GAP, MARGIN, RADIUS = 320, 14, 28, 18
BACKGROUND, INK, FAINT = (250, 250, 248), (28, 30, 34), (120, 124, 132)
GOOD, BAD, GOAL = (22, 138, 84), (196, 62, 48), (224, 145, 24)


@dataclass(frozen=True)
class Panel:
    """image: (h, w, 3) uint8 RGB.  title and caption stand above and below it.  frame: RGB of a border, or
    None."""

    image: np.ndarray
    title: str
    caption: str = ""
    frame: tuple[int, int, int] | None = None


def compose(
    panels: Sequence[Panel], heading: str, remark: str = "", tone: tuple[int, int, int] = INK
) -> np.ndarray:
    """Panels side by side under a heading: (H, W, 3) uint8 RGB. tone: RGB of the remark at the right of
    the heading."""
    big, medium, small = font(26, bold=True), font(20, bold=True), font(17)
    top = MARGIN + 26 + 22 + 20 + 12
    width = 2 * MARGIN + len(panels) * PANEL + (len(panels) - 1) * GAP
    canvas = Image.new("RGB", (width, top + PANEL + 12 + 17 + MARGIN), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN), heading, INK, font=big, anchor="lt")
    draw.text((width - MARGIN, MARGIN + 2), remark, tone, font=medium, anchor="rt")
    mask = Image.new("L", (4 * PANEL, 4 * PANEL), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 4 * PANEL - 1, 4 * PANEL - 1), 4 * RADIUS, fill=255)
    mask = mask.resize((PANEL, PANEL), Image.Resampling.LANCZOS)
    for i, panel in enumerate(panels):
        x = MARGIN + i * (PANEL + GAP)
        draw.text((x + 4, top - 16), panel.title, panel.frame or INK, font=medium, anchor="ls")
        draw.text((x + 4, top + PANEL + 12), panel.caption, FAINT, font=small, anchor="lt")
        canvas.paste(_fit(panel.image), (x, top), mask)
        if panel.frame is not None:
            draw.rounded_rectangle(
                (x - 2, top - 2, x + PANEL + 1, top + PANEL + 1), RADIUS + 2, outline=panel.frame, width=6
            )
    return np.asarray(canvas)


def write_png(path: Path, image: np.ndarray) -> None:
    """(h, w, 3) uint8 RGB -> a PNG file."""
    Image.fromarray(image).save(path, optimize=True)


def along_the_way(positions: np.ndarray, count: int) -> list[int]:
    """Indices of ``count`` frames between the first and the last one, evenly spread over the way travelled.

    positions: (N, A), anything whose steps measure motion. Fewer where there are not that many frames
    between.
    """
    travelled = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(positions, axis=0)).sum(axis=1))])
    wanted = np.linspace(0, travelled[-1], count + 2)[1:-1]
    found = {int(np.abs(travelled - w).argmin()) for w in wanted}
    return sorted(found - {0, len(positions) - 1})


def _fit(image: np.ndarray) -> Image.Image:
    """Centre crop to a square, scaled to PANEL; a small image keeps its pixels crisp."""
    height, width = image.shape[:2]
    side = min(height, width)
    y, x = (height - side) // 2, (width - side) // 2
    picture = Image.fromarray(np.ascontiguousarray(image[y : y + side, x : x + side]))
    method = Image.Resampling.NEAREST if side < PANEL // 2 else Image.Resampling.LANCZOS
    return picture.resize((PANEL, PANEL), method)


def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib; size in pixels."""
    from matplotlib import font_manager

    found = font_manager.findfont(
        font_manager.FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
    )
    return ImageFont.truetype(found, size)
