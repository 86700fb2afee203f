"""The table of ablations, from the ablations.json of `benchmarks/ablations.py`."""

from pathlib import Path

import numpy as np
from ablation_parts import WHOLE, Variant, variants
from result_files import NOT_MEASURED, made_by, markdown, read

from jepa_ros.evaluation.shifts.figures import compare, rate_words, ratio_words

FILE = "ablations.json"
TASKS = ("reach", "push", "far")
"""Columns where nothing is measured yet."""


def table(results: Path) -> str:
    """Markdown; a part without figures says that it is not measured."""
    content = read(results / FILE)
    tasks = list(content["tasks"]) if content else list(TASKS)
    head = ["taken away", "in its place", "trained anew"]
    head += [words for task in tasks for words in (f"{task}: success (Wilson 95 %)", "beside the whole")]
    rows = [
        [variant.part, variant.instead, "yes" if variant.train or name == WHOLE else "no"]
        + [cell for task in tasks for cell in cells(content, name, task)]
        for name, variant in parts(content).items()
    ]
    return "\n\n".join([*([command(content)] if content else []), markdown(head, rows)])


def parts(content: dict | None) -> dict[str, Variant]:
    """All variants; where nothing is measured yet, of a whole that has every part."""
    if content is None:
        return variants({"temporal_distance": 1.0}, levels=2)
    return variants(content["weights"], content["planner"]["levels"])


def command(content: dict) -> str:
    """What was run, in words."""
    trained = sorted(
        {run["training_seed"] for found in content["variants"].values() for run in found["runs"]}
    )
    weights = ", ".join(f"{name} {weight:g}" for name, weight in content["weights"].items() if weight)
    planner = content["planner"]
    driven = ", ".join(f"{name} {task['blocks']}" for name, task in content["tasks"].items())
    return (
        f"`{content['command']}`, {content['training'].get('steps')} steps, training seeds "
        f"{', '.join(map(str, trained))}, episodes of seeds {content['seeds'][0]} to "
        f"{content['seeds'][-1]}, blocks at most: {driven}; the whole plans in mode `{planner['mode']}` on {planner['levels']} level(s) "
        f"with weights {weights}; {made_by(content)}"
    )


def cells(content: dict | None, name: str, task: str) -> tuple[str, str]:
    """Success of a variant on a task, and as a ratio to that of the whole on the same episodes of the same training seeds."""
    mine, whole = by_training(content, name, task), by_training(content, WHOLE, task)
    if not mine:
        return NOT_MEASURED, ""
    pooled = np.concatenate(list(mine.values()))
    words = rate_words(int(pooled.sum()), len(pooled))
    both = [seed for seed in mine if seed in whole]
    if name == WHOLE or not both:
        return words, ""
    paired = (
        np.mean([found[seed] for seed in both], axis=0) for found in (whole, mine)
    )  # a goal counts once
    return words, ratio_words(compare(*paired))


def by_training(content: dict | None, name: str, task: str) -> dict[int, np.ndarray]:
    """Training seed -> outcomes (episodes,) 0 or 1; those that are finished."""
    runs = ((content or {}).get("variants", {}).get(name) or {}).get("runs", [])
    return {
        run["training_seed"]: np.array([int(c) for c in run["tasks"][task]["outcomes"]], float)
        for run in runs
        if task in run["tasks"]
    }
