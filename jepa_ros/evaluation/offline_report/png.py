"""Charts as matplotlib pictures for papers: white ground, 150 dpi."""

from functools import singledispatch
from pathlib import Path

import numpy as np
from PIL import Image

from jepa_ros.evaluation.offline_report.chart import (
    PALETTE,
    Band,
    Bars,
    Chart,
    Guide,
    Heatmap,
    Histogram,
    Line,
    Points,
    Series,
)

MARK = "jepa_ros offline report"  # in every picture, so that a later report knows its own
SYMBOLS = {"circle": "o", "cross": "X", "star": "*", "diamond": "D"}
GROUND = {"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 1}
DASHES = {"solid": "-", "dash": "--", "dot": ":"}


def write_png(path: Path, chart: Chart) -> None:
    import matplotlib
    import matplotlib.backends.backend_agg  # noqa: F401  the figure needs no display
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"text.parse_math": False}):
        figure = Figure(figsize=(9, 3.6) if chart.wide else (6, 4), dpi=150, layout="constrained")
        axes = figure.subplots()
        axes.set_title(chart.title, loc="left", fontsize=11, fontweight="bold", pad=14)
        for series in chart.series:
            _draw(series, axes, chart)
        for guide in chart.guides:
            _guide(axes, guide)
        _frame(axes, chart)
        figure.savefig(path, format="png", metadata={"Software": MARK})


def is_ours(path: Path) -> bool:
    """Whether ``path`` is a picture that `write_png` made."""
    try:
        with Image.open(path) as image:
            return image.info.get("Software") == MARK
    except (OSError, ValueError):
        return False


@singledispatch
def _draw(series: Series, axes, chart: Chart) -> None:
    raise TypeError(type(series))


@_draw.register
def _(series: Line, axes, chart: Chart) -> None:
    axes.plot(
        series.x,
        series.y,
        DASHES[series.dash],
        marker="o" if series.markers else "",
        ms=4,
        lw=1.6,
        color=PALETTE[series.colour][0],
        label=series.name,
    )


@_draw.register
def _(series: Band, axes, chart: Chart) -> None:
    axes.fill_between(
        series.x,
        series.low,
        series.high,
        color=PALETTE[series.colour][0],
        alpha=0.18,
        lw=0,
        label=series.name,
    )


@_draw.register
def _(series: Points, axes, chart: Chart) -> None:
    colour = PALETTE[series.colour][0]
    if not series.outlined:
        axes.plot(series.x, series.y, "o", ms=3, color=colour, alpha=0.4, mew=0, label=series.name)
        return
    hollow = series.symbol == "circle"
    axes.plot(
        series.x,
        series.y,
        SYMBOLS[series.symbol],
        ms=13,
        color="none" if hollow else colour,
        mec=colour if hollow else "white",
        mew=2.5 if hollow else 1.2,
        clip_on=False,
        label=series.name,
    )


@_draw.register
def _(series: Bars, axes, chart: Chart) -> None:
    every = [s for s in chart.series if isinstance(s, Bars)]
    height = 0.7 / len(every)
    place = np.arange(len(series.values)) + (every.index(series) - (len(every) - 1) / 2) * height
    axes.barh(place, series.values, height, color=PALETTE[series.colour][0], label=series.name)


@_draw.register
def _(series: Histogram, axes, chart: Chart) -> None:
    colour = PALETTE[series.colour][0]
    axes.stairs(series.shares, series.edges, fill=True, color=colour, alpha=0.18)
    axes.stairs(series.shares, series.edges, color=colour, lw=1.6, label=series.name)


@_draw.register
def _(series: Heatmap, axes, chart: Chart) -> None:
    drawn = axes.pcolormesh(series.x, series.y, series.values, cmap="cividis", shading="nearest")
    axes.figure.colorbar(drawn, ax=axes, label=series.label)


def _guide(axes, guide: Guide) -> None:
    grey = PALETTE["grey"][0]
    if guide.axis == "x":
        axes.axvline(guide.value, color=grey, lw=0.8, ls=":")
        place, against = (guide.value, 1), axes.get_xaxis_transform()
        words = {"ha": "left", "va": "bottom"}
    else:
        axes.axhline(guide.value, color=grey, lw=0.8, ls="--")
        place, against = (1, guide.value), axes.get_yaxis_transform()
        words = {"ha": "right", "va": "bottom"}
    axes.text(*place, guide.text, transform=against, color=grey, fontsize=8, bbox=GROUND, **words)


def _frame(axes, chart: Chart) -> None:
    axes.set_xlabel(chart.x.label)
    axes.set_ylabel(chart.y.label)
    axes.spines[["top", "right"]].set_visible(False)
    if not any(isinstance(s, Heatmap) for s in chart.series):
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
    if chart.x.whole:
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlim(*chart.x.limits)
    axes.set_ylim(*chart.y.limits)
    if chart.y.categories:
        axes.set_yticks(range(len(chart.y.categories)), chart.y.categories)
        axes.invert_yaxis()
    if chart.x.reversed:
        axes.invert_xaxis()
    if len([s for s in chart.series if s.name]) > 1:
        axes.figure.legend(loc="outside lower center", frameon=False, fontsize=8, ncols=4)
