"""Many episodes of several agents, over worker processes; the figures do not depend on how many."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from jepa_ros.costs.risk import Risk
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.agents import Agent, BehaviourCloning, JointServo, NoOp, PlannerAgent, RandomMotion
from jepa_ros.evaluation.closed_loop import EpisodeResult, Timing, pace, run_episode
from jepa_ros.planning.config import MODES, PlannerConfig
from jepa_ros.world_model.futures import Futures

if TYPE_CHECKING:
    from jepa_ros.evaluation.shifts.condition import Condition
    from jepa_ros.evaluation.shifts.view import ShiftedView

Job = tuple
"""What Bench.run takes: agent and seed, or agent, seed and condition."""

PLANNER, ORACLE = "planner", "oracle"
"""An agent may also be one of the planner's modes: the planner in that mode, whatever its settings say."""
YARDSTICKS = ("decoded_by_sight", "true_joints")
"""Runs only where asked for: joints decoded from both images; the true goal joints."""
BASELINES = ("no_op", "random", "behaviour_cloning", "decoded_joints")


@dataclass(frozen=True)
class Settings:
    """What is measured. checkpoint: a directory, or None for agents that need none.

    model: "checkpoint", or "oracle": the simulator itself as world model.  weights: of the energy's terms.
    blocks: the budget of an episode.  timing: of looking and moving.
    meshes: "boxes" or "full".  runtime: what computes the checkpoint's model (``jepa_ros.export.choose``).
    sha256: what the checkpoint is pinned to, "" where it is not.
    risk, futures: of a model that imagines several: how their energies become one, and which they are.
    """

    task: str
    checkpoint: str | None
    model: str
    planner: PlannerConfig
    weights: dict[str, float] = field(default_factory=dict)
    blocks: int = 30
    timing: Timing = Timing()
    meshes: str = "boxes"
    runtime: str = "auto"
    sha256: str = ""
    risk: Risk = Risk()
    futures: Futures = Futures()


class Bench:
    """One simulator and its agents, made when first needed; lives in one process.

    say: called with a line where the checkpoint's model is computed by a slower runtime than it could be.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None] = lambda text: None):
        self.settings, self._say = settings, say
        self._checkpoint = self._simulator = None
        self._agents: dict[str, Agent] = {}

    def run(self, name: str, seed: int, condition: Condition | None = None) -> EpisodeResult:
        """One episode of agent ``name``, under a visual shift or clean (None)."""
        if condition is None:
            return self._run(name, seed)
        from jepa_ros.evaluation.shifts.view import ShiftedView
        from jepa_ros.simulation.held_out import held_out_seed

        with ShiftedView(self.simulator, condition, held_out_seed(seed)) as view:
            return self._run(name, seed, view)

    def _run(self, name: str, seed: int, view: ShiftedView | None = None) -> EpisodeResult:
        return run_episode(
            self.simulator,
            self.task,
            self.agent(name),
            seed,
            self.settings.blocks,
            name,
            self.settings.timing,
            view,
        )

    @property
    def checkpoint(self):
        """The loaded checkpoint with its runtime, None without one."""
        if self._checkpoint is None and self.settings.checkpoint is not None:
            import torch

            from jepa_ros.export.choose import with_runtime
            from jepa_ros.world_model.checkpoint import load_checkpoint

            torch.set_num_threads(1)
            self._checkpoint = with_runtime(
                load_checkpoint(self.settings.checkpoint, sha256=self.settings.sha256),
                self.settings.runtime,
                say=self._say,
            )
            self._checkpoint.model.futures = self.settings.futures
        return self._checkpoint

    @property
    def spec(self):
        """The ActionSpec of the checkpoint, else the simulated robot's own."""
        from jepa_ros.data.collect import arm_spec

        return arm_spec() if self.checkpoint is None else self.checkpoint.spec

    @property
    def pace(self) -> float:
        """Share of the action bounds that the task lets an arm use."""
        from jepa_ros.simulation.tasks import make_task

        return pace(make_task(self.settings.task), self.spec)

    @property
    def simulator(self):
        """The simulated robot at the checkpoint's image size; its contract must match the checkpoint's."""
        if self._simulator is None:
            from jepa_ros.data.collect import arm_spec
            from jepa_ros.simulation.simulator import Simulator
            from jepa_ros.simulation.tasks import make_task

            size = (64, 64)
            if self.checkpoint is not None:
                size = self.checkpoint.model.image_size
                self.spec.require_match(
                    arm_spec(self.spec.block),
                    f"checkpoint {self.settings.checkpoint}",
                    "the simulated SO-101",
                )
            self.task = make_task(self.settings.task)
            self._simulator = Simulator(task=self.settings.task, image_size=size, meshes=self.settings.meshes)
        return self._simulator

    def close(self) -> None:
        """Close the simulator where there is one."""
        if self._simulator is not None:
            self._simulator.close()

    def agent(self, name: str) -> Agent:
        """The agent called ``name``; JepaError where what it needs is not there."""
        if name not in self._agents:
            self._agents[name] = self._make(name)
        return self._agents[name]

    def _make(self, name: str) -> Agent:
        spec, config = self.spec.slowed(self.pace), self.settings.planner
        config = replace(config, speed=min(self.pace, config.speed))
        if name == PLANNER or name in MODES:
            from jepa_ros.costs.energy import Energy

            return PlannerAgent(
                self.checkpoint,
                config if name == PLANNER else replace(config, mode=name),
                Energy.of(self.checkpoint, self.settings.weights, self.settings.risk),
            )
        if name == ORACLE:
            from jepa_ros.evaluation.oracle import OracleAgent

            return OracleAgent(self.spec, config, self.settings.timing)
        if name == "no_op":
            return NoOp(spec)
        if name == "random":
            return RandomMotion(spec)
        if name == "true_joints":
            return JointServo(spec, None)
        if name not in BASELINES + YARDSTICKS:
            raise JepaError(f"unknown baseline {name!r}; known: {', '.join(BASELINES)}")
        if self.settings.checkpoint is None:
            raise JepaError("it needs networks trained with a checkpoint; give --checkpoint")
        from jepa_ros.world_model.baselines import load_baselines

        networks = load_baselines(self.settings.checkpoint)
        if name == "behaviour_cloning":
            return BehaviourCloning(spec, networks.policy_block)
        return JointServo(spec, networks.joints_from_image, by_sight=name == "decoded_by_sight")


def run_all(
    settings: Settings,
    names: list[str],
    seeds: list[int],
    processes: int = 1,
    progress: Callable[[EpisodeResult], None] = lambda result: None,
) -> dict[str, list[EpisodeResult]]:
    """Every agent on every seed; results by agent, in the order of the seeds."""
    results: dict[str, list[EpisodeResult]] = {name: [] for name in names}
    jobs = [(name, seed) for name in names for seed in seeds]
    for _, result in run_jobs(settings, jobs, processes):
        results[result.agent].append(result)
        progress(result)
    return {name: sorted(found, key=lambda r: r.seed) for name, found in results.items()}


def run_jobs(settings: Settings, jobs: Sequence[Job], processes: int) -> Iterator[tuple[Job, EpisodeResult]]:
    """Every job with its result, as they end."""
    processes = min(processes, len(jobs))
    if processes <= 1:
        bench = Bench(settings)
        try:
            for job in jobs:
                yield job, bench.run(*job)
        finally:
            bench.close()
        return
    context = multiprocessing.get_context("spawn")  # a forked OpenGL context or thread pool does not work
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_start_worker, initargs=(settings,))
    try:
        running = {pool.submit(_run_job, *job): job for job in jobs}
        for future in as_completed(running):
            yield running[future], future.result()
    except BrokenProcessPool as error:
        raise JepaError(
            f"a process that drove episodes ended unexpectedly ({error}); is there memory for {processes}? "
            "Fewer --processes need less"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_bench: Bench | None = None


def _start_worker(settings: Settings) -> None:
    global _bench
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent cancels what is left
    _bench = Bench(settings)


def _run_job(*job) -> EpisodeResult:
    return _bench.run(*job)
