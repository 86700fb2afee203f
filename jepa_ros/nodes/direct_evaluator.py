"""Candidates scored by direct calls, where world model and cost share the planner's process."""

import time

import numpy as np
import torch
from sensor_msgs.msg import Image

from jepa_ros.costs.energy import EnergyResult
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.costs.refine import refine
from jepa_ros.errors import JepaError
from jepa_ros.msg import Embedding
from jepa_ros.nodes.actor.pursuit import PlanRequest
from jepa_ros.nodes.actor.target import EncoderSilent
from jepa_ros.nodes.cost import CostNode
from jepa_ros.nodes.encoder import EncoderNode
from jepa_ros.nodes.world_model import WorldModelNode
from jepa_ros.planning.memory import Context
from jepa_ros.planning.protocols import EvaluationTimeout


class DirectLink:
    """What GraphLink is to the graph: the same nodes, called instead of messaged."""

    gradients = True

    def __init__(self, encoder: EncoderNode, world_model: WorldModelNode, cost: CostNode):
        self.encoder, self.world_model, self.cost = encoder, world_model, cost

    def evaluator(self, request: PlanRequest) -> "DirectEvaluator | GpuEvaluator":
        """The evaluator of one plan."""
        self.require(request)
        on_gpu = torch.device(self.world_model.model.device).type == "cuda"
        return (GpuEvaluator if on_gpu else DirectEvaluator)(self, request)

    def require(self, request: PlanRequest) -> None:
        """EvaluationTimeout where a node is not active, or has another checkpoint than the request's, as since
        ~/load_checkpoint."""
        for node in (self.world_model, self.cost):
            if not node.active:
                raise EvaluationTimeout(f"{node.get_name()} is not active; configure and activate it")
        if request.model_id != self.world_model.model_id:
            raise EvaluationTimeout(
                f"the encoder has checkpoint {request.model_id!r}, the world model "
                f"{self.world_model.model_id!r}; give both the same"
            )
        try:
            self.cost.require_model(request.model_id)
        except JepaError as error:
            raise EvaluationTimeout(str(error)) from error

    def encode(self, image: Image, timeout_s: float) -> Embedding:
        """The goal image's embedding; JepaError where it cannot be read."""
        del timeout_s
        if not self.encoder.active:
            raise EncoderSilent("encoder is not active; configure and activate it")
        return self.encoder.embed(image)


class _Proposer:
    """``propose`` and ``foresee`` by direct call. policy_ms: what they took."""

    def __init__(self, link: DirectLink, request: PlanRequest):
        self._link, self._request, self.policy_ms = link, request, 0.0

    def propose(self, context: Context, goal: np.ndarray) -> tuple[np.ndarray, bool]:
        """What the policy would do from a context towards a goal latent (D,), see Propose."""
        began = time.perf_counter()
        self._link.require(self._request)
        found = self._link.world_model.propose(context, goal)
        self.policy_ms += 1e3 * (time.perf_counter() - began)
        return found

    def foresee(
        self, context: Context, goal: np.ndarray, macros: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where macro-actions lead, see Foresee."""
        began = time.perf_counter()
        self._link.require(self._request)
        found = self._link.world_model.foresee(context, goal, macros)
        self.policy_ms += 1e3 * (time.perf_counter() - began)
        return found


class DirectEvaluator(_Proposer):
    """``evaluator(actions (S, H, KA)) -> costs (S,)`` for one plan; the attributes of GraphEvaluator."""

    dropped = 0

    def __init__(self, link: DirectLink, request: PlanRequest):
        super().__init__(link, request)
        self._results: list[tuple[EnergyResult, np.ndarray]] = []
        self.rollout_ms = self.cost_ms = 0.0

    def __call__(self, actions: np.ndarray) -> np.ndarray:
        context, began = self._request.context, time.perf_counter()
        self._link.require(self._request)
        rollouts = self._link.world_model.imagine(
            context.latents, context.proprio, context.actions, actions.astype(np.float32)
        )
        imagined = time.perf_counter()
        result = self._link.cost.score(rollouts, self._request.goal, self._request.reduction)
        self.rollout_ms += 1e3 * (imagined - began)
        self.cost_ms += 1e3 * (time.perf_counter() - imagined)
        self._results.append((result, rollouts.latents[..., 0, :].cpu().numpy()))
        return result.totals.cpu().numpy()

    def ends(self) -> np.ndarray:
        """(S,) energies that the last call's candidates have after their last block."""
        return self._results[-1][0].ends.cpu().numpy()

    def steps(self, at: tuple[int, int]) -> list[float]:
        """Energies after every block of the candidate ``at`` (iteration, index)."""
        return self._results[at[0]][0].steps[at[1]].tolist()

    def refine(self, actions: np.ndarray, *how) -> np.ndarray:
        """actions (S, H, KA) -> the same, down the gradient; how: see ``costs.refine``."""
        request, link = self._request, self._link
        link.require(request)
        context = request.context.latents, request.context.proprio, request.context.actions
        network, energy = link.world_model.network, link.cost.energy
        return refine(network, energy, context, request.goal, actions, request.reduction, *how)

    def terms(self, at: tuple[int, int]) -> tuple[list[str], list[float]]:
        """Names and weighted terms of the candidate ``at`` (iteration, index)."""
        terms = self._results[at[0]][0].terms
        return list(terms), [float(values[at[1]]) for values in terms.values()]

    def predicted(self, at: tuple[int, int]) -> np.ndarray:
        """(D,) latent after the first block of the candidate ``at``; (F, D) of several futures."""
        return self._results[at[0]][1][..., at[1], :]


class GpuEvaluator(_Proposer):
    """The same where both compute on a GPU: rollout and cost terms of an iteration are one recorded graph."""

    dropped, cost_ms = 0, 0.0

    def __init__(self, link: DirectLink, request: PlanRequest):
        super().__init__(link, request)
        self._evaluator = LatentEvaluator(
            link.world_model.model,
            link.cost.energy,
            request.context,
            request.goal,
            request.reduction,
            lambda: link.world_model.network,
        )
        self.ends, self.steps = self._evaluator.ends, self._evaluator.steps
        self._results: list[EnergyResult] = []
        self.rollout_ms = 0.0

    def __call__(self, actions: np.ndarray) -> np.ndarray:
        began = time.perf_counter()
        totals = self._evaluator.evaluate(actions)
        self.rollout_ms += 1e3 * (time.perf_counter() - began)
        self._results.append(self._evaluator.result)
        return totals

    def refine(self, actions: np.ndarray, *how) -> np.ndarray:
        """actions (S, H, KA) -> the same, down the gradient; how: see ``costs.refine``."""
        self._link.require(self._request)
        return self._evaluator.refine(actions, *how)

    def terms(self, at: tuple[int, int]) -> tuple[list[str], list[float]]:
        """Names and weighted terms of the candidate ``at`` (iteration, index)."""
        terms = self._results[at[0]].terms
        return list(terms), [float(values[at[1]]) for values in terms.values()]

    def predicted(self, at: tuple[int, int]) -> np.ndarray:
        """(D,) latent after the first block of the candidate ``at``; (F, D) of several futures."""
        return self._evaluator.predicted(at)
