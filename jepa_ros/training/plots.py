"""The picture of a training run: losses beside the figures that would show a collapse."""

import json
from pathlib import Path

from matplotlib.figure import Figure

LOSSES = {
    "one_step": "next latent",
    "multi_step": "open-loop latents",
    "proprio": "joint positions",
    "joint_head": "joint read-out",
    "regulariser": "anti-collapse",
}


def plot_training(metrics: Path, out: Path) -> None:
    """Draw ``metrics.jsonl`` as a PNG: loss terms (log scale), latent deviation and effective rank."""
    rows = [json.loads(line) for line in Path(metrics).read_text().splitlines() if line.strip()]
    if not rows:
        return
    steps = [row["step"] for row in rows]
    figure = Figure(figsize=(11, 4), layout="constrained", dpi=110)
    losses, health = figure.subplots(1, 2)
    for key, label in LOSSES.items():
        if key in rows[0]:
            losses.plot(steps, [row[key] for row in rows], label=label, linewidth=1.2)
    losses.set(yscale="log", xlabel="step", title="Loss terms")
    losses.legend(fontsize=8)
    losses.grid(alpha=0.3)
    health.plot(steps, [row["effective_rank"] for row in rows], color="tab:blue", label="effective rank")
    health.set(xlabel="step", title="Collapse watch", ylim=(0, None))
    health.set_ylabel("effective rank of the latents", color="tab:blue")
    deviation = health.twinx()
    deviation.plot(steps, [row["latent_std"] for row in rows], color="tab:orange", label="mean")
    deviation.plot(
        steps, [row["latent_std_min"] for row in rows], color="tab:orange", linestyle=":", label="least"
    )
    deviation.set_ylim(0, None)
    deviation.set_ylabel("standard deviation (mean, least)", color="tab:orange")
    health.grid(alpha=0.3)
    figure.savefig(out)
