"""The picture of a training run: losses beside the figures that would show a collapse."""

import json
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jepa_ros.training.selection import merit

LOSSES = {
    "one_step": "next latent",
    "multi_step": "open-loop latents",
    "proprio": "joint positions",
    "joint_head": "joint read-out",
    "regulariser": "anti-collapse",
}


def plot_training(metrics: Path, out: Path) -> None:
    """Draw ``metrics.jsonl`` as a PNG: loss terms (log scale), latent deviation and effective rank, and where candidates
    were tried, how they did."""
    lines = [json.loads(line) for line in Path(metrics).read_text().splitlines() if line.strip()]
    rows, candidates = ([row for row in lines if ("tasks" in row) == kind] for kind in (False, True))
    if not rows:
        return
    figure = Figure(figsize=(11 if not candidates else 16, 4), layout="constrained", dpi=110)
    losses, health, *selection = figure.subplots(1, 3 if candidates else 2)
    _losses(losses, rows)
    _health(health, rows)
    if candidates:
        _candidates(selection[0], candidates)
    figure.savefig(out)


def _losses(axes: Axes, rows: list[dict]) -> None:
    steps = [row["step"] for row in rows]
    for key, label in LOSSES.items():
        if key in rows[0]:
            axes.plot(steps, [row[key] for row in rows], label=label, linewidth=1.2)
    axes.set(yscale="log", xlabel="step", title="Loss terms")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)


def _health(axes: Axes, rows: list[dict]) -> None:
    steps = [row["step"] for row in rows]
    axes.plot(steps, [row["effective_rank"] for row in rows], color="tab:blue", label="effective rank")
    axes.set(xlabel="step", title="Collapse watch", ylim=(0, None))
    axes.set_ylabel("effective rank of the latents", color="tab:blue")
    deviation = axes.twinx()
    deviation.plot(steps, [row["latent_std"] for row in rows], color="tab:orange", label="mean")
    deviation.plot(
        steps, [row["latent_std_min"] for row in rows], color="tab:orange", linestyle=":", label="least"
    )
    deviation.set_ylim(0, None)
    deviation.set_ylabel("standard deviation (mean, least)", color="tab:orange")
    axes.grid(alpha=0.3)


def _candidates(axes: Axes, candidates: list[dict]) -> None:
    steps = [row["step"] for row in candidates]
    for name in candidates[0]["tasks"]:
        found = [row["tasks"][name] for row in candidates]
        share = [100 * task["successes"] / task["episodes"] for task in found]
        axes.plot(steps, share, marker="o", label=f"{name}, {found[0]['episodes']} episodes")
    axes.axvline(max(candidates, key=merit)["step"], color="black", linestyle=":", label="chosen, of these")
    axes.set(xlabel="step", title="Candidates in the closed loop", ylabel="success, %", ylim=(-3, 103))
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
