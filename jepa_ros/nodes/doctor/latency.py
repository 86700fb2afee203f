"""The latency budget: what encoding and planning take here, against deadlines, watchdogs and the image rate."""

import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from jepa_ros.costs.energy import TERMS, Energy
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.errors import JepaError
from jepa_ros.export.choose import with_runtime
from jepa_ros.nodes.actor.planner_params import SEARCH_PARAMS
from jepa_ros.nodes.doctor.expected import Expected
from jepa_ros.nodes.doctor.finding import Findings
from jepa_ros.nodes.doctor.heard import Heard
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.memory import ShortTermMemory
from jepa_ros.planning.receding_horizon import Planner
from jepa_ros.world_model.checkpoint import Checkpoint

_PLANS, _ENCODES, _LONGEST_S = 5, 20, 5.0


@dataclass(frozen=True)
class Budget:
    """s: median times of one image encoded and one plan searched to its end, on this machine; without a policy and without
    refinement.

    runtime: what computed the model.  trouble: why it is not the one that the nodes are asked for; "" where it is.
    """

    encode_s: float
    plan_s: float
    runtime: str = "torch"
    trouble: str = ""


def measure(checkpoint: Checkpoint, image: np.ndarray, joints: np.ndarray, expected: Expected) -> Budget:
    """Encode and plan as `composition:=single` does, towards the present view. joints: (A,) rad."""
    model, trouble = _model(checkpoint, expected)
    spec = checkpoint.spec
    latent = model.embed(image)
    memory = ShortTermMemory(spec, model.context)
    memory.push(latent, joints, 0.0)
    config = PlannerConfig(**{p.name: expected.planner.param(p.name) for p in SEARCH_PARAMS})
    planner = Planner(spec, replace(config, mode="search", refine_steps=0))
    energy = Energy.of(checkpoint, {name: expected.cost.param(f"weights.{name}") for name in TERMS})
    evaluator = LatentEvaluator(model, energy, memory.context(), latent, planner.reduction)
    encode_s = _median_s(lambda: model.embed(image), _ENCODES)
    plan_s = _median_s(lambda: planner.plan(evaluator.evaluate, joints), _PLANS)
    return Budget(encode_s, plan_s, model.runtime, trouble)


def _model(checkpoint: Checkpoint, expected: Expected):
    """What the nodes compute with, and why that is not what they are asked for; "" where it is."""
    threads, runtime, folder = (expected.encoder.param(name) for name in ("torch_threads", "runtime", "onnx"))
    torch.set_num_threads(threads)
    trouble: list[str] = []
    try:
        chosen = with_runtime(
            checkpoint,
            runtime,
            folder,
            threads,
            trouble.append,
            pinned=bool(expected.encoder.param("checkpoint_sha256")),
        )
    except JepaError as error:
        return checkpoint.model, str(error)
    return chosen.model, "".join(trouble)


def check_latency(expected: Expected, heard: Heard, budget: Budget | None) -> Findings:
    """The image rate that was seen, and the budget where the checkpoint could be measured."""
    found = Findings("latency")
    guard, planner, topic = expected.guard, expected.planner, expected.image.name
    stream = heard.stream(topic)
    wait_s = 1 / stream.rate_hz if stream.rate_hz else 0.0
    image_limit = guard.param("watchdog.image_s")
    if stream.received and not wait_s:
        found.warn(
            topic, f"one message in {heard.seconds:.1f} s: no rate to be seen", "raise the camera's rate"
        )
    elif wait_s and image_limit and stream.longest_gap_s > image_limit:
        found.error(
            topic,
            f"{stream.longest_gap_s:.2f} s without an image; the guard holds after {image_limit:g} s (watchdog.image_s)",
            "raise the camera's rate, see whether messages get lost (QoS, network, a busy machine)",
        )
    elif wait_s and image_limit and wait_s > image_limit / 2:
        found.warn(
            topic,
            f"{stream.rate_hz:.1f} images a second: one lost image brings the guard near its hold after "
            f"{image_limit:g} s (watchdog.image_s)",
            "raise the camera's rate",
        )
    elif wait_s:
        found.ok(
            topic, f"{stream.rate_hz:.1f} images a second, longest gap {1e3 * stream.longest_gap_s:.0f} ms"
        )
    if budget is None:
        return found
    block_s = guard.param("robot.block") / guard.param("robot.rate_hz")
    deadline, reaction = planner.param("deadline_s"), wait_s + budget.encode_s + budget.plan_s
    cycle = block_s + planner.param("settle_s") + reaction
    if budget.trouble:
        tell = found.warn if expected.encoder.param("runtime") == "auto" else found.error
        pinned = expected.encoder.param("checkpoint_sha256")
        export = "runtime: onnx, where you trust its export" if pinned else "make the export that is missing"
        tell("runtime", budget.trouble, f"{export}, or set runtime: torch")
    times = f"encode {_ms(budget.encode_s)}, plan {_ms(budget.plan_s)} by {budget.runtime}"
    slow = "compute on a GPU (device:=cuda), with fewer samples or iterations, or on a free machine"
    fine = True
    if deadline and budget.plan_s > deadline:
        fine = False
        found.warn(
            "planner deadline_s",
            f"{times}: a plan takes longer than its deadline of {_ms(deadline)} and is cut short",
            slow,
        )
        reaction = wait_s + budget.encode_s + deadline
    if reaction > guard.param("max_plan_age"):
        fine = False
        found.error(
            "action_publisher max_plan_age",
            f"{times}, up to {_ms(wait_s)} for the image: a plan is {_ms(reaction)} old when it arrives; the guard refuses "
            f"it above {_ms(guard.param('max_plan_age'))}",
            f"{slow}; or raise max_plan_age where the scene stands still",
        )
    if guard.param("watchdog.plan_s") and cycle > guard.param("watchdog.plan_s"):
        fine = False
        found.error(
            "action_publisher watchdog.plan_s",
            f"{times}: from plan to plan it takes {_ms(cycle)} (block {_ms(block_s)}); the guard holds after "
            f"{_ms(guard.param('watchdog.plan_s'))}",
            f"{slow}; or raise watchdog.plan_s",
        )
    if fine and budget.encode_s + budget.plan_s > block_s:
        fine = False
        found.warn(
            "control period",
            f"{times}: more than the {_ms(block_s)} that a block of actions takes, so the arm waits longer than it moves",
            slow,
        )
    if fine:
        found.ok(
            "this machine",
            f"{times} (deadline {_ms(deadline) if deadline else 'none'}); {_ms(reaction)} from image to command, "
            f"{_ms(cycle)} from plan to plan",
        )
    return found


def _median_s(act, times: int) -> float:
    act()
    taken, ends = [], time.monotonic() + _LONGEST_S
    while len(taken) < times and (not taken or time.monotonic() < ends):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken))


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.0f} ms" if seconds >= 0.01 else f"{1e3 * seconds:.1f} ms"
