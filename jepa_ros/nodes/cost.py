"""The cost module: weighted terms of imagined futures, for the goal they were imagined for."""

import re
import threading
import time

import numpy as np
import torch

from jepa_ros.costs.energy import DEFAULT_WEIGHTS, TERMS, Energy, EnergyResult
from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.errors import JepaError
from jepa_ros.msg import CandidateCosts, Goal, LatentRollouts
from jepa_ros.nodes.base.diagnostics import Report
from jepa_ros.nodes.base.lifecycle import ManagedNode
from jepa_ros.nodes.base.parameters import Param
from jepa_ros.nodes.base.robot import ROBOT_PARAMS, robot_spec
from jepa_ros.nodes.base.run import run
from jepa_ros.nodes.wire import qos, tensor
from jepa_ros.planning.protocols import REDUCTIONS
from jepa_ros.world_model.device import require_device

_GOALS_KEPT = 4


def _weight(term: str) -> Param:
    """The parameter of one cost term's weight."""
    words = " ".join(re.split("[:;.]", TERMS[term].__doc__)[0].split())
    default = float(DEFAULT_WEIGHTS.get(term, 0.0))
    return Param(f"weights.{term}", default, f"Weight of {term} ({words}); 0 leaves it out.", 0.0, 1e6)


class CostNode(ManagedNode):
    """`rollouts`, `goal` -> `costs`. Rollouts whose goal is not known yet wait for it; newer rollouts replace
    them.

    in_graph: False where the planner shares this process and calls ``score`` itself.
    """

    NAME = "cost"
    PARAMS = (
        *ROBOT_PARAMS,
        *map(_weight, TERMS),
        Param("torch_threads", 1, "Threads of torch in this process.", 1, 256),
        Param("device", "cpu", "Where the terms are computed: cpu, cuda."),
    )

    def __init__(self, in_graph: bool = True, **kwargs):
        self._in_graph = in_graph
        super().__init__(**kwargs)

    def _setup(self) -> None:
        torch.set_num_threads(self.param("torch_threads"))
        self._device = require_device(self.param("device"))
        spec = robot_spec(self)
        self._energy = Energy(spec, {name: self.param(f"weights.{name}") for name in TERMS})
        self._warm_up(spec)
        if self._in_graph:
            self._goals: dict[str, np.ndarray] = {}
            self._waiting: LatentRollouts | None = None
            self._lock = threading.Lock()  # goals come in the executor's thread
            self._costs = self.publisher(CandidateCosts, "costs", qos.LATENT)
            self.subscriber(Goal, "goal", self._on_goal, qos.GOAL_READER)
            self.read(LatentRollouts, "rollouts", self._on_rollouts, qos.LATENT)

    def _warm_up(self, spec) -> None:
        samples, horizon, latent = 64, 5, 16
        sizes = latent, spec.dim, spec.block_dim
        rollouts = Rollouts(*(torch.zeros((samples, horizon, size), device=self._device) for size in sizes))
        for reduction in REDUCTIONS:
            self.score(rollouts, np.zeros(latent, np.float32), reduction)

    def _diagnose(self, report: Report) -> None:
        report.add("terms", ", ".join(f"{weight:g} {term.name}" for weight, term in self._energy.terms))
        report.add("device", self._device)
        if self._in_graph:
            report.add("goals", len(self._goals))

    def score(self, rollouts: Rollouts, goal: np.ndarray, reduction: str) -> EnergyResult:
        """Energies of S imagined futures for a goal latent (D,); reduction "sum", "min" or "last" along the
        horizon."""
        target = torch.tensor(goal, dtype=torch.float32, device=rollouts.latents.device)
        return self._energy.evaluate(rollouts, target, reduction)

    def _on_goal(self, msg: Goal) -> None:
        goal = tensor.from_msg(msg.embedding.latent).reshape(-1)
        with self._lock:
            self._goals[msg.goal_id] = goal
            while len(self._goals) > _GOALS_KEPT:
                del self._goals[next(iter(self._goals))]
            waiting = self._waiting
            if waiting is None or waiting.goal_id != msg.goal_id:
                return
            self._waiting = None
        self._answer(waiting, goal)

    def _on_rollouts(self, msg: LatentRollouts) -> None:
        with self._lock:
            goal = self._goals.get(msg.goal_id)
            self._waiting = msg if goal is None else None
        if goal is not None:
            self._answer(msg, goal)

    def _answer(self, msg: LatentRollouts, goal: np.ndarray) -> None:
        began = time.perf_counter()
        latents, proprio, actions = (tensor.from_msg(t) for t in (msg.latents, msg.proprio, msg.actions))
        if (
            latents.ndim != 3
            or latents.shape[2] != goal.size
            or not latents.shape[:2] == proprio.shape[:2] == actions.shape[:2]
        ):
            raise JepaError(
                f"rollouts dropped: latents {latents.shape}, proprio {proprio.shape} and actions "
                f"{actions.shape} do not fit each other and the goal's {goal.size} numbers"
            )
        if msg.reduction >= len(REDUCTIONS):
            raise JepaError(f"rollouts dropped: unknown reduction {msg.reduction}")
        result = self.score(
            Rollouts(*(torch.tensor(x, device=self._device) for x in (latents, proprio, actions))),
            goal,
            REDUCTIONS[msg.reduction],
        )
        terms = torch.stack(list(result.terms.values())).cpu().numpy()
        totals = result.totals.cpu().numpy()
        best = int(np.argmin(np.where(np.isfinite(totals), totals, np.inf)))
        self._costs.publish(
            CandidateCosts(
                header=msg.header,
                plan_id=msg.plan_id,
                iteration=msg.iteration,
                goal_id=msg.goal_id,
                totals=tensor.to_msg("totals", totals),
                term_names=list(result.terms),
                terms=tensor.to_msg("terms", terms),
                best_next=tensor.to_msg("best_next", latents[best, 0]),
                cost_ms=1e3 * (time.perf_counter() - began),
                rollout_ms=msg.rollout_ms,
            )
        )


def main() -> None:
    """`ros2 run jepa_ros cost`"""
    raise SystemExit(run(lambda: [CostNode()]))


if __name__ == "__main__":
    main()
