"""The surprise gate in the closed loop without ROS: false alarms of normal episodes, and what disturbances lead to.

Normal: every episode with the gate and without. Disturbed: one disturbance of the simulated camera begins at a
random moment of the first 1.5 s and lasts 5 s; success does not end these episodes, so that also the time after it
is seen. Shifted: whole episodes in another light, other colours, with another camera pose, which the arm should get
through; every visual shift at medium strength, on seeds kept for that. Writes a JSON file, and prints its tables.

    OMP_NUM_THREADS=1 python benchmarks/surprise.py --seed 1000 --shifted 10 --json docs/results/surprise.json
    OMP_NUM_THREADS=1 python benchmarks/surprise.py --checkpoint models/reach_push --task push --seed 1000 --json FILE
    OMP_NUM_THREADS=1 python benchmarks/surprise.py --seed 3000 --margin 1.25
"""

import argparse
import json
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from jepa_ros.costs.energy import Energy
from jepa_ros.evaluation import provenance
from jepa_ros.evaluation.agents import PlannerAgent
from jepa_ros.evaluation.closed_loop import Timing, run_episode
from jepa_ros.evaluation.shifts.condition import Condition
from jepa_ros.evaluation.shifts.suite import chosen_shifts
from jepa_ros.evaluation.shifts.view import ShiftedView
from jepa_ros.evaluation.statistics import percentile, wilson_interval
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.surprise import (
    DEFAULT_ARM_MARGIN,
    DEFAULT_MARGIN,
    DEFAULT_QUANTILE,
    DEFAULT_UNFAMILIARITY_MARGIN,
    Level,
    SurpriseGate,
)
from jepa_ros.simulation.disturbance import DISTURBANCES, NONE
from jepa_ros.simulation.held_out import held_out_seed
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task
from jepa_ros.world_model.checkpoint import load_checkpoint

DISTURBED_BLOCKS = 26
LATEST_BEGIN_S, LASTS_S = 1.5, 5.0


class DisturbedSimulator(Simulator):
    """A simulator whose camera is disturbed by ``kind`` from time ``begin`` to ``end``, s."""

    kind, begin, end = NONE, np.inf, np.inf

    def advance(self, seconds):
        super().advance(seconds)
        kind = self.kind if self.begin <= self.time < self.end else NONE
        if kind != self.disturbance:
            self.disturb(kind)
            self.render()  # the camera runs on between looks: an image freezes when it freezes


@cache
def bench(checkpoint: str, task: str, *limits: float):
    """(simulator, task, agent with the gate, agent without) of this process. limits: see SurpriseGate.calibrated."""
    torch.set_num_threads(1)
    loaded = load_checkpoint(checkpoint)
    gate = SurpriseGate.calibrated(loaded.calibration, loaded.model_id, *limits)
    simulator, energy = DisturbedSimulator(task, loaded.model.image_size), Energy.of(loaded)
    agents = [PlannerAgent(loaded, PlannerConfig(), energy, g) for g in (gate, None)]
    return simulator, make_task(task), *agents


def normal(seed: int, *setting) -> dict:
    simulator, task, gated, plain = bench(*setting)
    simulator.kind = NONE
    found = {}
    for name, agent in (("on", gated), ("off", plain)):
        result = run_episode(simulator, task, agent, seed, task.blocks, "planner")
        found[f"success_{name}"], found[f"seconds_{name}"] = result.success, result.seconds
    looks = gated.judgements
    return found | {
        "seed": seed,
        "levels": [int(look.level) for look in looks],
        "strange": sum(look.strange for look in looks),
        "surprise": [None if np.isnan(look.surprise) else round(look.surprise, 4) for look in looks],
        "unfamiliarity": [round(look.unfamiliarity, 3) for look in looks],
    }


def disturbed(seed: int, kind: str, *setting) -> dict:
    simulator, task, agent, _ = bench(*setting)
    begin = float(np.random.default_rng([seed, DISTURBANCES.index(kind)]).uniform(0, LATEST_BEGIN_S))
    simulator.kind, simulator.begin, simulator.end = kind, begin, begin + LASTS_S
    within, task.tolerance = task.tolerance, -1.0
    try:
        result = run_episode(simulator, task, agent, seed, DISTURBED_BLOCKS, "planner")
    finally:
        task.tolerance = within
    times = Timing().block_seconds(agent.spec) * np.arange(len(agent.judgements))
    levels = np.array([look.level for look in agent.judgements])
    during = (times >= begin) & (times < begin + LASTS_S)
    held = np.flatnonzero(during & (levels == Level.HOLD))
    first = held[0] if len(held) else None
    return {
        "seed": seed,
        "begin_s": round(begin, 3),
        "false_before": int(levels[times < begin].max(initial=0)),
        "held": first is not None,
        "looks_to_hold": None if first is None else int(during[: first + 1].sum()),
        "seconds_to_hold": None if first is None else round(float(times[first] - begin), 3),
        "frozen": None if first is None else agent.judgements[first].frozen,
        "let_go_early": bool(first is not None and (levels[first:][during[first:]] != Level.HOLD).any()),
        "released": bool(levels[-1] == Level.OK),
        "reached_after": bool(result.final_error_m <= within),
    }


def shifted(seed: int, shift: str, *setting) -> dict:
    simulator, task, agent, _ = bench(*setting)
    simulator.kind = NONE
    with ShiftedView(simulator, Condition(shift, "medium"), held_out_seed(seed)) as view:
        result = run_episode(simulator, task, agent, seed, task.blocks, "planner", view=view)
    return {
        "seed": seed,
        "shift": shift,
        "success": result.success,
        "level": max(int(look.level) for look in agent.judgements),
    }


def rate(count: int, of: int) -> dict:
    return {"count": count, "of": of, "wilson_95": [round(v, 4) for v in wilson_interval(count, of)]}


def summary_of_normal(episodes: list[dict]) -> dict:
    levels = [level for e in episodes for level in e["levels"]]
    surprise = [v for e in episodes for v in e["surprise"]]
    unfamiliarity = [v for e in episodes for v in e["unfamiliarity"]]
    return {
        "success_gate_on": rate(sum(e["success_on"] for e in episodes), len(episodes)),
        "success_gate_off": rate(sum(e["success_off"] for e in episodes), len(episodes)),
        "strange_looks": rate(sum(e["strange"] for e in episodes), len(levels)),
        "looks_by_level": {level.name.lower(): levels.count(level) for level in Level},
        "episodes_with": {
            level.name.lower(): rate(sum(max(e["levels"]) >= level for e in episodes), len(episodes))
            for level in (Level.REPLAN, Level.SLOW, Level.HOLD)
        },
        "surprise": {f"p{q:g}": percentile(surprise, q) for q in (50, 95, 99, 100)},
        "unfamiliarity": {f"p{q:g}": percentile(unfamiliarity, q) for q in (50, 95, 99, 100)},
    }


def summary_of_shifted(episodes: list[dict]) -> dict:
    return {
        "success": rate(sum(e["success"] for e in episodes), len(episodes)),
        "held": rate(sum(e["level"] == Level.HOLD for e in episodes), len(episodes)),
    }


def summary_of_disturbed(episodes: list[dict]) -> dict:
    def quantiles(key):
        return {f"p{q:g}": percentile([e[key] for e in episodes], q) for q in (50, 95, 100)}

    held = [e for e in episodes if e["held"]]
    return {
        "held": rate(len(held), len(episodes)),
        "looks_to_hold": quantiles("looks_to_hold"),
        "looks_to_hold_counts": dict(sorted(Counter(e["looks_to_hold"] for e in held).items())),
        "seconds_to_hold": quantiles("seconds_to_hold"),
        "let_go_early": rate(sum(e["let_go_early"] for e in held), len(held)),
        "released": rate(sum(e["released"] for e in held), len(held)),
        "reached_after": rate(sum(e["reached_after"] for e in held), len(held)),
        "not_held": [e["seed"] for e in episodes if not e["held"]],
        "reached_unheld": sum(e["reached_after"] for e in episodes if not e["held"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="models/reach")
    parser.add_argument("--task", default="reach", help="reach or push")
    parser.add_argument("--seed", type=int, default=3000, help="of the first episode")
    parser.add_argument("--normal", type=int, default=100, help="episodes")
    parser.add_argument("--disturbed", type=int, default=25, help="episodes per disturbance")
    parser.add_argument("--shifted", type=int, default=0, help="episodes per visual shift")
    parser.add_argument("--quantile", type=float, default=DEFAULT_QUANTILE)
    parser.add_argument("--margin", type=float, default=DEFAULT_MARGIN)
    parser.add_argument("--unfamiliarity-margin", type=float, default=DEFAULT_UNFAMILIARITY_MARGIN)
    parser.add_argument("--arm-margin", type=float, default=DEFAULT_ARM_MARGIN)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    limits = args.quantile, args.margin, args.unfamiliarity_margin, args.arm_margin
    setting = (args.checkpoint, args.task, *limits)
    kinds = [kind for kind in DISTURBANCES for _ in range(args.disturbed)]
    with ProcessPoolExecutor(args.processes, mp_context=get_context("spawn")) as pool:
        calm = [pool.submit(normal, args.seed + i, *setting) for i in range(args.normal)]
        spoilt = [
            pool.submit(disturbed, args.seed + i % args.disturbed, kind, *setting)
            for i, kind in enumerate(kinds)
        ]
        shifts = [shift.name for shift in chosen_shifts("all", args.task)[0]] if args.shifted else []
        strange = [
            pool.submit(shifted, args.seed + i, shift, *setting)
            for shift in shifts
            for i in range(args.shifted)
        ]
        calm = [future.result() for future in calm]
        spoilt = [future.result() for future in spoilt]
        strange = [future.result() for future in strange]
    by_kind = {k: [e for e, kind in zip(spoilt, kinds, strict=True) if kind == k] for k in DISTURBANCES}
    result = {
        "checkpoint": args.checkpoint,
        "task": args.task,
        "seed": args.seed,
        "quantile": args.quantile,
        "margin": args.margin,
        "unfamiliarity_margin": args.unfamiliarity_margin,
        "arm_margin": args.arm_margin,
        "normal": summary_of_normal(calm),
        "disturbed": {kind: summary_of_disturbed(found) for kind, found in by_kind.items()},
        "shifted": {
            shift: summary_of_shifted([e for e in strange if e["shift"] == shift]) for shift in shifts
        },
        "commit": provenance.source_commit(),
        "machine": provenance.machine(),
        "libraries": provenance.libraries(),
    }
    print(json.dumps({k: result[k] for k in ("quantile", "margin", "normal")}, indent=1))
    print(
        f"{'disturbance':14}{'held':>9}{'looks':>7}{'s p50':>7}{'s max':>7}{'early':>7}{'released':>10}{'reached':>9}"
    )
    for kind, s in result["disturbed"].items():
        held = s["held"]["count"]
        print(
            f"{kind:14}{held:>5}/{s['held']['of']:<3}{s['looks_to_hold']['p50'] or 0:7.0f}"
            f"{s['seconds_to_hold']['p50'] or 0:7.2f}{s['seconds_to_hold']['p100'] or 0:7.2f}"
            f"{s['let_go_early']['count']:7}{s['released']['count']:10}{s['reached_after']['count']:9}"
        )
    for shift, s in result["shifted"].items():
        print(
            f"{shift:20}{s['success']['count']:>5}/{s['success']['of']:<3} reached{s['held']['count']:5} held"
        )
    if args.json is not None:
        episodes = {"normal": calm, **by_kind, "shifted": strange}
        args.json.write_text(json.dumps(result | {"episodes": episodes}, indent=1) + "\n")


if __name__ == "__main__":
    main()
