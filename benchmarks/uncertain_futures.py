"""A latent variable on a scene with a random outcome: do its codes separate the outcomes, and does a plan that counts with the
worse one avoid it? Task `curtain`: the way straight through a light curtain ends in a stop every second time.

    python benchmarks/uncertain_futures.py --work runs/uncertain --json OUT.json --picture OUT.png

Records bags in WORK/bags, trains one model with one future and one with several on them, alike but for `codes`, compares what
both predict of the block in which the arm comes into the curtain with what happens then, and drives episodes: the model of
one future, and the other by the mean of its futures, a mix with the worst of them, and the worst. What WORK holds already is
not made again.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from bench_command import command_line, origin
from matplotlib.figure import Figure

from jepa_ros.costs.energy import DEFAULT_WEIGHTS, Energy
from jepa_ros.costs.risk import Risk
from jepa_ros.data.bag_reader import read_episodes
from jepa_ros.data.collect import CollectSettings, collect
from jepa_ros.evaluation.agents import PlannerAgent
from jepa_ros.evaluation.closed_loop import run_episode
from jepa_ros.evaluation.report import write_json
from jepa_ros.evaluation.simulated_arm import TICK_S
from jepa_ros.evaluation.statistics import wilson_interval
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import Goal, Task, make_task
from jepa_ros.training.config import TrainingConfig
from jepa_ros.training.trainer import train
from jepa_ros.world_model.checkpoint import CONFIG, Checkpoint, load_checkpoint
from jepa_ros.world_model.futures import Futures
from jepa_ros.world_model.losses import LossConfig
from jepa_ros.world_model.model import ModelConfig

TASK, ONE, SEVERAL = "curtain", "one_future", "several_futures"
BLOCK, HELD_OUT = 4, 3000
LUCKS = 64
"""Tries for a luck that brings a given outcome; each has it with probability 1/2."""
NEAR = 0.25
"""A prediction is at an outcome within this share of the way between the two."""


def main(argv: list[str] | None = None) -> int:
    """Make what is missing, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="bags and checkpoints, made where missing")
    parser.add_argument("--recorded", type=int, default=600, help="episodes to learn from")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=2000, help="of training, for either model")
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--codes", type=int, default=4, help="Z, of the model of several futures")
    parser.add_argument("--z-price", type=float, default=LossConfig().z_price)
    parser.add_argument("--seed", type=int, default=0, help="of training")
    parser.add_argument("--passages", type=int, default=40, help="blocks that lead into the curtain")
    parser.add_argument("--episodes", type=int, default=50, help="driven by each")
    parser.add_argument("--blocks", type=int, default=12, help="of an episode")
    parser.add_argument("--futures", type=int, default=8, help="F, for every candidate")
    parser.add_argument("--samples", type=int, default=96)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--picture", type=Path, metavar="FILE")
    args = parser.parse_args(argv)

    torch.set_num_threads(1)
    checkpoints = make_models(args)
    size = (args.image_size,) * 2
    with Simulator(TASK, size) as simulator:
        passages = find_passages(simulator, checkpoints[ONE].spec, args.passages)
        places = {name: between_outcomes(checkpoint, passages) for name, checkpoint in checkpoints.items()}
        separation = {name: separation_figures(found) for name, found in places.items()}
        print(separation_table(separation), flush=True)
        if args.picture is not None:
            draw(places).savefig(args.picture)
        driven = drive(simulator, checkpoints, args)
    print(driving_table(driven))
    if args.json is not None:
        words = origin(command_line("benchmarks/uncertain_futures.py", argv))
        models = {name: checkpoint.config["model"] for name, checkpoint in checkpoints.items()}
        write_json(args.json, {**words, "models": models, "separation": separation, "driven": driven})
    return 0


def make_models(args: argparse.Namespace) -> dict[str, Checkpoint]:
    """Both checkpoints, trained on the same bags in the same way."""
    size, bags = (args.image_size,) * 2, args.work / "bags"
    wanted = {ONE: 0, SEVERAL: args.codes}
    if not all((args.work / name / CONFIG).is_file() for name in wanted):
        collect(bags, args.recorded, CollectSettings(task=TASK, frames=40, image_size=size), workers=1)
        episodes, report = read_episodes([bags], image_size=size, workers=1)
        for name, codes in wanted.items():
            if (args.work / name / CONFIG).is_file():
                continue
            config = TrainingConfig(
                steps=args.steps,
                batch=args.batch,
                clip=5,
                seed=args.seed,
                threads=1,
                warmup=100,
                baseline_steps=0,
                head_steps=0,
                model=ModelConfig(
                    image_size=size, latent_dim=32, predictor_width=192, predictor_depth=1, codes=codes
                ),
                loss=LossConfig(z_price=args.z_price),
            )
            spec = replace(report.spec, block=BLOCK)
            train(
                episodes, spec, args.work / name, config, {"digest": report.digest, "episodes": len(episodes)}
            )
    return {name: load_checkpoint(args.work / name) for name in wanted}


def find_passages(simulator: Simulator, spec, count: int) -> list[dict]:
    """Blocks that lead from rest into the curtain: what is seen before, the block, and what is seen after it in either
    outcome."""
    task, found = make_task(TASK), []
    for seed in range(HELD_OUT, HELD_OUT + 20 * count):
        start, goal = task.episode(seed)
        block = straight_block(start, goal, spec)
        simulator.reset(start)
        before, joints = simulator.render(), simulator.joint_positions
        outcomes: dict[bool, np.ndarray] = {}
        for luck in range(LUCKS):
            simulator.reset(replace(start, luck=luck))
            execute(simulator, block, spec.dt)
            outcomes.setdefault(simulator.stopped, simulator.render())
            if len(outcomes) == 2:
                found.append({"before": before, "joints": joints, "block": block, "after": outcomes})
                break
            if luck == 7 and not outcomes.get(True, np.zeros(0)).size:
                break  # the block does not come into the curtain
        if len(found) == count:
            break
    return found


def straight_block(start: Goal, goal: Goal, spec) -> np.ndarray:
    """(K, A) the first block of the straight way, as fast as may be."""
    way = goal.joints - start.joints
    needed = max(1.0, float(np.max(np.maximum(way / spec.upper, way / spec.lower))))
    reached = np.minimum(np.arange(spec.block + 1) / needed, 1.0)
    return np.diff(reached)[:, None] * way


def execute(simulator: Simulator, block: np.ndarray, dt: float) -> None:
    """Follow raw deltas (K, A) from the present target."""
    ticks = round(dt / TICK_S)
    for action in block:
        begin = simulator.target
        for tick in range(ticks):
            simulator.set_target(begin + action * (tick + 1) / ticks)
            simulator.advance(TICK_S)


@torch.inference_mode()
def between_outcomes(checkpoint: Checkpoint, passages: list[dict], draws: int = 64) -> dict[str, np.ndarray]:
    """Of every passage the predictions (P, F) of one block ahead, as a place on the line between the two true outcomes' latents,
    0: passed, 1: stopped; and off: their distance from the nearer outcome, as a share of that between the two."""
    model = checkpoint.model
    model.futures = Futures(draws)
    places, off = [], []
    for passage in passages:
        before, passed, stopped = (
            model.embed(image)
            for image in (passage["before"], passage["after"][False], passage["after"][True])
        )
        still = np.zeros((model.context - 1, model.spec.block_dim))
        context = (
            np.repeat(before[None], model.context, 0),
            np.repeat(passage["joints"][None], model.context, 0),
            still,
            passage["block"].reshape(1, 1, -1),
        )
        latents, _ = model.rollout(*(torch.tensor(x, dtype=torch.float32) for x in context))
        predicted = latents.reshape(-1, model.latent_dim).numpy()
        way = stopped - passed
        apart = np.linalg.norm(way)
        places.append((predicted - passed) @ way / apart**2)
        nearer = np.minimum(*(np.linalg.norm(predicted - outcome, axis=1) for outcome in (passed, stopped)))
        off.append(nearer / apart)
    return {"place": np.stack(places), "off": np.stack(off)}


def separation_figures(found: dict[str, np.ndarray]) -> dict:
    """Where predictions lie between the outcomes."""
    place, off = found["place"], found["off"]
    return {
        "passages": len(place),
        "draws": place.shape[1],
        "median_place": float(np.median(place)),
        "place_quartiles": np.percentile(place, (25, 75)).tolist(),
        "passed": float(np.mean(np.abs(place) <= NEAR)),
        "stopped": float(np.mean(np.abs(place - 1) <= NEAR)),
        "between": float(np.mean((place > NEAR) & (place < 1 - NEAR))),
        "median_off": float(np.median(off)),
        "both_found": float(np.mean((np.abs(place) <= NEAR).any(1) & (np.abs(place - 1) <= NEAR).any(1))),
    }


class UntilStopped(PlannerAgent):
    """Plans no more once the protective stop has tripped: nothing that it could do has an effect."""

    def observe_truth(self, arm, goal):
        self._simulator = arm.simulator

    def act(self, image, proprio):
        if self._simulator.stopped:
            return np.zeros((self.spec.block, self.spec.dim))
        return super().act(image, proprio)


def drive(simulator: Simulator, checkpoints: dict[str, Checkpoint], args: argparse.Namespace) -> dict:
    """Episodes by every agent, in turns on the same seeds; the figures of each. What is driven is kept in WORK."""
    task: Task = make_task(TASK)
    config = PlannerConfig(
        mode="search",
        space="two_legs",
        samples=args.samples,
        iterations=4,
        elites=12,
        horizon=5,
        correlation=0.3,
    )
    for checkpoint in checkpoints.values():
        checkpoint.model.futures = Futures(args.futures)
    risks = {
        "one future": (ONE, Risk("mean")),
        "several futures, mean": (SEVERAL, Risk("mean")),
        "several futures, mix": (SEVERAL, Risk("mix")),
        "several futures, worst": (SEVERAL, Risk("worst")),
    }
    agents = {
        name: UntilStopped(checkpoints[model], config, Energy.of(checkpoints[model], DEFAULT_WEIGHTS, risk))
        for name, (model, risk) in risks.items()
    }
    settings = [args.futures, args.blocks, config.to_dict(), {n: c.model_id for n, c in checkpoints.items()}]
    log = args.work / "driven.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    rows = [row for row in rows if row["settings"] == json.loads(json.dumps(settings))]
    there = {(row["agent"], row["seed"]) for row in rows}
    with open(log, "a") as file:
        for seed in range(HELD_OUT, HELD_OUT + args.episodes):
            for name, agent in agents.items():
                if (name, seed) in there:
                    continue
                result = run_episode(simulator, task, agent, seed, args.blocks, name)
                row = {"agent": name, "seed": seed, "success": result.success, "stopped": simulator.stopped}
                row |= {
                    "seconds": result.seconds,
                    "final_error_m": result.final_error_m,
                    "settings": settings,
                }
                rows.append(row)
                file.write(json.dumps(row) + "\n")
                file.flush()
            print(f"seed {seed}", file=sys.stderr, flush=True)
    seeds = range(HELD_OUT, HELD_OUT + args.episodes)
    return {
        name: driving_figures([r for r in rows if r["agent"] == name and r["seed"] in seeds])
        for name in agents
    }


def driving_figures(rows: list[dict]) -> dict:
    """Counts with Wilson intervals, and how long successes took."""
    found: dict = {"episodes": len(rows)}
    for key in ("stopped", "success"):
        count = sum(row[key] for row in rows)
        found[key] = count
        found[f"{key}_wilson_95"] = wilson_interval(count, len(rows))
    seconds = [row["seconds"] for row in rows if row["success"]]
    return found | {"median_seconds": float(np.median(seconds)) if seconds else None}


def separation_table(separation: dict[str, dict]) -> str:
    """As Markdown."""
    lines = [
        "| prediction of | median place (0 passed, 1 stopped) | at passed | between | at stopped | median distance from the nearer "
        "outcome | passages with both |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in separation.items():
        lines.append(
            f"| {name.replace('_', ' ')} | {row['median_place']:.2f} | {row['passed']:.0%} | {row['between']:.0%} | "
            f"{row['stopped']:.0%} | {row['median_off']:.2f} | {row['both_found']:.0%} |"
        )
    return "\n".join(lines)


def driving_table(driven: dict[str, dict]) -> str:
    """As Markdown."""
    lines = [
        "| planned by | stopped | Wilson 95 % | success | Wilson 95 % | median time to goal |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in driven.items():
        seconds = row["median_seconds"]
        lines.append(
            f"| {name} | {row['stopped']} / {row['episodes']} | {'{:.0%} - {:.0%}'.format(*row['stopped_wilson_95'])} | "
            f"{row['success']} / {row['episodes']} | {'{:.0%} - {:.0%}'.format(*row['success_wilson_95'])} | "
            f"{'-' if seconds is None else f'{seconds:.1f} s'} |"
        )
    return "\n".join(lines)


def draw(places: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Histograms of where predictions lie between the outcomes, one above the other."""
    figure = Figure(figsize=(7, 4), layout="constrained", dpi=110)
    rows = figure.subplots(len(places), 1, sharex=True)
    for axes, (name, found), colour in zip(rows, places.items(), ("tab:grey", "tab:red"), strict=True):
        values = found["place"].reshape(-1)
        axes.hist(
            values.clip(-0.5, 1.5),
            np.linspace(-0.5, 1.5, 41),
            color=colour,
            weights=np.full(len(values), 1 / len(values)),
        )
        for outcome, word in ((0, "passed"), (1, "stopped")):
            axes.axvline(outcome, color="black", lw=0.8, ls="--")
            axes.text(outcome, axes.get_ylim()[1], word, ha="center", va="bottom", fontsize=8)
        axes.set_ylabel(f"{name.replace('_', ' ')}\nshare of predictions")
    rows[-1].set_xlabel("predicted latent, on the line between those of the two true outcomes")
    return figure


if __name__ == "__main__":
    raise SystemExit(main())
