"""How the pictures of a run look: page-wide, one palette, the machine named below."""

from collections.abc import Sequence
from pathlib import Path

from jepa_ros.evaluation.trace_plot import BLUE, GOOD, GREY, ORANGE

RUNTIME_COLOURS = {"torch": BLUE, "onnx": ORANGE}
COMPOSITION_COLOURS = {"distributed": GREY, "single": GOOD}
RED = "#b3382f"
_WIDTH_IN, _PANEL_IN, _DPI = 11.0, 3.5, 130


def colour(runtime: str) -> str:
    """Of a runtime; the same in every panel."""
    return RUNTIME_COLOURS.get(runtime, GOOD)


def draw(path: Path, title: str, footer: str, panels: Sequence) -> None:
    """Write a PNG of panels, two beside each other; a panel is a function that draws into matplotlib axes."""
    import matplotlib.backends.backend_agg  # noqa: F401  the figure needs no display
    from matplotlib.figure import Figure

    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(_WIDTH_IN, 0.9 + _PANEL_IN * rows), dpi=_DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.12)
    figure.suptitle(title, x=0.01, ha="left", fontsize=14, fontweight="bold")
    figure.supxlabel(footer, x=0.01, ha="left", fontsize=8, color=GREY)
    grid = figure.subplots(rows, 2, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.tick_params(labelsize=8.5)
        panel(axes)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def title(axes, words: str) -> None:
    """Of a panel."""
    axes.set_title(words, loc="left", fontsize=10.5, fontweight="bold")


def bars(axes, rows: Sequence[tuple[str, float, float | None, str]], unit: str) -> None:
    """Horizontal bars, the first on top. rows: (label, median, p95 or None, colour); the whisker ends at p95."""
    for place, (_, median, p95, tone) in enumerate(rows):
        axes.barh(place, median, color=tone, height=0.62)
        if p95 is not None:
            axes.plot([median, p95], [place, place], color="black", lw=1)
            axes.plot([p95], [place], "|", color="black", ms=8)
        axes.annotate(
            f"{median:.3g}" + ("" if p95 is None else f" / {p95:.3g}"),
            (median if p95 is None else max(median, p95), place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_yticks(range(len(rows)), [row[0] for row in rows], fontsize=8.5)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, 1.3 * max(max(row[1], row[2] or 0) for row in rows))
    axes.set_xlabel(unit, fontsize=9)


def powers(axes, sizes: Sequence[int], label: str) -> None:
    """Logarithmic axes with plain numbers, the measured sizes as ticks."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(list(sizes), [str(size) for size in sizes], fontsize=8.5)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label, fontsize=9)
