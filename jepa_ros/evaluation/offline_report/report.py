"""Writes the report: one page that needs nothing else, and a picture of each plot for papers."""

import base64
import contextlib
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from jepa_ros.errors import JepaError
from jepa_ros.evaluation.offline_report import html, png, summary
from jepa_ros.evaluation.offline_report.chart import PALETTE
from jepa_ros.evaluation.offline_report.sections import sections

HERE = Path(__file__).parent
PICTURE = 320  # longer side of a picture on the page, pixels


def write_report(folder: Path, result: dict, thumbnails: Sequence[np.ndarray]) -> Path:
    """Write folder/report.html and folder/plots/NAME.png; returns the page's path.

    result: of the offline evaluation; a measure that is None or missing leaves its section saying so.
    thumbnails: (h, w, 3) uint8 RGB each, the result's "thumbnail" figures count them.
    Pictures of a former report in the folder are replaced, other files are left alone. JepaError where the
    folder cannot be written.
    """
    folder = Path(folder)
    content = [s for s in sections(result, thumbnails) if s.parts]
    try:
        plots = folder / "plots"
        plots.mkdir(parents=True, exist_ok=True)
        drawn = {plots / f"{chart.name}.png": chart for section in content for chart in section.charts}
        for old in plots.glob("*.png"):
            if old not in drawn and png.is_ours(old):
                old.unlink()
        for path, chart in drawn.items():
            with _whole(path) as partial:
                png.write_png(partial, chart)
        page = folder / "report.html"
        with _whole(page) as partial:
            partial.write_text(_page(result, content), encoding="utf-8")
    except OSError as error:
        raise JepaError(
            f"cannot write the report to {folder}: {error.strerror or error}; choose another folder"
        ) from error
    return page


@contextlib.contextmanager
def _whole(path: Path):
    """A path to write to that takes the place of ``path`` when all is written."""
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _page(result: dict, content: list) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.undefined = jinja2.StrictUndefined
    environment.filters["picture"] = data_uri
    environment.tests["kind"] = lambda part, name: type(part).__name__ == name
    titles = {section.anchor: section.short for section in content}
    return environment.get_template("page.html").render(
        verdict=(result.get("comparison") or {}).get("verdict"),
        subtitle=summary.subtitle(result),
        findings=summary.findings(result, titles),
        cards=summary.cards(result),
        sections=content,
        figure_json=html.figure_json,
        palette=PALETTE,
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        script=(HERE / "page.js").read_text(encoding="utf-8"),
        dark=json.dumps(html.dark_colours()),
        library=html.library(),
    )


def data_uri(image: np.ndarray) -> str:
    """(h, w, 3) uint8 RGB as a data URI of at most PICTURE pixels: PNG for small images, else JPEG."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((PICTURE, PICTURE), Image.Resampling.LANCZOS)
    kind, options = ("png", {"optimize": True}) if max(image.shape[:2]) <= 128 else ("jpeg", {"quality": 85})
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
