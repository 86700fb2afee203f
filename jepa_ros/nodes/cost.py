"""The cost module: weighted terms of imagined futures, for the goal they were imagined for."""

import re
import threading
import time

import numpy as np
import torch

from jepa_ros.costs.energy import DEFAULT_WEIGHTS, OBJECTS, TERMS, Energy, EnergyResult, wanted_heads
from jepa_ros.costs.risk import RISKS, Risk
from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.errors import JepaError
from jepa_ros.msg import ActionCandidates, CandidateCosts, Goal, LatentRollouts
from jepa_ros.nodes.base.diagnostics import Report
from jepa_ros.nodes.base.lifecycle import ManagedNode
from jepa_ros.nodes.base.parameters import Param
from jepa_ros.nodes.base.pin import CHECKPOINT_SHA256
from jepa_ros.nodes.base.robot import ROBOT_PARAMS, robot_spec
from jepa_ros.nodes.base.run import run
from jepa_ros.nodes.wire import qos, tensor
from jepa_ros.planning.protocols import REDUCTIONS
from jepa_ros.world_model.checkpoint import Checkpoint, load_checkpoint
from jepa_ros.world_model.device import require_device
from jepa_ros.world_model.heads_file import found_objects
from jepa_ros.world_model.trust import require_digest

_KEPT = 4
"""Goals, and candidates."""


def _weight(term: str) -> Param:
    """The parameter of one cost term's weight."""
    words = " ".join(re.split("[:;.]", TERMS[term].__doc__)[0].split())
    default = float(DEFAULT_WEIGHTS.get(term, 0.0))
    return Param(f"weights.{term}", default, f"Weight of {term} ({words}); 0 leaves it out.", 0.0, 1e6)


class CostNode(ManagedNode):
    """`rollouts`, `goal` -> `costs`; where a term needs them, also `candidates`. Rollouts whose goal or candidates are not
    known yet wait for them; newer rollouts replace them.

    in_graph: False where the planner shares this process and calls ``score`` itself.
    model_id: of the checkpoint whose heads are used; "" where no term needs any, and rollouts of every model are scored.
    """

    NAME = "cost"
    PARAMS = (
        *ROBOT_PARAMS,
        *map(_weight, TERMS),
        Param(
            "checkpoint",
            "",
            "Checkpoint directory; of it the cost node reads the heads, where a term that is one of them has a weight, or they "
            "have found things that stay while the arm moves.",
        ),
        CHECKPOINT_SHA256,
        Param(
            "risk",
            Risk().kind,
            "How the energies of several imagined futures of a candidate become one: their mean, the worst, or a mix of the mean "
            "and the worst share.",
            choices=RISKS,
        ),
        Param(
            "risk_weight",
            Risk().weight,
            "Weight of the worst share in a mix; the mean has the rest.",
            0.0,
            1.0,
        ),
        Param("risk_tail", Risk().tail, "The worst share of the futures that a mix looks at.", 0.001, 1.0),
        Param("torch_threads", 1, "Threads of torch in this process.", 1, 256),
        Param("device", "cpu", "Where the terms are computed: cpu, cuda."),
    )

    def __init__(self, in_graph: bool = True, **kwargs):
        self._in_graph = in_graph
        super().__init__(**kwargs)

    @property
    def energy(self) -> Energy:
        """The weighted terms."""
        return self._energy

    def _setup(self) -> None:
        torch.set_num_threads(self.param("torch_threads"))
        self._device = require_device(self.param("device"))
        spec = robot_spec(self)
        weights = {name: self.param(f"weights.{name}") for name in TERMS}
        checkpoint = self._checkpoint(wanted_heads(weights), weights[OBJECTS] > 0)
        self.model_id = "" if checkpoint is None else checkpoint.model_id
        risk = Risk(self.param("risk"), self.param("risk_weight"), self.param("risk_tail"))
        self._energy = (
            Energy(spec, weights, risk=risk) if checkpoint is None else Energy.of(checkpoint, weights, risk)
        )
        self._warm_up(spec, 16 if checkpoint is None else checkpoint.model.latent_dim)
        if self._in_graph:
            self._goals: dict[str, np.ndarray] = {}
            self._actions: dict[tuple[str, int], np.ndarray] = {}
            self._waiting: LatentRollouts | None = None
            self._lock = threading.Lock()  # goals and candidates come in the executor's thread
            self._costs = self.publisher(CandidateCosts, "costs", qos.LATENT)
            self.subscriber(Goal, "goal", self._on_goal, qos.GOAL_READER)
            if self._energy.needs_actions:
                self.subscriber(ActionCandidates, "candidates", self._on_candidates, qos.LATENT)
            self.read(LatentRollouts, "rollouts", self._on_rollouts, qos.LATENT)

    def _checkpoint(self, wanting: str, with_objects: bool) -> Checkpoint | None:
        """wanting: the terms that cannot do without its heads, in words.  with_objects: whether heads that have found objects
        are wanted too. None where no heads are."""
        path = self.param("checkpoint")
        with_objects = with_objects and path and found_objects(path, self.param("checkpoint_sha256"))
        if not (wanting or with_objects):
            if path:
                require_digest(path, self.param("checkpoint_sha256"))
            return None
        if not path:
            raise JepaError(f"{wanting} needs heads: set the parameter checkpoint, or give it no weight")
        checkpoint = load_checkpoint(path, str(self._device), self.param("checkpoint_sha256"))
        checkpoint.spec.require_match(
            robot_spec(self), f"checkpoint {path}", f"robot of node {self.get_name()}"
        )
        return checkpoint

    def require_model(self, model_id: str) -> None:
        """JepaError where rollouts of this model cannot be scored: heads read the latents of their own."""
        if self.model_id and model_id != self.model_id:
            raise JepaError(
                f"rollouts dropped: of checkpoint {model_id!r}, the heads are of {self.model_id!r}; give world_model and "
                "cost the same checkpoint"
            )

    def _warm_up(self, spec, latent: int) -> None:
        samples, horizon = 64, 5
        sizes = latent, spec.dim, spec.block_dim
        rollouts = Rollouts(*(torch.zeros((samples, horizon, size), device=self._device) for size in sizes))
        for reduction in REDUCTIONS:
            self.score(rollouts, np.zeros(latent, np.float32), reduction)

    def _diagnose(self, report: Report) -> None:
        report.add("terms", ", ".join(f"{weight:g} {term.name}" for weight, term in self._energy.terms))
        report.add("device", self._device)
        report.add("heads", self.model_id or "none")
        if self._in_graph:
            report.add("goals", len(self._goals))

    def score(self, rollouts: Rollouts, goal: np.ndarray, reduction: str) -> EnergyResult:
        """Energies of S imagined candidates for a goal latent (D,); reduction "sum", "min" or "last" along the
        horizon. Of several futures of each, they are joined by the parameter risk."""
        target = torch.tensor(goal, dtype=torch.float32, device=rollouts.latents.device)
        return self._energy.evaluate(rollouts, target, reduction)

    def _on_goal(self, msg: Goal) -> None:
        """A goal is kept as long as there are new parts of it: after them it is planned for again, and not said again."""
        goal = tensor.from_msg(msg.embedding.latent).reshape(-1)
        if msg.part_of in self._goals:
            self._keep(self._goals, msg.part_of, self._goals[msg.part_of])
        self._keep(self._goals, msg.goal_id, goal)

    def _on_candidates(self, msg: ActionCandidates) -> None:
        self._keep(self._actions, (msg.plan_id, msg.iteration), tensor.from_msg(msg.actions))

    def _on_rollouts(self, msg: LatentRollouts) -> None:
        with self._lock:
            self._waiting = msg
        self._answer_waiting()

    def _keep(self, kept: dict, key, value: np.ndarray) -> None:
        """Beside the few before it; rollouts may have waited for it."""
        with self._lock:
            kept.pop(key, None)  # said again, it is the newest
            kept[key] = value
            while len(kept) > _KEPT:
                del kept[next(iter(kept))]
        self._answer_waiting()

    def _answer_waiting(self) -> None:
        with self._lock:
            msg = self._waiting
            if msg is None or msg.goal_id not in self._goals:
                return
            goal, actions = self._goals[msg.goal_id], None
            if self._energy.needs_actions:
                actions = self._actions.get((msg.plan_id, msg.iteration))
                if actions is None:
                    return
            self._waiting = None
        self._answer(msg, goal, actions)

    def _answer(self, msg: LatentRollouts, goal: np.ndarray, actions: np.ndarray | None) -> None:
        began = time.perf_counter()
        self.require_model(msg.model_id)
        parts = [tensor.from_msg(msg.latents), tensor.from_msg(msg.proprio)]
        parts += [] if actions is None else [actions]
        latents, shapes = parts[0], [part.shape for part in parts]
        together = {shape[-3:-1] for shape in shapes}, {shape[:-1] for shape in shapes[:2]}
        if (
            latents.ndim not in (3, 4)
            or 0 in latents.shape
            or latents.shape[-1] != goal.size
            or any(len(found) > 1 for found in together)
            or any(part.ndim != 3 for part in parts[2:])
        ):
            raise JepaError(
                f"rollouts dropped: latents, proprio and actions {shapes} do not fit each other and the goal's "
                f"{goal.size} numbers"
            )
        if msg.reduction >= len(REDUCTIONS):
            raise JepaError(f"rollouts dropped: unknown reduction {msg.reduction}")
        tensors = [torch.tensor(part, device=self._device) for part in parts]
        if actions is None:
            tensors.append(None)
        result = self.score(Rollouts(*tensors), goal, REDUCTIONS[msg.reduction])
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
                steps=tensor.to_msg("steps", result.steps.cpu().numpy()),
                best_next=tensor.to_msg("best_next", latents[..., best, 0, :]),
                cost_ms=1e3 * (time.perf_counter() - began),
                rollout_ms=msg.rollout_ms,
            )
        )


def main() -> None:
    """`ros2 run jepa_ros cost`"""
    raise SystemExit(run(lambda: [CostNode()]))


if __name__ == "__main__":
    main()
