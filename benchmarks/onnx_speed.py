"""How much faster ONNX Runtime computes the model than torch, both on one thread of this machine, in one run.

    OMP_NUM_THREADS=1 python benchmarks/onnx_speed.py --json docs/results/onnx_speed.json

Rounds call every runtime once, one after the other, so that other work on the machine slows all alike. `encode`: one
camera image of the model's size to its latent. `rollout`: candidates to imagined futures. `rollout_and_cost`: and on to
their energies; with `onnx` both graphs, with `onnx_torch_cost` what the nodes do with `runtime: onnx`. `plan`: a whole
search of the default planner, in a tenth of the rounds.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from offline_process import where_and_when

from jepa_ros.costs.energy import Energy
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.export.runtime import OnnxModel
from jepa_ros.export.verify import rendered_images
from jepa_ros.export.writer import export_checkpoint
from jepa_ros.planning.receding_horizon import Planner, PlannerConfig
from jepa_ros.world_model.checkpoint import Checkpoint, load_checkpoint

WARM_UP = 20


def tasks(checkpoint: Checkpoint, onnx: OnnxModel, samples: int, horizon: int) -> dict[str, dict]:
    """Name of a measurement to runtime to a call."""
    rng, model, spec = np.random.default_rng(0), checkpoint.model, checkpoint.spec
    energy, bounds = Energy(spec), (np.tile(spec.lower, spec.block), np.tile(spec.upper, spec.block))
    pictures = rendered_images(model.image_size, model.context + 1)
    latents = np.stack([model.embed(picture) for picture in pictures])
    proprio = rng.uniform(spec.position_lower, spec.position_upper, (model.context, spec.dim))
    past = rng.uniform(*bounds, (model.context - 1, spec.block_dim))
    actions = rng.uniform(*bounds, (samples, horizon, spec.block_dim)).astype(np.float32)
    context, goal = [np.asarray(x, np.float32) for x in (latents[:-1], proprio, past)], latents[-1]
    inputs, target = [torch.tensor(x) for x in (*context, actions)], torch.tensor(goal)

    def mixed(actions: np.ndarray) -> np.ndarray:
        futures = map(torch.from_numpy, onnx.rollout(*context, actions))
        rollouts = Rollouts(*futures, torch.tensor(actions, dtype=torch.float32))
        return energy.evaluate(rollouts, target).totals.numpy()

    def score(actions: np.ndarray) -> np.ndarray:
        return LatentEvaluator(model, energy, *context, goal, "sum").evaluate(actions)

    def plan(evaluate):
        return Planner(spec, PlannerConfig(horizon=horizon, samples=samples)).plan(evaluate, proprio[-1])

    return {
        "encode": {
            "torch": lambda: model.embed(pictures[0]),
            "onnx": lambda: onnx.embed(pictures[0]),
        },
        "rollout": {
            "torch": lambda: model.rollout(*inputs),
            "onnx": lambda: onnx.rollout(*context, actions),
        },
        "rollout_and_cost": {
            "torch": lambda: score(actions),
            "onnx": lambda: onnx.costs(*onnx.rollout(*context, actions), actions, goal),
            "onnx_torch_cost": lambda: mixed(actions),
        },
        "plan": {"torch": lambda: plan(score), "onnx_torch_cost": lambda: plan(mixed)},
    }


def measure(runtimes: dict, rounds: int) -> dict:
    """Median and 95th percentile of every runtime, ms, and how many times faster than torch it is."""
    spent = {name: [] for name in runtimes}
    for _ in range(WARM_UP + rounds):
        for name, call in runtimes.items():
            began = time.perf_counter()
            call()
            spent[name].append(1e3 * (time.perf_counter() - began))
    percentiles = {name: np.percentile(times[WARM_UP:], [50, 95]) for name, times in spent.items()}
    return {
        name: {
            "median_ms": round(float(median), 4),
            "p95_ms": round(float(p95), 4),
            "times_torch_median": round(float(percentiles["torch"][0] / median), 2),
            "times_torch_p95": round(float(percentiles["torch"][1] / p95), 2),
        }
        for name, (median, p95) in percentiles.items()
    }


def main() -> None:
    """Export, measure, print, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=Path("models/reach"), metavar="CKPT")
    parser.add_argument("--samples", type=int, default=64, help="candidates")
    parser.add_argument("--horizon", type=int, default=5, help="blocks")
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint = load_checkpoint(arguments.checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        manifest = export_checkpoint(checkpoint, Path(folder) / "onnx", arguments.horizon)
        onnx = OnnxModel(Path(folder) / "onnx", threads=1)
    found = {
        "command": "OMP_NUM_THREADS=1 python benchmarks/onnx_speed.py",
        **where_and_when(),
        "onnxruntime": onnxruntime.__version__,
        "model_id": checkpoint.model_id,
        "threads": 1,
        "rounds": arguments.rounds,
        "samples": arguments.samples,
        "horizon": arguments.horizon,
        "deviation": manifest["verified"],
        "measured_ms": {},
    }
    for name, runtimes in tasks(checkpoint, onnx, arguments.samples, arguments.horizon).items():
        rounds = arguments.rounds // 10 if name == "plan" else arguments.rounds
        row = found["measured_ms"][name] = measure(runtimes, rounds)
        for runtime, figures in row.items():
            print(
                f"{name:18s}{runtime:17s} median {figures['median_ms']:8.3f} ms   p95 {figures['p95_ms']:8.3f} ms"
                f"   torch / this {figures['times_torch_median']:5.2f} {figures['times_torch_p95']:5.2f}",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
