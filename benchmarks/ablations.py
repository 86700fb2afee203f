"""Ablations: the whole and variants with one part taken away each, trained alike and measured on the same episodes.

    python benchmarks/ablations.py --bags bags/reach_scenes --train "--preset reach" --tasks reach
    python benchmarks/ablations.py ... --only multi_step,ema --training-seeds 0,1,2

A folder per variant in --work; stopped at any time, the same command goes on, training and episodes alike, and what is finished is
not repeated. The result file is written whenever a variant is done, with all that is finished in --work;
`python benchmarks/results_table.py --write` makes the table of docs/results.md from it. Planning parts are other settings on the
whole's checkpoint; all else is trained anew by `jepa train`.
"""

import argparse
import contextlib
import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ablation_parts import WHOLE, Variant, variants
from bench_command import command_line, model_id, origin, planner_config
from episode_log import available, complete, figures, is_complete, made_with
from result_files import made_by

from jepa_ros.cli.evaluate import FIRST_SEED, energy_weights
from jepa_ros.cli.main import EXIT_INTERRUPTED
from jepa_ros.cli.main import main as jepa
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.report import require_writable, write_json, write_text
from jepa_ros.evaluation.runner import PLANNER, Settings
from jepa_ros.simulation.tasks import make_task

TRAINED = "trained.json"
"""In the folder of a variant whose training is done: the command that did it."""


def main(argv: list[str] | None = None) -> int:
    """Train, run the episodes, write the file."""
    args = arguments(argv)
    try:
        plan = Plan(args)
        require_writable(args.json)
        for seed in args.training_seeds:
            for name in plan.chosen:
                plan.train(name, seed)
                plan.drive(name, seed)
                content = plan.content(command_line("benchmarks/ablations.py", argv))
                write_json(args.json, content)
        print(f"wrote {args.json}: {made_by(content)}")
    except JepaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


class Plan:
    """What is to be done, and where it is kept."""

    def __init__(self, args: argparse.Namespace):
        """JepaError where the command line cannot be followed."""
        self.args = args
        self.planner, self.weights = planner_config(args.set), energy_weights(args.weight)
        self.variants = variants(self.weights, self.planner.levels)
        self.tasks = {name: make_task(name) for name in args.tasks.split(",")}
        self.seeds = range(args.seed, args.seed + args.episodes)
        unknown = [name for name in args.only if name not in self.variants]
        if unknown:
            raise JepaError(f"--only: unknown {', '.join(unknown)}; known: {', '.join(self.variants)}")
        self.chosen = [name for name in self.variants if not args.only or name in (WHOLE, *args.only)]

    def checkpoint(self, name: str, seed: int) -> Path:
        """Where a variant's checkpoint is, or will be."""
        owner = name if self.variants[name].train else WHOLE
        return self.args.work / owner / f"training_seed_{seed}" / "checkpoint"

    def log(self, name: str, seed: int, task: str) -> Path:
        """Where its episodes are kept."""
        return self.args.work / name / f"training_seed_{seed}" / f"{task}.jsonl"

    def settings(self, name: str, seed: int, task: str) -> Settings:
        """What its episodes run with."""
        variant = self.variants[name]
        planner, weights = replace(self.planner, **variant.planner), {**self.weights, **variant.weights}
        checkpoint, blocks = str(self.checkpoint(name, seed)), self.blocks(task)
        return Settings(task, checkpoint, "checkpoint", planner, weights, blocks)

    def blocks(self, task: str) -> int:
        """The budget of an episode."""
        return self.args.blocks or self.tasks[task].blocks

    def train(self, name: str, seed: int) -> None:
        """Its checkpoint, where it is not there yet; its output goes to train.log beside it."""
        args, checkpoint = self.args, self.checkpoint(name, seed)
        steps = [] if args.steps is None else ["--steps", str(args.steps)]
        words = ["train", "--bags", *map(str, args.bags), "--out", str(checkpoint), *steps]
        words += ["--seed", str(seed), "--threads", str(args.threads), "--baseline-steps", "0"]
        train_once(checkpoint, [*words, *shlex.split(args.train), *self.variants[name].train])

    def drive(self, name: str, seed: int) -> None:
        """Its episodes, those that are not there yet."""
        for task in self.tasks:
            settings, log = self.settings(name, seed, task), self.log(name, seed, task)
            if not is_complete(log, settings, [PLANNER], self.seeds):
                available(settings, [PLANNER])
                complete(log, settings, [PLANNER], self.seeds, self.args.processes)

    def content(self, command: str) -> dict:
        """The result file: all that is finished, chosen now or before."""
        found = {name: self._runs(name) for name in self.variants}
        runs = [run for runs_of_it in found.values() for run in runs_of_it]
        training = next((run["training"] for run in runs), {})
        return {
            "tasks": {
                name: {"tolerance_m": task.tolerance, "blocks": self.blocks(name)}
                for name, task in self.tasks.items()
            },
            "seeds": list(self.seeds),
            "planner": self.planner.to_dict(),
            "weights": self.weights,
            "training": training,
            "variants": {
                name: describe(self.variants[name])
                | {"runs": [{k: v for k, v in run.items() if k != "training"} for run in runs]}
                for name, runs in found.items()
                if runs
            },
            **origin(command),
            **made_with([part for run in runs for part in (run, *run["tasks"].values())]),
        }

    def _runs(self, name: str) -> list[dict]:
        runs = []
        for seed in self.args.training_seeds:
            checkpoint = self.checkpoint(name, seed)
            if not (checkpoint / TRAINED).is_file():
                continue
            driven = {}
            for task in self.tasks:
                settings, log = self.settings(name, seed, task), self.log(name, seed, task)
                if is_complete(log, settings, [PLANNER], self.seeds):
                    driven[task] = figures(complete(log, settings, [PLANNER], self.seeds)[PLANNER])
            config = json.loads((checkpoint / "config.json").read_text())
            if driven:
                runs.append(
                    {
                        "training_seed": seed,
                        "model_id": model_id(checkpoint),
                        "commits": [config.get("commit", "unknown")],
                        "training": {k: v for k, v in config["training"].items() if k != "seed"},
                        "data": config["data"],
                        "training_seconds": round(config["metrics"]["training_seconds"]),
                        "tasks": driven,
                    }
                )
        return runs


def train_once(checkpoint: Path, words: list[str]) -> None:
    """`jepa` with these words, in this process, unless that is done; a stopped training goes on. JepaError where the folder
    belongs to another training, or this one fails."""
    marker, log = checkpoint / TRAINED, checkpoint.parent / "train.log"
    if marker.is_file():
        before = json.loads(marker.read_text())
        if before != words:
            raise JepaError(
                f"{checkpoint} was trained by another command, `jepa {shlex.join(before)}`: give that one, choose another "
                "--work, or delete the folder"
            )
        return
    checkpoint.mkdir(parents=True, exist_ok=True)
    print(f"jepa {shlex.join(words)}  (told in {log})", file=sys.stderr, flush=True)
    with open(log, "a") as told, contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        try:
            status = jepa(words)
        except SystemExit as refused:  # argparse's
            status = refused.code
    if status == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    if status:
        last = log.read_text().strip().rpartition("\n")[2]
        raise JepaError(f"`jepa train` into {checkpoint} failed: {last}")
    write_text(marker, json.dumps(words) + "\n")


def describe(variant: Variant) -> dict:
    """For the result file."""
    changes: dict[str, Mapping] = {"planner": dict(variant.planner), "weights": dict(variant.weights)}
    return {"part": variant.part, "instead": variant.instead, "train": list(variant.train), **changes}


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bags", nargs="+", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--train", default="", metavar="WORDS", help="more options for every `jepa train`, in one string"
    )
    parser.add_argument("--steps", type=int, help="of every training (default: what `jepa train` takes)")
    parser.add_argument(
        "--training-seeds", type=lambda t: [int(s) for s in t.split(",")], default=[0], metavar="LIST"
    )
    parser.add_argument("--threads", type=int, default=2, help="of a training")
    parser.add_argument("--tasks", default="reach", metavar="LIST")
    parser.add_argument("--episodes", type=int, default=100, help="of each variant, training seed and task")
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help="of the first episode")
    parser.add_argument("--blocks", type=int, help="budget of an episode (default: the task's own)")
    parser.add_argument(
        "--weight", action="append", default=[], metavar="TERM=W", help="of a cost term of the whole"
    )
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of the whole's planner")
    parser.add_argument(
        "--only",
        type=lambda t: t.split(","),
        default=[],
        metavar="LIST",
        help=f"these variants, and the whole; of {', '.join(variants({}, 1))}",
    )
    parser.add_argument("--processes", type=int, default=1, help="workers for episodes")
    parser.add_argument("--work", type=Path, default=Path("runs/ablations"), help="what goes on is kept here")
    parser.add_argument("--json", type=Path, default=Path("docs/results/ablations.json"), metavar="FILE")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
