"""How good must a proposal be? Modes and thresholds on the same episodes, which take turns: success, share, planning time.

python benchmarks/two_speeds.py --checkpoint CKPT
python benchmarks/two_speeds.py --checkpoint CKPT --episodes 100 --seed 3000 --left 0.1 0.2 0.4 --set iterations=2
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch
from bench_command import command_line, origin, planner_config

from jepa_ros.costs.energy import DEFAULT_WEIGHTS, Energy
from jepa_ros.evaluation.agents import PlannerAgent
from jepa_ros.evaluation.closed_loop import pace, run_episode
from jepa_ros.evaluation.report import summarise, write_json
from jepa_ros.export.choose import with_runtime
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task
from jepa_ros.world_model.checkpoint import load_checkpoint


def main(argv: list[str] | None = None) -> None:
    """Run the episodes, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="with heads")
    parser.add_argument("--task", default="reach")
    parser.add_argument("--episodes", type=int, default=30)
    parser.add_argument("--seed", type=int, default=3000, help="of the first episode")
    parser.add_argument("--blocks", type=int, help="budget of an episode (default: the task's own)")
    parser.add_argument(
        "--left", type=float, nargs="*", default=[0.1, 0.25, 0.5, 0.9, 1.0], help="values of hybrid_left"
    )
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="of the hybrid planner's settings"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args(argv)

    torch.set_num_threads(1)
    checkpoint = with_runtime(load_checkpoint(args.checkpoint), "auto", say=print)
    task = make_task(args.task)
    blocks, speed = args.blocks or task.blocks, pace(task, checkpoint.spec)
    hybrid = planner_config(args.set, mode="hybrid", speed=speed)
    configs = {
        "search": PlannerConfig(mode="search", speed=speed),
        "policy": PlannerConfig(mode="policy", speed=speed),
        **{f"hybrid {left:g}": replace(hybrid, hybrid_left=left) for left in args.left},
    }
    energy = Energy.of(checkpoint, DEFAULT_WEIGHTS)
    agents = {name: PlannerAgent(checkpoint, config, energy) for name, config in configs.items()}
    names, results = list(agents), {name: [] for name in agents}
    with Simulator(args.task, checkpoint.model.image_size) as simulator:
        for episode in range(args.episodes):
            first = episode % len(names)
            for name in names[first:] + names[:first]:
                seed = args.seed + episode
                results[name].append(run_episode(simulator, task, agents[name], seed, blocks, name))
            done = ", ".join(f"{name} {sum(r.success for r in found)}" for name, found in results.items())
            print(f"{episode + 1}/{args.episodes}: {done}", file=sys.stderr, flush=True)

    rows = [{"name": name, **summarise(found)} for name, found in results.items()]
    print(table(rows))
    if args.json is not None:
        words = origin(command_line("benchmarks/two_speeds.py", argv)) | {"model_id": checkpoint.model_id}
        planners = {name: config.to_dict() for name, config in configs.items()}
        write_json(args.json, {**words, "planners": planners, "rows": rows})


def table(rows: list[dict]) -> str:
    """As Markdown; times also as a share of search's."""
    usual = rows[0]["plan_ms_per_episode"]
    lines = [
        "| | success | Wilson 95 % | time to goal | plans of the policy | candidates | plan p50 / p95 | of search's time |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        seconds = row["median_seconds"]
        cells = (
            row["name"],
            f"{row['successes']} / {row['episodes']}",
            "{:.0%} - {:.0%}".format(*row["wilson_95"]),
            "-" if seconds is None else f"{seconds:.2f} s",
            f"{row['policy_share'] or 0:.0%}",
            f"{row['candidates_per_episode']:.0f}",
            f"{row['plan_ms_p50']:.1f} / {row['plan_ms_p95']:.1f} ms",
            f"{row['plan_ms_per_episode'] / usual:.2f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
