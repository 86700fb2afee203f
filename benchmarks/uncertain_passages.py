"""What models predict of the block that leads into the light curtain, beside what happens then: whether predictions lie at the
two outcomes or between them."""

from dataclasses import replace

import numpy as np
import torch

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.evaluation.simulated_arm import TICK_S
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import Goal, make_task
from jepa_ros.world_model.checkpoint import Checkpoint
from jepa_ros.world_model.futures import Futures

TASK = "curtain"
LUCKS = 64
"""Tries for a luck that brings a given outcome; each has it with probability 1/2."""
NEAR = 0.25
"""A prediction is at an outcome within this share of the way between the two."""


def find_passages(simulator: Simulator, spec: ActionSpec, first_seed: int, count: int) -> list[dict]:
    """Blocks that lead from rest into the curtain: what is seen before, the block, and what is seen after it in either
    outcome."""
    task, found = make_task(TASK), []
    for seed in range(first_seed, first_seed + 20 * count):
        start, goal = task.episode(seed)
        block = straight_block(start, goal, spec)
        simulator.reset(start)
        passage = {"start": start, "before": simulator.render(), "joints": simulator.joint_positions}
        after: dict[bool, np.ndarray] = {}
        ends: dict[bool, dict] = {}
        for luck in range(LUCKS):
            simulator.reset(replace(start, luck=luck))
            execute(simulator, block, spec.dt)
            if simulator.stopped not in after:
                after[simulator.stopped], ends[simulator.stopped] = simulator.render(), simulator.get_state()
            if len(after) == 2:
                found.append(passage | {"block": block, "after": after, "ends": ends})
                break
            if luck == 7 and True not in after:
                break  # the block does not come into the curtain
        if len(found) == count:
            break
    return found


def straight_block(start: Goal, goal: Goal, spec: ActionSpec) -> np.ndarray:
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
