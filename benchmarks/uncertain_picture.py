"""The picture of benchmarks/uncertain_futures.py: the scene, what is predicted of it, which ways are taken, and what became of them."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from jepa_ros.simulation.light_curtain import HALF_DEPTH, HEIGHT
from jepa_ros.simulation.simulator import Simulator

COLOURS = {"one_future": "tab:grey", "several_futures": "tab:orange"}
SHOWN = (240, 320)
"""(height, width) px of the pictures of the scene."""


def draw(simulator: Simulator, passage: dict, places: dict, rows: list[dict], driven: dict) -> Figure:
    """passage: of uncertain_passages.find_passages.  places: of between_outcomes, by model.  rows: of driven episodes.
    driven: their figures, by who drove."""
    figure = Figure(figsize=(10, 8), layout="constrained", dpi=80)
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=(1.15, 1.0, 1.1))
    _scene(top, simulator, passage)
    _places(middle, places)
    _ways(bottom, rows, driven)
    return figure


def _scene(figure, simulator: Simulator, passage: dict) -> None:
    states = {"before": passage["start"]} | {
        f"one block later, {word}": passage["ends"][stopped]
        for stopped, word in ((False, "passed"), (True, "stopped"))
    }
    for axes, (title, state) in zip(figure.subplots(1, 3), states.items(), strict=True):
        simulator.reset(state)
        axes.imshow(simulator.render(size=SHOWN))
        axes.set_title(title, fontsize=9)
        axes.axis("off")


def _places(figure, places: dict) -> None:
    columns = figure.subplots(1, len(places), sharey=True)
    for axes, (name, found) in zip(columns, places.items(), strict=True):
        values = found["place"].reshape(-1)
        share = np.full(len(values), 100 / len(values))
        axes.hist(values.clip(-0.5, 1.5), np.linspace(-0.5, 1.5, 41), color=COLOURS[name], weights=share)
        for outcome in (0, 1):
            axes.axvline(outcome, color="black", lw=0.8, ls="--")
        axes.set_xticks([0, 0.5, 1], ["passed", "between", "stopped"])
        axes.set_title(f"the same block imagined, {name.replace('_', ' ')}", fontsize=9)
    columns[0].set_ylabel("% of predictions")


def _ways(figure, rows: list[dict], driven: dict) -> None:
    columns = figure.subplots(1, len(driven), sharey=True)
    for axes, (name, figures) in zip(columns, driven.items(), strict=True):
        axes.add_patch(Rectangle((-HALF_DEPTH, 0), 2 * HALF_DEPTH, HEIGHT, color="gold", alpha=0.5, lw=0))
        for row in rows:
            if row["agent"] == name:
                way = np.array(row["way"])
                towards = np.sign(way[0, 1])  # every way drawn from left to right
                axes.plot(
                    -towards * way[:, 1],
                    way[:, 2],
                    lw=0.6,
                    color="tab:red" if row["stopped"] else "tab:blue",
                    alpha=0.6,
                )
        axes.set_title(
            f"{name}:\nstopped {figures['stopped']}, arrived {figures['success']} of {figures['episodes']}",
            fontsize=8,
        )
        axes.set(xlim=(-0.2, 0.2), ylim=(0, 0.34), xlabel="m across the curtain")
    columns[0].set_ylabel("height of the gripper, m")
