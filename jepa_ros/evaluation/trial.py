"""Closed-loop episodes of weights that are no checkpoint yet, while they are trained."""

from collections.abc import Sequence
from pathlib import Path

from jepa_ros.costs.energy import Energy
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.collect import arm_spec
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.agents import PlannerAgent
from jepa_ros.evaluation.closed_loop import EpisodeResult, pace, run_episode
from jepa_ros.evaluation.runner import PLANNER
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task
from jepa_ros.world_model.checkpoint import Checkpoint
from jepa_ros.world_model.model import WorldModel


class ClosedLoopTrial:
    """``trial(model)``: what ``jepa evaluate`` would find with the planner's own settings and no heads, task by task.

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
            spec.require_match(arm_spec(), "the bags", "the simulated SO-101")
        except JepaError as error:
            raise JepaError(
                f"weights cannot be chosen by driving the simulator ({', '.join(tasks)}): {error}; give --select-tasks "
                "without a task to keep the last ones"
            ) from error
        self._seeds, self._blocks = seeds, blocks
        self._simulators = {task: Simulator(task=task, image_size=image_size) for task in tasks}
        for simulator in self._simulators.values():
            simulator.render()  # a machine that cannot is found before the training, not in the midst of it

    def __call__(self, model: WorldModel) -> dict[str, list[EpisodeResult]]:
        """The episodes of every task, in the order of the seeds; the same for the same weights."""
        # nothing here asks how far from a goal counts as there: no heads, no sub-goals
        checkpoint = Checkpoint(model, {}, "candidate", 0.0, None, Path())
        found = {}
        for name, simulator in self._simulators.items():
            task = make_task(name)
            config = PlannerConfig(mode="search", speed=pace(task, model.spec))
            agent = PlannerAgent(checkpoint, config, Energy(model.spec))
            found[name] = [
                run_episode(simulator, task, agent, seed, self._blocks or task.blocks, PLANNER)
                for seed in self._seeds
            ]
        return found

    def close(self) -> None:
        """Close the simulators."""
        for simulator in self._simulators.values():
            simulator.close()
