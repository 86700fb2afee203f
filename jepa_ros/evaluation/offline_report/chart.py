"""What a chart shows, said once: axes, series and words, for every renderer alike."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

# Colour names to (on white, on dark). After Okabe and Ito: told apart with every kind of colour vision.
PALETTE = {
    "blue": ("#0072b2", "#4da3e0"),
    "vermilion": ("#d55e00", "#f58a42"),
    "green": ("#009e73", "#2bc79a"),
    "purple": ("#b0568c", "#e2a0c6"),
    "amber": ("#c98a00", "#f2c14e"),
    "sky": ("#46a4dc", "#9ad6f7"),
    "olive": ("#7d7d12", "#c9c95a"),
    "grey": ("#6b7078", "#9aa1ac"),
    "ink": ("#1c1e22", "#e8eaed"),
    "grid": ("#e3e5e8", "#33373e"),
}
CYCLE = ("blue", "vermilion", "green", "purple", "amber", "sky", "olive", "grey")


@dataclass(frozen=True, eq=False)
class Axis:
    """unit: "" where there is none.  limits: (low, high), either None where the data decide.
    categories: the names along an axis of bars, the first on top.
    """

    title: str
    unit: str = ""
    limits: tuple[float | None, float | None] = (None, None)
    reversed: bool = False
    whole: bool = False  # counts: ticks at whole numbers
    categories: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.title} ({self.unit})" if self.unit else self.title


@dataclass(frozen=True, eq=False)
class Line:
    """x, y: (n,), NaN where the line is broken.  hover: n texts beside the values, or none."""

    name: str
    x: np.ndarray
    y: np.ndarray
    colour: str
    dash: str = "solid"  # "solid", "dash" or "dot"
    markers: bool = False
    hover: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Band:
    """The area between low and high, both (n,) over x (n,), in the colour of the line it belongs to. name: "" keeps it out of
    the legend."""

    name: str
    x: np.ndarray
    low: np.ndarray
    high: np.ndarray
    colour: str


@dataclass(frozen=True, eq=False)
class Points:
    """x, y: (n,).  symbol: "circle", "cross", "star" or "diamond".  outlined: large, with a rim that shows on
    any ground."""

    name: str
    x: np.ndarray
    y: np.ndarray
    colour: str
    symbol: str = "circle"
    outlined: bool = False
    hover: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Bars:
    """One value per category of the y axis, (n,): bars lie, so that names stay readable."""

    name: str
    values: np.ndarray
    colour: str


@dataclass(frozen=True, eq=False)
class Histogram:
    """edges: (n + 1,).  shares: (n,), the share of all values in each bin."""

    name: str
    edges: np.ndarray
    shares: np.ndarray
    colour: str


@dataclass(frozen=True, eq=False)
class Heatmap:
    """values: (m, n) over y (m,) and x (n,).  label: what the colours mean."""

    x: np.ndarray
    y: np.ndarray
    values: np.ndarray
    label: str
    name: str = ""


Series: TypeAlias = Line | Band | Points | Bars | Histogram | Heatmap


@dataclass(frozen=True, eq=False)
class Guide:
    """A straight line across the chart at ``value`` of the "x" or "y" axis, with a short text ("" for none)."""

    axis: str
    value: float
    text: str = ""


@dataclass(frozen=True, eq=False)
class Chart:
    """name: file name of its picture, unique in a report.  alt: the chart in words, with its main figures.
    note: what was left out or merged, "" for nothing.  wide: takes the whole width of the page.
    """

    name: str
    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    alt: str
    guides: tuple[Guide, ...] = ()
    note: str = ""
    wide: bool = False
