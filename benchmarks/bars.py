"""The bars of closed-loop success: checkpoints of several training seeds, in every mode of the planner, baselines beside.

    python benchmarks/bars.py --checkpoints runs/all_0 runs/all_1 runs/all_2 --tasks reach,push
    python benchmarks/bars.py --checkpoints runs/all_0 runs/all_1 runs/all_2 --tasks far --set levels=2

Writes OUT/bars_TASK.json, every episode's outcome, error and planning time; `python benchmarks/results_table.py --write` makes the
tables and the verdicts of docs/results.md from them. Modes take turns on the same episodes, so that their planning times
may be compared. Stopped at any time, the same command goes on: finished episodes are kept in --work, each with the commit that
ran it; a result of several commits says so.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from bench_command import command_line, model_id, origin, planner_config
from episode_log import available, complete, figures, made_with
from result_files import made_by

from jepa_ros.cli.evaluate import FIRST_SEED, energy_weights
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.report import require_writable, write_json
from jepa_ros.evaluation.runner import Settings
from jepa_ros.planning.config import MODES
from jepa_ros.simulation.tasks import FarTask, Goal, Task, make_task

WITHOUT_NETWORKS = ("no_op", "random", "true_joints")
"""Baselines that are the same for every checkpoint; they run once."""
BASELINES = ("no_op", "random", "behaviour_cloning", "decoded_joints", "decoded_by_sight")
BEHIND_DEG = 60.0
"""A start is behind the cube where the way to it is within this of the way that the cube has to go."""
NOT_OF_THE_MODEL = {"seed", "threads", "device", "log_every", "save_every"}
"""Settings of a training in which the checkpoints of one row may differ."""


def main(argv: list[str] | None = None) -> int:
    """Run the episodes, write the files."""
    args = arguments(argv)
    try:
        trainings = same_but_for_the_seed({path: training(path) for path in args.checkpoints})
        for task in [make_task(name) for name in args.tasks.split(",")]:
            out = args.out / f"bars_{task.name}.json"
            require_writable(out)
            content = origin(command_line("benchmarks/bars.py", argv)) | measure(args, task, trainings)
            write_json(out, content)
            print(f"wrote {out}: {made_by(content)}")
    except JepaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def measure(args: argparse.Namespace, task: Task, trainings: dict[Path, dict]) -> dict:
    """One task with all checkpoints."""
    planner, weights = planner_config(args.set), energy_weights(args.weight)
    blocks, seeds, runs = args.blocks or task.blocks, range(args.seed, args.seed + args.episodes), []
    baselines = [name for name in args.baselines.split(",") if name and name != "none"]
    for path, found in trainings.items():
        settings = Settings(task.name, str(path), "checkpoint", planner, weights, blocks)
        wanted = [b for b in baselines if not (runs and b in WITHOUT_NETWORKS)]
        agents = available(settings, [*args.modes.split(","), *wanted])
        log = args.work / task.name / f"training_seed_{found['seed']}.jsonl"
        results = complete(log, settings, agents, seeds, args.processes)
        runs.append(
            {
                "training_seed": found["seed"],
                "model_id": model_id(path),
                "agents": {agent: figures(done) for agent, done in results.items()},
                "unavailable": [agent for agent in wanted if agent not in agents],
            }
        )
    shared = next(iter(trainings.values()))
    return {
        "task": task.name,
        "success_means": {"tolerance_m": task.tolerance, "hold_seconds": task.hold_seconds},
        "seeds": list(seeds),
        "raw_actions_away": raw_actions_away(task, seeds),
        "blocks": blocks,
        "starts": starts(task, seeds),
        "planner": planner.to_dict(),
        "weights": weights,
        "training": {key: value for key, value in shared.items() if key != "seed"},
        "runs": runs,
        **made_with([found for run in runs for found in run["agents"].values()]),
    }


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--checkpoints", nargs="+", type=Path, required=True, metavar="CKPT", help="one of each training seed"
    )
    parser.add_argument("--tasks", default="reach,push", metavar="LIST")
    parser.add_argument("--modes", default=",".join(MODES), metavar="LIST", help="of the planner")
    parser.add_argument("--baselines", default=",".join(BASELINES), metavar="LIST", help="or none")
    parser.add_argument("--episodes", type=int, default=100, help="of every agent and checkpoint")
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help="of the first episode")
    parser.add_argument("--blocks", type=int, help="budget of an episode (default: the task's own)")
    parser.add_argument("--weight", action="append", default=[], metavar="TERM=W", help="of a cost term")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of the planner's settings")
    parser.add_argument("--processes", type=int, default=1, help="workers; 1 for planning times")
    parser.add_argument("--work", type=Path, default=Path("runs/bars"), help="where episodes are kept")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="folder of the result files")
    return parser.parse_args(argv)


def training(path: Path) -> dict:
    """How a checkpoint was trained; JepaError where it does not say."""
    try:
        found = json.loads((path / "config.json").read_text())["training"]
        found["seed"], found["steps"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JepaError(
            f"checkpoint {path}: config.json tells no training seed; give what `jepa train` wrote"
        ) from error
    return found


def same_but_for_the_seed(trainings: dict[Path, dict]) -> dict[Path, dict]:
    """The same, by training seed; JepaError where they differ in anything else, or not in that."""
    first = next(iter(trainings.values()))
    for path, found in trainings.items():
        settings = sorted({*first, *found} - NOT_OF_THE_MODEL)
        differing = [key for key in settings if first.get(key) != found.get(key)]
        if differing:
            raise JepaError(f"{path} was trained with another {', '.join(differing)}: not one row of a table")
    if len({found["seed"] for found in trainings.values()}) < len(trainings):
        raise JepaError("two checkpoints have the same training seed; give one of each")
    return dict(sorted(trainings.items(), key=lambda item: item[1]["seed"]))


def raw_actions_away(task: Task, seeds: Sequence[int]) -> list[int] | None:
    """The fewest raw actions to each goal, of a task that counts them; None of another one."""
    if not isinstance(task, FarTask):
        return None
    return [task.actions(*task.episode(seed)) for seed in seeds]


def starts(task: Task, seeds: Sequence[int]) -> dict[str, list[int]]:
    """Of a task with a cube the seeds by where the gripper starts; {} of another one."""
    found = {"behind the cube": [], "around the cube": []}
    for seed in seeds:
        start, goal = task.episode(seed)
        if start.cube is None:
            return {}
        found["behind the cube" if is_behind(start, goal) else "around the cube"].append(seed)
    return found


def is_behind(start: Goal, goal: Goal) -> bool:
    """Whether the gripper need not go around the cube: the way to it leads on to where the cube has to go, seen from above."""
    there, onward = (start.cube - start.end_effector)[:2], (goal.cube - start.cube)[:2]
    along = there @ onward / (np.linalg.norm(there) * np.linalg.norm(onward))
    return bool(along >= np.cos(np.radians(BEHIND_DEG)))


if __name__ == "__main__":
    sys.exit(main())
