"""Charts as plotly figures for the page: drawn in the browser, in its colours of the moment."""

import html
import json
from functools import singledispatch

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

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

SYMBOLS = {"circle": "circle-open", "cross": "x", "star": "star", "diamond": "diamond"}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
BAND = 0.18


def library() -> str:
    """plotly.js, whole, for one script element."""
    return get_plotlyjs().replace("</script", "<\\/script")


def dark_colours() -> dict[str, str]:
    """Every colour a figure holds to what it is on a dark ground."""
    found = {}
    for light, dark in PALETTE.values():
        found |= {light: dark, _clear(light): _clear(dark)}
    return found


def figure_json(chart: Chart) -> str:
    """A plotly figure {"data", "layout"} as JSON that can stand in a script element."""
    traces = [trace for series in chart.series for trace in _traces(series, chart)]
    figure = go.Figure(traces, _layout(chart))
    return json.dumps(json.loads(figure.to_json()), separators=(",", ":")).replace("<", "\\u003c")


@singledispatch
def _traces(series: Series, chart: Chart) -> list:
    raise TypeError(type(series))


@_traces.register
def _(series: Line, chart: Chart) -> list:
    return [
        go.Scatter(
            x=_small(series.x),
            y=_small(series.y),
            name=_plain(series.name),
            mode="lines+markers" if series.markers else "lines",
            line={"color": PALETTE[series.colour][0], "dash": series.dash, "width": 2},
            marker={"size": 6},
            **_hover(series.hover),
        )
    ]


@_traces.register
def _(series: Band, chart: Chart) -> list:
    known = np.isfinite(series.low) & np.isfinite(series.high)
    x, low, high = series.x[known], series.low[known], series.high[known]
    return [
        go.Scatter(
            x=_small(np.concatenate([x, x[::-1]])),
            y=_small(np.concatenate([low, high[::-1]])),
            name=_plain(series.name),
            mode="lines",
            line={"width": 0, "color": _clear(PALETTE[series.colour][0])},
            fill="toself",
            fillcolor=_clear(PALETTE[series.colour][0]),
            hoverinfo="skip",
            showlegend=bool(series.name),
        )
    ]


@_traces.register
def _(series: Points, chart: Chart) -> list:
    marker = {"color": PALETTE[series.colour][0], "size": 5, "opacity": 0.5}
    if series.outlined:
        symbol = SYMBOLS[series.symbol]
        rim = PALETTE[series.colour][0] if symbol.endswith("open") else "#ffffff"
        marker = {"color": rim if symbol.endswith("open") else PALETTE[series.colour][0], "size": 15}
        marker |= {"symbol": symbol, "line": {"color": rim, "width": 3 if symbol.endswith("open") else 1.5}}
    return [
        go.Scatter(
            x=_small(series.x),
            y=_small(series.y),
            name=_plain(series.name),
            mode="markers",
            marker=marker,
            cliponaxis=not series.outlined,
            **_hover(series.hover),
        )
    ]


@_traces.register
def _(series: Bars, chart: Chart) -> list:
    return [
        go.Bar(
            x=_small(series.values),
            y=[_plain(c) for c in chart.y.categories],
            orientation="h",
            name=_plain(series.name),
            marker={"color": PALETTE[series.colour][0]},
            hovertemplate="%{y}: %{x:.3~g}<extra>%{fullData.name}</extra>",
        )
    ]


@_traces.register
def _(series: Histogram, chart: Chart) -> list:
    return [
        go.Scatter(
            x=_small(np.repeat(series.edges, 2)),
            y=_small(np.concatenate([[0], np.repeat(series.shares, 2), [0]])),
            name=_plain(series.name),
            mode="lines",
            line={"color": PALETTE[series.colour][0], "width": 2},
            fill="tozeroy",
            fillcolor=_clear(PALETTE[series.colour][0]),
            hovertemplate="%{x:.2f}: %{y:.1%}<extra>%{fullData.name}</extra>",
        )
    ]


@_traces.register
def _(series: Heatmap, chart: Chart) -> list:
    return [
        go.Heatmap(
            x=_small(series.x),
            y=_small(series.y),
            z=_small(series.values),
            name="",
            colorscale="Cividis",
            colorbar={
                "title": {"text": _plain(series.label), "side": "right", "font": {"size": 12}},
                "thickness": 10,
                "outlinewidth": 0,
            },
            hovertemplate="%{x:.3f}, %{y:.3f}: %{z:.4~g}<extra></extra>",
        )
    ]


def _layout(chart: Chart) -> dict:
    ink, grid = PALETTE["ink"][0], PALETTE["grid"][0]
    named = [s for s in chart.series if s.name]
    return {
        "template": {},  # the default one is 6 kB in every figure
        "font": {"family": FONT, "size": 13, "color": ink},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 8, "t": 22, "b": 8},
        "showlegend": len(named) > 1,
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.08,
            "yanchor": "bottom",
            "bgcolor": "rgba(0,0,0,0)",
            "itemwidth": 30,
        },
        "hovermode": "x unified" if chart.wide and not chart.y.categories else "closest",
        "bargap": 0.3,
        "xaxis": _axis(chart.x, grid),
        "yaxis": _axis(chart.y, grid),
        "shapes": [_guide_line(g, chart) for g in chart.guides],
        "annotations": [_guide_text(g) for g in chart.guides if g.text],
    }


def _axis(axis, grid: str) -> dict:
    low, high = axis.limits
    layout = {
        "title": {"text": _plain(axis.label), "standoff": 8, "font": {"size": 12}},
        "automargin": True,
        "gridcolor": grid,
        "zeroline": False,
        "linecolor": grid,
        "type": "category" if axis.categories else "linear",
    }
    if axis.whole:
        layout["dtick"] = 1
    if axis.reversed or axis.categories:
        layout["autorange"] = "reversed"
    elif low is not None and high is not None:
        layout["range"] = [low, high]
    elif low == 0:
        layout["rangemode"] = "tozero"
    return layout


def _guide_line(guide: Guide, chart: Chart) -> dict:
    ends = {"x0": 0, "x1": 1, "xref": "paper", "y0": guide.value, "y1": guide.value, "yref": "y"}
    if guide.axis == "x":
        ends = {"y0": 0, "y1": 1, "yref": "paper", "x0": guide.value, "x1": guide.value, "xref": "x"}
    return {
        "type": "line",
        "layer": "below" if guide.axis == "x" and isinstance(chart.series[0], Line) else "above",
        "line": {"color": PALETTE["grey"][0], "width": 1, "dash": "dot" if guide.axis == "x" else "dash"},
        **ends,
    }


def _guide_text(guide: Guide) -> dict:
    place = {"x": 1, "xref": "paper", "xanchor": "right", "y": guide.value, "yref": "y", "yanchor": "bottom"}
    if guide.axis == "x":
        place = {
            "x": guide.value,
            "xref": "x",
            "xanchor": "left",
            "y": 1,
            "yref": "paper",
            "yanchor": "bottom",
        }
    return {
        "text": _plain(guide.text),
        "showarrow": False,
        "font": {"size": 11, "color": PALETTE["grey"][0]},
        **place,
    }


def _hover(texts: tuple[str, ...]) -> dict:
    if not texts:
        return {"hovertemplate": "%{x:.4~g}: %{y:.4~g}<extra>%{fullData.name}</extra>"}
    return {
        "text": [_plain(t) for t in texts],
        "hovertemplate": "%{y:.4~g}, %{text}<extra>%{fullData.name}</extra>",
    }


def _small(values: np.ndarray) -> np.ndarray:
    """Half the bytes on the page; seven digits are more than a plot shows."""
    return np.asarray(values, dtype=np.float32)


def _plain(text: str) -> str:
    """plotly reads a little HTML in texts; names from bags are to be shown as they are."""
    return html.escape(str(text), quote=False)


def _clear(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{BAND})"
