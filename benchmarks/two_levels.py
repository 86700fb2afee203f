"""One level or two? The same episodes in turns: success, blocks to success, how often the slow level was asked, planning time.

python benchmarks/two_levels.py --checkpoint CKPT
python benchmarks/two_levels.py --checkpoint CKPT --task reach --near 2 5 --looks 1 3 10 --set mode=hybrid
"""

import argparse
import itertools
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

TEMPORAL = DEFAULT_WEIGHTS | {"goal_distance": 0.0, "temporal_distance": 1.0}


def main() -> None:
    """Run the episodes, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="with heads that have a slow level")
    parser.add_argument("--task", default="far")
    parser.add_argument("--episodes", type=int, default=30)
    parser.add_argument("--seed", type=int, default=3000, help="of the first episode")
    parser.add_argument(
        "--near", type=float, nargs="*", default=[PlannerConfig.near_blocks], help="values of near_blocks"
    )
    parser.add_argument(
        "--looks", type=int, nargs="*", default=[PlannerConfig.target_looks], help="values of target_looks"
    )
    parser.add_argument(
        "--set", nargs="*", default=["mode=search"], metavar="KEY=VALUE", help="of the planner's settings"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()

    torch.set_num_threads(1)
    checkpoint = with_runtime(load_checkpoint(args.checkpoint), "auto", say=print)
    task = make_task(args.task)
    flat = planner_config(args.set, speed=pace(task, checkpoint.spec))
    ways = {"one level": (flat, DEFAULT_WEIGHTS), "one level, temporal distance": (flat, TEMPORAL)}
    for near, looks in itertools.product(args.near, args.looks):
        two = replace(flat, levels=2, near_blocks=near, target_looks=looks)
        ways[f"two levels, near {near:g}, looks {looks}"] = two, DEFAULT_WEIGHTS
    agents = {
        name: PlannerAgent(checkpoint, config, Energy.of(checkpoint, weights))
        for name, (config, weights) in ways.items()
    }
    results, asked = ({name: [] for name in agents} for _ in range(2))
    with Simulator(args.task, checkpoint.model.image_size) as simulator:
        for episode in range(args.episodes):
            first = episode % len(agents)
            for name in [*agents][first:] + [*agents][:first]:
                results[name].append(
                    run_episode(simulator, task, agents[name], args.seed + episode, task.blocks, name)
                )
                hierarchy = agents[name].episode.hierarchy
                asked[name].append(0 if hierarchy is None else hierarchy.asked)
            done = ", ".join(f"{name} {sum(r.success for r in found)}" for name, found in results.items())
            print(f"{episode + 1}/{args.episodes}: {done}", file=sys.stderr, flush=True)

    rows = [
        {"name": name, **summarise(found), "asked_per_episode": sum(asked[name]) / len(found)}
        for name, found in results.items()
    ]
    print(table(rows))
    if args.json is not None:
        words = origin(command_line("benchmarks/two_levels.py", None)) | {"model_id": checkpoint.model_id}
        planners = {name: config.to_dict() for name, (config, _) in ways.items()}
        write_json(args.json, {**words, "planners": planners, "rows": rows})


def table(rows: list[dict]) -> str:
    """As Markdown."""
    lines = [
        "| | success | Wilson 95 % | median error | time to goal | slow level asked | plan p50 / p95 |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        seconds = row["median_seconds"]
        cells = (
            row["name"],
            f"{row['successes']} / {row['episodes']}",
            "{:.0%} - {:.0%}".format(*row["wilson_95"]),
            f"{100 * row['median_error_m']:.1f} cm",
            "-" if seconds is None else f"{seconds:.1f} s",
            f"{row['asked_per_episode']:.1f} an episode",
            f"{row['plan_ms_p50']:.1f} / {row['plan_ms_p95']:.1f} ms",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
