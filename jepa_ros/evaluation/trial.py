"""Closed-loop episodes of weights that are no checkpoint yet, while they are trained."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jepa_ros.costs.energy import DEFAULT_WEIGHTS, Energy
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.collect import arm_spec
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.agents import PlannerAgent
from jepa_ros.evaluation.closed_loop import EpisodeResult, pace, run_episode
from jepa_ros.evaluation.runner import PLANNER
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task
from jepa_ros.world_model.checkpoint import Checkpoint, halved
from jepa_ros.world_model.heads import Heads
from jepa_ros.world_model.model import WorldModel

Episodes = dict[str, list[EpisodeResult]]
"""By task, in the order of the seeds."""


@dataclass(frozen=True)
class Unsaved(Checkpoint):
    """A checkpoint that is in no folder: its heads are given, and not read."""

    heads: Heads | None = None


class ClosedLoopTrial:
    """``trial(model)``, ``trial.of_heads(model, ...)(heads)``: what ``jepa evaluate`` would find with the planner's own
    settings, task by task.

    A model without heads is driven on those tasks that do not need them.
    spec, image_size: of the models to come; JepaError where the simulated robot is another one.
    blocks: the budget of an episode; None is the task's own.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        seeds: Sequence[int],
        spec: ActionSpec,
        image_size: tuple[int, int],
        blocks: int | None = None,
    ):
        try:
            spec.require_match(arm_spec(spec.block), "the model", "the simulated SO-101")
        except JepaError as error:
            raise JepaError(
                f"weights cannot be chosen by driving the simulator ({', '.join(tasks)}): {error}; give --select-tasks "
                "without a task to keep the last ones"
            ) from error
        self._seeds, self._blocks = seeds, blocks
        self._simulators = {task: Simulator(task=task, image_size=image_size) for task in tasks}
        for simulator in self._simulators.values():
            simulator.render()  # a machine that cannot is found before the training, not in the midst of it

    def __call__(self, model: WorldModel) -> Episodes:
        """The episodes driven by search; the same for the same weights."""
        # nothing here asks how far from a goal counts as there: no heads, no sub-goals
        return self._drive(model, 0.0, None)

    def of_heads(self, model: WorldModel, goal_tolerance: float) -> Callable[[Heads], Episodes]:
        """A trial of heads on the CPU, as they would be kept, with a copy of ``model`` there.

        goal_tolerance: see Checkpoint.
        """
        model = copy.deepcopy(model).cpu().eval().requires_grad_(False)

        def drive(heads: Heads) -> Episodes:
            kept = copy.deepcopy(heads)
            kept.load_state_dict(halved(heads))
            return self._drive(model, goal_tolerance, kept)

        return drive

    def _drive(self, model: WorldModel, goal_tolerance: float, heads: Heads | None) -> Episodes:
        checkpoint = Unsaved(model, {}, "candidate", goal_tolerance, None, Path(), heads=heads)
        found = {}
        for name, simulator in self._simulators.items():
            task = make_task(name)
            if task.needs_heads and heads is None:
                continue
            config = PlannerConfig(speed=pace(task, model.spec))
            agent = PlannerAgent(checkpoint, config, Energy(model.spec, DEFAULT_WEIGHTS, heads))
            found[name] = [
                run_episode(simulator, task, agent, seed, self._blocks or task.blocks, PLANNER)
                for seed in self._seeds
            ]
        return found

    def close(self) -> None:
        """Close the simulators."""
        for simulator in self._simulators.values():
            simulator.close()
