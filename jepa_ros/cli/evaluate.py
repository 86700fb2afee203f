"""`jepa evaluate`: closed-loop success without ROS, beside baselines on the same episodes."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path

from jepa_ros.cli import evaluate_shifts
from jepa_ros.cli.checkpoint_options import add_runtime_option, add_sha256_option
from jepa_ros.cli.evaluate_words import Progress, budget_seconds, describe
from jepa_ros.cli.futures_options import add_futures_options, futures_of, require_codes, risk_of
from jepa_ros.errors import JepaError
from jepa_ros.planning.config import CHOICES, PlannerConfig
from jepa_ros.world_model.trust import require_digest

FIRST_SEED = 1000
"""Reported evaluations start here, demos below; recording draws from a stream apart, so training saw none
of them."""

_PLANNER_FIELDS = tuple(f for f in fields(PlannerConfig) if f.name != "seed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jepa evaluate`."""
    parser.add_argument("--task", default="reach", help="reach, push, far or curtain")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="CKPT", help="a directory that `jepa train --out` wrote"
    )
    add_sha256_option(parser)
    add_runtime_option(parser)
    parser.add_argument(
        "--model",
        choices=("checkpoint", "oracle"),
        default="checkpoint",
        help="what the planner imagines with: the checkpoint's world model, or the simulator itself "
        "with the true joint distance as cost",
    )
    parser.add_argument("--episodes", type=int, default=100, help="episodes per agent")
    parser.add_argument(
        "--seed", type=int, default=FIRST_SEED, help="seed of the first episode; then upwards"
    )
    parser.add_argument(
        "--blocks", type=int, help="budget of an episode, in action blocks (default: the task's own)"
    )
    parser.add_argument(
        "--latency",
        type=float,
        default=0.10,
        help="robot time from an image to the motion that comes of it, s",
    )
    parser.add_argument(
        "--settle", type=float, default=0.05, help="robot time from a block's end to the next image, s"
    )
    parser.add_argument(
        "--baselines",
        metavar="LIST",
        help="all, none, or some of no_op,random,behaviour_cloning,decoded_joints; by name alone also "
        "decoded_by_sight,true_joints (default: all; with --shifts none)",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write figures, settings and every episode to FILE"
    )
    parser.add_argument("--processes", type=int, default=2, help="worker processes")
    parser.add_argument(
        "--meshes", choices=("boxes", "full"), default="boxes", help="geometry that the camera sees"
    )
    parser.add_argument(
        "--weight",
        action="append",
        default=[],
        metavar="TERM=W",
        help="weight of a cost term; may be repeated",
    )
    add_futures_options(parser)
    evaluate_shifts.add_arguments(parser)
    group = parser.add_argument_group("planner", "settings that replace the planner's own")
    for item in _PLANNER_FIELDS:
        choices = CHOICES.get(item.name)
        kind = {"int": int, "float": float}.get(getattr(item.type, "__name__", item.type), str)
        group.add_argument(
            f"--{item.name.replace('_', '-')}",
            dest=f"planner_{item.name}",
            type=kind,
            choices=choices,
            default=argparse.SUPPRESS,
            metavar=None if choices else kind.__name__[0].upper(),
            help=f"(default: {item.default})",
        )


def run(args: argparse.Namespace) -> int:
    """Run the episodes, print the table, write the JSON; 0 whatever the success rate is."""
    from jepa_ros.evaluation.closed_loop import Timing
    from jepa_ros.evaluation.report import require_writable, summarise, table, unavailable
    from jepa_ros.evaluation.runner import ORACLE, PLANNER, Bench, Settings, run_all
    from jepa_ros.simulation.tasks import make_task

    if args.blocks is None:
        args.blocks = make_task(args.task).blocks
    for name in ("episodes", "blocks", "processes"):
        if getattr(args, name) < 1:
            raise JepaError(f"--{name} is {getattr(args, name)}; it must be at least 1")
    if args.seed < 0:
        raise JepaError(f"--seed is {args.seed}; it must not be negative")
    if args.checkpoint is None and args.model == "checkpoint":
        raise JepaError(
            "give --checkpoint CKPT, a directory that `jepa train --out` wrote, or --model oracle"
        )
    if args.checkpoint is not None:
        require_digest(args.checkpoint, args.sha256)
    if args.baselines is None:
        args.baselines = "all" if args.shifts is None else "none"
    baselines = chosen_baselines(args.baselines)
    evaluate_shifts.complete(args)
    settings = Settings(
        args.task,
        None if args.checkpoint is None else str(args.checkpoint),
        args.model,
        planner_config(args),
        energy_weights(args.weight),
        args.blocks,
        Timing(args.latency, args.settle),
        args.meshes,
        args.runtime,
        args.sha256,
        risk_of(args),
        futures_of(args),
    )

    # Everything that can be refused is refused here, before the first episode.
    bench = Bench(settings, say=lambda text: print(text, file=sys.stderr))
    agent = ORACLE if args.model == "oracle" else PLANNER
    bench.simulator  # noqa: B018
    bench.agent(agent)
    require_codes(args, 0 if agent == ORACLE else bench.checkpoint.model.codes)
    names, missing = [agent], {}
    for name in baselines:
        try:
            bench.agent(name)
            names.append(name)
        except JepaError as error:
            missing[name] = str(error)
    if args.json is not None:
        require_writable(args.json)
    if args.shifts is not None:
        return evaluate_shifts.run(args, settings, bench, names, missing, _origin(args, settings, bench))
    print(describe(args, settings, bench))
    bench.simulator.close()

    began = time.monotonic()
    results = run_all(
        settings,
        names,
        list(range(args.seed, args.seed + args.episodes)),
        args.processes,
        Progress(len(names) * args.episodes),
    )
    seconds = time.monotonic() - began
    summaries = {name: summarise(results[name]) for name in names}
    for name, reason in missing.items():
        summaries[name] = unavailable(reason)
    robot_seconds = sum(r.seconds for found in results.values() for r in found)
    print(table(summaries))
    speed = robot_seconds / seconds
    print(f"{robot_seconds:.0f} s of robot time in {seconds:.0f} s ({speed:.1f} times real time)")
    if args.json is not None:
        _write(args, settings, bench, agent, baselines, summaries, results, seconds)
    return 0


def chosen_baselines(text: str) -> list[str]:
    """`all`, `none` or a comma-separated list -> names."""
    from jepa_ros.evaluation.runner import BASELINES, YARDSTICKS

    if text in ("all", "none"):
        return list(BASELINES) if text == "all" else []
    names = [name.strip().replace("-", "_") for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in BASELINES + YARDSTICKS]
    if unknown:
        raise JepaError(
            f"--baselines: unknown {', '.join(unknown)}; known: {', '.join(BASELINES)}, or "
            f"all, or none; by name alone also {', '.join(YARDSTICKS)}"
        )
    return list(dict.fromkeys(names))


def planner_config(args: argparse.Namespace) -> PlannerConfig:
    """The planner's own settings with what the command line replaces."""
    given = {
        item.name: getattr(args, f"planner_{item.name}")
        for item in _PLANNER_FIELDS
        if hasattr(args, f"planner_{item.name}")
    }
    return PlannerConfig.from_dict(given)


def energy_weights(words: list[str]) -> dict[str, float]:
    """The default weights of the cost terms with what `--weight TERM=W` replaces."""
    from jepa_ros.costs.energy import DEFAULT_WEIGHTS, TERMS

    weights = dict(DEFAULT_WEIGHTS)
    for word in words:
        name, _, value = word.partition("=")
        if name not in TERMS:
            raise JepaError(f"--weight {word}: unknown cost term {name!r}; known: {', '.join(TERMS)}")
        try:
            weights[name] = float(value)
        except ValueError as error:
            raise JepaError(f"--weight {word}: {value!r} is not a number; write it as {name}=1.0") from error
    return weights


def _origin(args, settings, bench) -> dict:
    """What it takes to repeat the run, for its JSON."""
    from jepa_ros.cli.main import package_version
    from jepa_ros.evaluation import provenance

    checkpoint = None
    if bench.checkpoint is not None:
        from jepa_ros.world_model.checkpoint import file_sha256

        checkpoint = {
            "path": settings.checkpoint,
            "model_id": bench.checkpoint.model_id,
            "runtime": bench.checkpoint.model.runtime,
            "sha256": {
                p.name: file_sha256(p)
                for p in sorted(Path(settings.checkpoint).iterdir())
                if p.suffix in (".safetensors", ".json")
            },
        }
    arguments = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items() if k != "run"}
    return {
        "task": settings.task,
        "seeds": [args.seed, args.seed + args.episodes - 1],
        "success_means": {"tolerance_m": bench.task.tolerance, "hold_seconds": bench.task.hold_seconds},
        "pace": bench.pace,
        "budget": {"blocks": settings.blocks, "seconds": budget_seconds(settings, bench.spec)},
        "model": settings.model,
        "checkpoint": checkpoint,
        "planner": settings.planner.to_dict(),
        "weights": settings.weights,
        "action_spec": bench.spec.to_dict(),
        "settings": asdict(settings),
        "arguments": arguments,
        "command": ["jepa", *sys.argv[1:]],
        "date": provenance.today(),
        "version": package_version(),
        "commit": provenance.source_commit(),
        "libraries": provenance.libraries(),
        "machine": provenance.machine(),
    }


def _write(args, settings, bench, agent, baselines, summaries, results, seconds) -> None:
    from jepa_ros.evaluation.report import rows, write_json

    write_json(
        args.json,
        {
            "task": settings.task,
            "agent": agent,
            **summaries[agent],
            "baselines": {name: summaries[name] for name in baselines},
            **_origin(args, settings, bench),
            "wall_seconds": round(seconds, 1),
            "rows": [row for found in results.values() for row in rows(found)],
        },
    )
    print(f"wrote {args.json}")
