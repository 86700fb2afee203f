"""A whole plan per solver, and a look to the guard's first setpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from jepa_ros.evaluation.actor import respond
from jepa_ros.evaluation.bench.bench import Bench
from jepa_ros.evaluation.bench.subjects import Subject
from jepa_ros.evaluation.bench.timing import figures, interleaved
from jepa_ros.planning.config import SOLVERS, SPACES, PlannerConfig
from jepa_ros.planning.episode import PlanningEpisode
from jepa_ros.planning.memory import ShortTermMemory
from jepa_ros.planning.receding_horizon import Planner
from jepa_ros.safety.guard import ActionGuard, GuardConfig, Now, Plan
from jepa_ros.safety.limits import JointLimits

LARGE = {"samples": 300, "iterations": 10}
"""The settings of the bar on an H100."""
_LOOKS_APART_S = 0.5


def measure(bench: Bench) -> dict:
    """rows: whole plans; search_alone: with costs for nothing, in every search space; image_to_command: in this
    process."""
    default = replace(bench.planner, replan="always")
    large = replace(default, **LARGE)
    plans, alone, commands = {}, {}, {}
    for solver in SOLVERS:
        config = replace(default, solver=solver)
        for space in SPACES:
            other = replace(config, space=space)
            alone[other] = _search_alone(bench.any_subject, other)
        for runtime, subject in bench.subjects.items():
            plans[runtime, config] = subject.plan(config)
    for runtime, subject in bench.subjects.items():
        plans[runtime, large] = subject.plan(large)
        commands |= {(runtime, c): image_to_command(subject, c) for c in (default, large)}
    effort = bench.effort

    def timed(calls: dict) -> dict:
        return interleaved(calls, effort.rounds, budget_s=2 * effort.budget_s)

    both = timed(
        {("plan", *key): call for key, call in plans.items()}
        | {("command", *key): call for key, call in commands.items()}
    )
    return {
        "rows": _rows(both, "plan"),
        "search_alone": [
            {**_words(config), "space": config.space, **figures(ms)} for config, ms in timed(alone).items()
        ],
        "image_to_command": _rows(both, "command"),
    }


def image_to_command(subject: Subject, config: PlannerConfig) -> Callable[[], object]:
    """A call: a picture in host memory is encoded, searched from and answered by the guard with its first setpoint.

    The arm stands where the guard's last setpoint sent it; the guard's ticks between two looks are left out.
    """
    spec, picture = subject.spec, subject.pictures(1)[0]
    episode = PlanningEpisode(Planner(spec, config), ShortTermMemory(spec, subject.model.context))
    fast = (1e3,) * spec.dim
    guard = ActionGuard(spec, JointLimits.from_spec(spec, fast, fast), GuardConfig(image_s=0, embedding_s=0))
    joints, clock = np.zeros(spec.dim), 0.0

    def call():
        nonlocal clock, joints
        clock += _LOOKS_APART_S
        now = Now(clock, clock)
        guard.observe(spec.joint_names, joints, now)
        guard.arm(now)
        episode.look(subject.model.embed(picture), joints, clock)
        actions = respond(episode, subject.model, subject.energy, subject.goal)
        verdict = guard.submit(
            Plan(clock, spec.joint_names, actions[: spec.block], spec.dt, spec.block, spec.space), now
        )
        if not verdict.accepted:
            raise RuntimeError(f"the guard refused a plan: {verdict.text}")
        resting = guard.disarm(now)
        joints = (resting or verdict.setpoint).positions
        return verdict.setpoint

    return call


def _search_alone(subject: Subject, config: PlannerConfig) -> Callable[[], object]:
    planner, proprio = Planner(subject.spec, config), subject.context.proprio[-1]
    costs = np.random.default_rng(0).random(config.samples)
    return lambda: planner.plan(lambda actions: costs[: len(actions)], proprio)


def _words(config: PlannerConfig) -> dict[str, object]:
    return {
        "solver": config.solver,
        "candidates": config.samples,
        "iterations": config.iterations,
        "horizon": config.horizon,
    }


def _rows(times: dict, wanted: str) -> list[dict]:
    return [
        {"runtime": runtime, **_words(config), **figures(ms)}
        for (kind, runtime, config), ms in times.items()
        if kind == wanted
    ]
