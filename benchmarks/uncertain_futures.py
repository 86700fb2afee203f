"""A latent variable on a scene with a random outcome: do its codes separate the outcomes, and does a plan that counts with the
worse one avoid it? Task `curtain`: the way straight through a light curtain ends in a stop every second time.

    python benchmarks/uncertain_futures.py --work runs/curtain --json OUT.json --picture OUT.png

Records bags in WORK/bags, trains an encoder on them, and on its latents a predictor with one future and one with several, alike
but for `codes`; compares what both predict of the block in which the arm comes into the curtain with what happens then, and drives episodes: the model of
one future, and the other by the mean of its futures, a mix with the worst of them, and the worst. What WORK holds already is
not made again.
"""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from bench_command import command_line, one_or_all, origin
from episode_log import COMMIT, read_lines, write_lines
from uncertain_passages import TASK, between_outcomes, find_passages, separation_figures
from uncertain_picture import draw
from uncertain_predictors import PredictorTraining, fit_predictor
from uncertain_tables import all_driving_figures, driving_table, separation_table

from jepa_ros.costs.energy import DEFAULT_WEIGHTS, Energy
from jepa_ros.costs.risk import Risk
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.bag_reader import read_episodes
from jepa_ros.data.collect import CollectSettings, collect, episode_path
from jepa_ros.data.episodes import Episode
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.agents import PlannerAgent
from jepa_ros.evaluation.closed_loop import run_episode
from jepa_ros.evaluation.report import write_json
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import CurtainTask
from jepa_ros.training.config import TrainingConfig
from jepa_ros.training.trainer import split_episodes, train
from jepa_ros.world_model.checkpoint import CONFIG, Checkpoint, load_checkpoint, save_checkpoint
from jepa_ros.world_model.futures import Futures
from jepa_ros.world_model.losses import LossConfig
from jepa_ros.world_model.model import ModelConfig

ENCODER, ONE, SEVERAL = "encoder", "one_future", "several_futures"
BLOCK = 4
PLANS = {
    "one future": (ONE, Risk("mean")),
    "several futures, mean": (SEVERAL, Risk("mean")),
    "several futures, mix": (SEVERAL, Risk("mix")),
    "several futures, worst": (SEVERAL, Risk("worst")),
}
"""Who drives: whose model, and what it makes of several futures."""


def main(argv: list[str] | None = None) -> int:
    """Make what is missing, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="bags and checkpoints, made where missing")
    parser.add_argument("--recorded", type=int, default=12000, help="episodes to learn from")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=2400, help="of training the encoder")
    parser.add_argument("--predictor-steps", type=int, default=3200, help="of training, for either model")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--codes", type=int, default=4, help="Z, of the model of several futures")
    parser.add_argument("--z-price", type=float, default=LossConfig().z_price)
    parser.add_argument("--training-seed", type=int, default=0)
    parser.add_argument("--passages", type=int, default=80, help="blocks that lead into the curtain")
    parser.add_argument("--episodes", type=int, default=160, help="driven by each")
    parser.add_argument("--seed", type=int, default=2300, help="of the first episode and the first passage")
    parser.add_argument("--blocks", type=int, default=12, help="of an episode")
    parser.add_argument("--futures", type=int, default=8, help="F, for every candidate")
    parser.add_argument("--horizon", type=int, default=8, help="of plans, in blocks")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--picture", type=Path, metavar="FILE")
    args = parser.parse_args(argv)

    torch.set_num_threads(1)
    checkpoints = make_models(args)
    with Simulator(TASK, (args.image_size,) * 2) as simulator:
        passages = find_passages(simulator, checkpoints[ONE].spec, args.seed, args.passages)
        places = {name: between_outcomes(checkpoint, passages) for name, checkpoint in checkpoints.items()}
        separation = {name: separation_figures(found) for name, found in places.items()}
        print(separation_table(separation), flush=True)
        rows = drive(simulator, checkpoints, args)
        driven = all_driving_figures(rows, PLANS)
        if args.picture is not None:
            draw(simulator, passages[0], places, rows, driven).savefig(args.picture)
    print(driving_table(driven))
    if args.json is not None:
        words = origin(command_line("benchmarks/uncertain_futures.py", argv))
        words["commit"] = one_or_all(row["commit"] for row in rows)
        models = {name: checkpoint.config["model"] for name, checkpoint in checkpoints.items()}
        trained = {name: checkpoint.config["predictor"] for name, checkpoint in checkpoints.items()}
        found = {"separation": separation, "driven": driven, "planner": planner(args).to_dict()}
        found |= {
            "encoder": training(args).to_dict(),
            "seed": args.seed,
            "futures": args.futures,
            "recorded": args.recorded,
        }
        found["rows"] = [{k: v for k, v in row.items() if k not in ("way", "settings")} for row in rows]
        write_json(args.json, {**words, **found, "models": models, "predictors": trained})
    return 0


def make_models(args: argparse.Namespace) -> dict[str, Checkpoint]:
    """Both checkpoints: of the same encoder, trained with one future, predictors that are trained on its latents, alike but
    for their codes."""
    size, bags = (args.image_size,) * 2, args.work / "bags"
    wanted = {
        name: PredictorTraining(codes, args.predictor_steps, args.z_price, args.training_seed)
        for name, codes in ((ONE, 0), (SEVERAL, args.codes))
    }
    missing = {name: how for name, how in wanted.items() if not (args.work / name / CONFIG).is_file()}
    if missing:
        # Short episodes: after a stop there is nothing more to learn.
        collect(bags, args.recorded, CollectSettings(task=TASK, frames=20, image_size=size), workers=1)
        paths = [episode_path(bags, index) for index in range(args.recorded)]
        episodes, report = read_episodes(paths, image_size=size, workers=1)
        data = {"digest": report.digest, "episodes": len(episodes), "recorded": args.recorded}
        spec = replace(report.spec, block=BLOCK)
        episodes = [from_rest(episode, spec) for episode in episodes]
        if not (args.work / ENCODER / CONFIG).is_file():
            train(episodes, spec, args.work / ENCODER, training(args), data)
        base = load_checkpoint(args.work / ENCODER)
        clips = split_episodes(episodes, spec, training(args)).train
        for name, predictor in missing.items():
            model = fit_predictor(base.model, clips, predictor)
            about = {"goal_tolerance": base.goal_tolerance, "data": data, "encoder": base.model_id}
            save_checkpoint(args.work / name, model, about | {"predictor": asdict(predictor)})
    made = {name: load_checkpoint(args.work / name) for name in (ENCODER, *wanted)}
    require_as_asked(made[ENCODER], "training", training(args).to_dict())
    require_as_asked(made[ENCODER], "data", {"recorded": args.recorded})
    for name, how in wanted.items():
        require_as_asked(made[name], "predictor", asdict(how))
    return {name: made[name] for name in wanted}


def from_rest(episode: Episode, spec: ActionSpec) -> Episode:
    """The episode with a block of standing still before it: what an agent's memory holds at its first look. Episodes begin at
    rest, so that this is what the arm would have seen; without it the first block of an episode would never be predicted."""

    def before(values: np.ndarray) -> np.ndarray:
        return np.concatenate([np.repeat(values[:1], spec.block, 0), values])

    still = np.zeros((spec.block, spec.dim), episode.actions.dtype)
    earlier = episode.stamps[0] - spec.dt * np.arange(spec.block, 0, -1)
    return replace(
        episode,
        images=before(episode.images),
        joint_positions=before(episode.joint_positions),
        actions=np.concatenate([still, episode.actions]),
        stamps=np.concatenate([earlier, episode.stamps]),
    )


def require_as_asked(checkpoint: Checkpoint, part: str, asked: dict) -> None:
    """JepaError where a checkpoint that lies in --work was made in another way than this command's."""
    made = checkpoint.config[part]
    other = [key for key in asked if json.dumps(made.get(key)) != json.dumps(asked[key])]
    if other:
        words = ", ".join(f"{key} {made.get(key)!r}, asked for {asked[key]!r}" for key in other)
        raise JepaError(f"{checkpoint.path} was made with other settings ({words}); give another --work")


def training(args: argparse.Namespace) -> TrainingConfig:
    """How the encoder is trained."""
    architecture = {"image_size": (args.image_size,) * 2, "latent_dim": 32, "predictor_width": 192}
    return TrainingConfig(
        steps=args.steps,
        batch=args.batch,
        clip=5,
        seed=args.training_seed,
        threads=1,
        warmup=100,
        baseline_steps=0,
        head_steps=0,
        model=ModelConfig(**architecture, predictor_depth=1),
    )


def planner(args: argparse.Namespace) -> PlannerConfig:
    """How everyone plans: the best of some ways, by the energy, never one by chance."""
    return PlannerConfig(
        mode="hybrid",
        hybrid_left=10.0,
        stall_plans=0,
        space="two_legs",
        horizon=args.horizon,
        replan="always",
    )


class Ways(PlannerAgent):
    """Chooses among ways to the joint positions that it reads from the goal's latent: straight, and over a point on the way
    with the shoulder lifted. The energy decides between them. Plans no more once the protective stop has tripped: nothing
    that it could do has an effect."""

    LIFTS, PARTS, ENDS = (0.0, -0.3, -0.5, -0.7, -0.9, -1.1), (0.2, 0.35, 0.5, 0.65, 0.8), 4
    """rad; shares of the way; how many readings of the goal, the first as it is, the others off by SPREAD."""
    SPREAD = 0.05
    """rad."""

    def observe_truth(self, arm, goal):
        self._simulator = arm.simulator

    def reset(self, goal_image, seed):
        super().reset(goal_image, seed)
        off = np.random.default_rng((6, seed)).normal(0, self.SPREAD, (self.ENDS, self.spec.dim))
        off[0] = 0
        network = self.checkpoint.network
        with torch.inference_mode():
            read = (
                network.joint_head(torch.from_numpy(self.goal)) * network.proprio_std + network.proprio_mean
            )
        self._ends = read.numpy() + off

    def act(self, image, proprio):
        if self._simulator.stopped:
            self.gave_up = "stopped"
            return np.zeros((self.spec.block, self.spec.dim))
        self.propose = lambda *_: (self._ways(proprio), False)
        return super().act(image, proprio)

    def _ways(self, proprio: np.ndarray) -> np.ndarray:
        """(N, H, KA)."""
        space = self.episode.planner.space
        legs = []
        for end in self._ends - proprio:
            for lift in self.LIFTS:
                for part in self.PARTS:
                    corner = part * end + lift * (np.arange(self.spec.dim) == 1)
                    legs.append(np.concatenate([corner, end - corner]))
        return space.decode(np.clip(np.array(legs), space.lower, space.upper))


class Watched(CurtainTask):
    """Notes the way of the gripper frame, m, tick by tick."""

    def __init__(self):
        super().__init__()
        self.way: list[list[float]] = []

    def error(self, sim, goal):
        self.way.append([round(float(x), 3) for x in sim.end_effector])
        return super().error(sim, goal)


def drive(simulator: Simulator, checkpoints: dict[str, Checkpoint], args: argparse.Namespace) -> list[dict]:
    """Episodes by every agent, in turns on the same seeds: what became of each. What was driven is kept in WORK."""
    config, task = planner(args), Watched()
    agents = {}
    for name, (model, risk) in PLANS.items():
        checkpoint = checkpoints[model]
        checkpoint.model.futures = Futures(args.futures)
        agents[name] = Ways(checkpoint, config, Energy.of(checkpoint, DEFAULT_WEIGHTS, risk))
    ids = {name: checkpoint.model_id for name, checkpoint in checkpoints.items()}
    settings = json.loads(json.dumps([args.futures, args.blocks, config.to_dict(), ids]))
    log, seeds = args.work / "driven.jsonl", range(args.seed, args.seed + args.episodes)
    kept = read_lines(log)
    write_lines(log, kept)
    rows = [row for row in kept if row["settings"] == settings and row["seed"] in seeds]
    there = {(row["agent"], row["seed"]) for row in rows}
    with open(log, "a") as file:
        for seed in seeds:
            for name, agent in agents.items():
                if (name, seed) in there:
                    continue
                task.way.clear()
                result = run_episode(simulator, task, agent, seed, args.blocks, name)
                row = {"agent": name, "seed": seed, "success": result.success, "stopped": simulator.stopped}
                row |= {"seconds": result.seconds, "final_error_m": result.final_error_m}
                row |= {"way": task.way[::5], "settings": settings, "commit": COMMIT}
                rows.append(row)
                file.write(json.dumps(row) + "\n")
                file.flush()
            print(f"seed {seed}", file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
