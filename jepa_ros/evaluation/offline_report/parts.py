"""What a page is made of, before it is HTML. Texts are plain: the template escapes them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jepa_ros.evaluation.offline_report.chart import Chart


@dataclass(frozen=True)
class Card:
    """A key figure. values: (whose, figure) pairs, whose "" for one alone.  hint: how to take it."""

    title: str
    values: tuple[tuple[str, str], ...]
    hint: str


@dataclass(frozen=True)
class Cell:
    """tone: "", "good", "bad", "note", "faint" or "code".  detail: a second, smaller line."""

    text: str
    tone: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Column:
    title: str
    numeric: bool = False
    code: bool = False
    prose: bool = False  # sentences: wide enough to read


@dataclass(frozen=True)
class Table:
    """rows: a str or a Cell per column.  folded: opens on demand, under ``title``."""

    columns: tuple[Column, ...]
    rows: list[tuple]
    title: str = ""
    note: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Plots:
    """Charts that are read in the same way. read: how.  good: what good looks like."""

    charts: tuple[Chart, ...]
    read: str
    good: str
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """image: (h, w, 3) uint8 RGB.  lines: below the title."""

    image: np.ndarray
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Gallery:
    pictures: tuple[Picture, ...]
    title: str


@dataclass(frozen=True)
class Words:
    """A paragraph. tone: as a Cell's."""

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Fold:
    """Many tables under one title, opened on demand."""

    title: str
    tables: tuple[Table, ...]


Part = Plots | Table | Gallery | Words | Fold
NOT_MEASURED = Words("Not measured in this run.", "faint")


def present(parts: Sequence[Part | None]) -> tuple[Part, ...]:
    """The parts that there are; where there is none, a word that says so."""
    return tuple(p for p in parts if p is not None) or (NOT_MEASURED,)


def plots(found: Sequence[Chart | None], read: str, good: str, note: str = "") -> Plots | None:
    """``Plots`` of the charts that there are; None where there is none."""
    drawn = tuple(c for c in found if c is not None)
    return Plots(drawn, read, good, note) if drawn else None


@dataclass(frozen=True)
class Section:
    """anchor: the measure's name in the result; findings link to it.  short: for the bar at the top.
    lead: the question it answers."""

    anchor: str
    short: str
    title: str
    lead: str
    parts: tuple[Part, ...]

    @property
    def charts(self) -> list[Chart]:
        return [chart for part in self.parts if isinstance(part, Plots) for chart in part.charts]
