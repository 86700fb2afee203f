"""Visual shifts over several training seeds, models beside each other: one table of many runs of `jepa evaluate --shifts`.

    python benchmarks/shift_seeds.py --out docs/results/shifts_reach \
        --runs "augmented=runs/a0.json,runs/a1.json,runs/a2.json" --runs "not augmented=models/plain.json"

Writes OUT.json, every episode's outcome, and OUT.md; baselines that the runs hold stand beside the planner. The runs of a model differ in their training seed alone; all runs have the
same episodes, conditions and goals. Wilson intervals take the episodes of all training seeds as independent; ratios are of
episodes averaged over the seeds, so that a goal counts once. Neither holds the spread between trainings: the least seed stands beside.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.evaluation.shifts.figures import compare, rate_words, ratio_words
from jepa_ros.evaluation.shifts.ratio import success_ratio

LEAST_MEAN, LEAST_SHIFT = 0.8, 0.6
"""Bars at medium strength, as ratios to clean success."""
CLEAN = "clean"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs",
        action="append",
        required=True,
        metavar="NAME=FILE,...",
        help="shifts.json of a model's seeds",
    )
    parser.add_argument("--out", required=True, type=Path, help="without suffix")
    args = parser.parse_args(argv)
    try:
        models = {
            name: [_read(Path(file)) for file in files.split(",")] for name, files in map(_named, args.runs)
        }
        content = combine(models)
    except JepaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    args.out.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")
    args.out.with_suffix(".md").write_text(page(content))
    print(page(content))
    return 0


def combine(models: dict[str, list[dict]]) -> dict:
    """What was run, and of every model and condition one string of outcomes per training seed, "1" for success."""
    settings = [_settings(run) for runs in models.values() for run in runs]
    if any(other != settings[0] for other in settings):
        raise JepaError(
            "the runs differ in task, seeds, goals, shifts or planner: they cannot stand in one table"
        )
    return {
        **settings[0],
        "models": {
            name if agent == "planner" else f"{name}: {agent}": [
                {"checkpoint": run["checkpoint"]["model_id"], "outcomes": _outcomes(run, agent)}
                | {key: run[key] for key in ("date", "commit") if key in run}
                for run in runs
            ]
            for name, runs in models.items()
            for agent in sorted({row["agent"] for row in runs[0]["rows"]}, key="planner".__ne__)
        },
    }


def page(content: dict) -> str:
    """Markdown: a table per strength, and whether the bars are met."""
    models = content["models"]
    strengths = [s for s in ("weak", "medium", "strong") if _names(models, s)]
    parts = [
        f"# Visual shifts, {content['task']}, goal pictures {content['goals']}",
        f"{len(_first_run(models)['outcomes'][CLEAN])} episodes (seeds {content['seeds'][0]} to {content['seeds'][-1]}) for each training seed. "
        "Per model: successes of all its training seeds with their Wilson interval; success as a ratio to clean success on the "
        "same episodes (95 %, paired); the least ratio of one training seed.",
    ]
    for strength in strengths:
        names = _names(models, strength)
        rows = [["shift", *models], ["---"] * (1 + len(models))]
        rows.append([CLEAN, *(_rate(_pooled(runs, CLEAN)) for runs in models.values())])
        rows += [[n, *(_cell(runs, f"{n} {strength}") for runs in models.values())] for n in names]
        rows.append(["**mean**", *(_mean_cell(runs, names, strength) for runs in models.values())])
        parts += [f"## {strength}", "\n".join("| " + " | ".join(row) + " |" for row in rows)]
        if strength == "medium":
            parts.append("\n".join(_bars(name, runs, names) for name, runs in models.items()))
    return "\n\n".join(parts) + "\n"


def summary(content: dict, strength: str = "medium") -> dict[str, tuple[str, str, str]]:
    """Of every model, in the words of a table: clean success, the mean over shifts, the worst shift."""
    models = content["models"]
    names, words = _names(models, strength), {}
    for name, runs in models.items():
        worst = _worst(runs, names, strength)
        words[name] = (
            _rate(_pooled(runs, CLEAN)),
            _mean_cell(runs, names, strength),
            f"{worst} {_ratio(runs, [f'{worst} {strength}'])}",
        )
    return words


def _bars(name: str, runs: list[dict], names: list[str]) -> str:
    clean, worst = _pooled(runs, CLEAN), _worst(runs, names, "medium")
    ratios = {n: success_ratio(clean, _pooled(runs, f"{n} medium")) or 0.0 for n in names}
    mean = float(np.mean(list(ratios.values())))
    return (
        f"- {name}: mean {mean:.2f} of clean, bar {LEAST_MEAN}: **{_met(mean >= LEAST_MEAN)}**; worst shift {worst} "
        f"{ratios[worst]:.2f}, bar {LEAST_SHIFT}: **{_met(ratios[worst] >= LEAST_SHIFT)}**"
    )


def _worst(runs: list[dict], names: list[str], strength: str) -> str:
    return min(names, key=lambda name: _pooled(runs, f"{name} {strength}").sum())


def _names(models: dict[str, list[dict]], strength: str) -> list[str]:
    conditions = _first_run(models)["outcomes"]
    return [key.removesuffix(f" {strength}") for key in conditions if key.endswith(f" {strength}")]


def _met(yes: bool) -> str:
    return "met" if yes else "not met"


def _cell(runs: list[dict], condition: str) -> str:
    return f"{_rate(_pooled(runs, condition))} {_ratio(runs, [condition])}"


def _mean_cell(runs: list[dict], names: list[str], strength: str) -> str:
    return _ratio(runs, [f"{name} {strength}" for name in names])


def _ratio(runs: list[dict], conditions: list[str]) -> str:
    def outcomes(some: list[dict]) -> np.ndarray:
        return np.mean([_by_episode(some, condition) for condition in conditions], axis=0)

    clean, shifted = _by_episode(runs, CLEAN), outcomes(runs)
    words = ratio_words(compare(clean, shifted))
    if len(runs) == 1 or not clean.any():
        return words
    least = min(success_ratio(_by_episode([run], CLEAN), outcomes([run])) or 0.0 for run in runs)
    return f"{words}, least {least:.2f}"


def _rate(outcomes: np.ndarray) -> str:
    return rate_words(int(outcomes.sum()), len(outcomes))


def _pooled(runs: list[dict], condition: str) -> np.ndarray:
    return np.array([int(c) for run in runs for c in run["outcomes"][condition]], float)


def _by_episode(runs: list[dict], condition: str) -> np.ndarray:
    """Success of every episode, a mean over the training seeds."""
    return _pooled(runs, condition).reshape(len(runs), -1).mean(0)


def _first_run(models: dict[str, list[dict]]) -> dict:
    return next(iter(models.values()))[0]


def _settings(run: dict) -> dict:
    return {
        key: run[key]
        for key in ("task", "seeds", "goals", "shifts", "success_means", "budget", "planner", "weights")
    }


def _outcomes(run: dict, agent: str) -> dict[str, str]:
    found: dict[str, dict[int, bool]] = {}
    for row in run["rows"]:
        if row["agent"] == agent:
            condition = CLEAN if row["shift"] is None else f"{row['shift']} {row['strength']}"
            found.setdefault(condition, {})[row["seed"]] = row["success"]
    return {name: "".join("01"[done[seed]] for seed in sorted(done)) for name, done in found.items()}


def _named(text: str) -> tuple[str, str]:
    name, equals, files = text.partition("=")
    if not (name and equals and files):
        raise JepaError(f"--runs {text}: write NAME=FILE,FILE,...")
    return name, files


def _read(file: Path) -> dict:
    try:
        run = json.loads(file.read_text())
        _settings(run), run["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JepaError(f"{file}: no shifts.json of `jepa evaluate --shifts` ({error!r})") from error
    return run


if __name__ == "__main__":
    sys.exit(main())
