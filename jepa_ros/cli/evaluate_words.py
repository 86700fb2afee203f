"""What `jepa evaluate` says: what it is about to measure, and how far it is."""

from __future__ import annotations

import argparse
import sys
import time

from jepa_ros.planning.config import PlannerConfig


def speed(planner: PlannerConfig, propose) -> str:
    """Who plans, in words; propose: the policy, None without one."""
    words = {
        "search": "search",
        "policy": "policy: the best proposal by the energy",
        "hybrid": f"hybrid: the policy, and the search where the best proposal leaves more than {planner.hybrid_left:g} of "
        f"the energy of staying, and more than {planner.hybrid_arrived:g} goal tolerances; no search while things are to be "
        "moved first",
    }
    mode = "search" if propose is None else planner.mode
    found = words[mode]
    if mode != "search" and planner.stall_plans:
        found += f"; any of its proposals after {planner.stall_plans} plans without progress"
    return found + (f"; {planner.refine_steps} gradient steps on the best" if planner.refine_steps else "")


def levels(planner: PlannerConfig, pace: float) -> list[str]:
    """What is not as usual about levels and bounds, in words; pace: the share of the action bounds that the task allows."""
    lines = []
    if planner.levels == 2:
        lines.append(
            f"levels       2: the slow level looks {planner.macros} of its steps ahead, for a new target every "
            f"{planner.target_looks} looks; goals within {planner.near_blocks:g} blocks are planned for themselves"
        )
    if min(pace, planner.speed) < 1:
        lines.append(f"bounds       {min(pace, planner.speed):g} of the action bounds are used")
    return lines


def futures(settings, codes: int) -> list[str]:
    """How a model with ``codes`` is planned with, in words; nothing without them."""
    risk = settings.risk
    words = {
        "mean": "their mean",
        "worst": "the worst of them",
        "mix": f"{1 - risk.weight:g} of their mean and {risk.weight:g} of the mean of the worst {risk.tail:g} of them",
    }
    return [
        f"futures      {settings.futures.count} of every candidate; what counts is {words[risk.kind]}"
    ] * bool(codes)


def describe(args: argparse.Namespace, settings, bench) -> str:
    """What is about to be measured, fixed and printed."""
    from jepa_ros.evaluation.runner import PLANNER
    from jepa_ros.training.selection import FIRST_SEED as CHOOSING

    task, spec, planner = bench.task, bench.spec, settings.planner
    propose = None if args.model == "oracle" else bench.agent(PLANNER).propose
    plans_always = planner.replan == "always" or args.model == "oracle"
    model = (
        "the simulator itself"
        if args.model == "oracle"
        else f"{settings.checkpoint} (model {bench.checkpoint.model_id}, computed by {bench.checkpoint.model.runtime})"
    )
    energy = (
        "true joint distance"
        if args.model == "oracle"
        else " + ".join(f"{weight:g} {name}" for name, weight in settings.weights.items() if weight)
    )
    return "\n".join(
        [
            f"task         {settings.task}: within {100 * task.tolerance:g} cm for {task.hold_seconds:g} s; "
            "starts already solved are excluded",
            f"episodes     {args.episodes}, seeds {args.seed} to {args.seed + args.episodes - 1}"
            + f"; trainings choose their weights by those from {CHOOSING} on"
            * (args.seed + args.episodes > CHOOSING),
            f"budget       {settings.blocks} blocks of {spec.block} actions at {spec.rate_hz:g} Hz, "
            f"{budget_seconds(settings, spec):g} s of robot time ({settings.timing.latency_s:g} s from image "
            f"to motion, {settings.timing.settle_s:g} s to settle)",
            f"world model  {model}",
            f"energy       {energy}",
            f"planner      {planner.solver} in {planner.space}, {planner.samples} candidates x "
            f"{planner.iterations} iterations, horizon {planner.horizon} blocks; plans "
            + ("at every look" if plans_always else "where the plan at hand does not go as predicted"),
            f"speed        {speed(planner, propose)}",
            *levels(planner, bench.pace),
            *futures(settings, 0 if args.model == "oracle" else bench.checkpoint.model.codes),
        ]
    )


def budget_seconds(settings, spec) -> float:
    """Robot time that an episode may take, s."""
    return round(settings.blocks * settings.timing.block_seconds(spec), 6)


class Progress:
    """One line that counts episodes and successes per agent; plain lines, fewer, where there is no
    terminal."""

    def __init__(self, total: int):
        self.total, self.done, self.began = total, 0, time.monotonic()
        self.counts: dict[str, list[int]] = {}
        self.live = sys.stderr.isatty()

    def __call__(self, result) -> None:
        self.done += 1
        count = self.counts.setdefault(result.agent, [0, 0])
        count[0] += result.success
        count[1] += 1
        spent = time.monotonic() - self.began
        left = spent / self.done * (self.total - self.done)
        text = (
            f"{self.done}/{self.total} episodes, "
            + ", ".join(f"{n} {k}/{m}" for n, (k, m) in self.counts.items())
            + f", about {left:.0f} s left"
        )
        if self.live:
            end = "\n" if self.done == self.total else ""
            print(f"\r\x1b[2K{text[:120]}", end=end, file=sys.stderr, flush=True)
        elif self.done == self.total or self.done % max(1, self.total // 10) == 0:
            print(text, file=sys.stderr, flush=True)
