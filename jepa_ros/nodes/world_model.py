"""The world model: latent rollouts of candidate action sequences, what the policy on its latents proposes, and where its slow
level leads. Stateless: every request carries its context."""

import time

import numpy as np
import torch

from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.errors import JepaError
from jepa_ros.msg import ActionCandidates, ActionProposals, LatentRollouts, ProposalRequest
from jepa_ros.nodes.base.diagnostics import Report
from jepa_ros.nodes.base.lifecycle import ManagedNode
from jepa_ros.nodes.base.model import MODEL_PARAMS, load
from jepa_ros.nodes.base.parameters import Param
from jepa_ros.nodes.base.robot import ROBOT_PARAMS
from jepa_ros.nodes.base.run import run
from jepa_ros.nodes.wire import qos, tensor
from jepa_ros.planning.memory import Context
from jepa_ros.srv import LoadCheckpoint
from jepa_ros.world_model.checkpoint import Checkpoint
from jepa_ros.world_model.futures import Futures
from jepa_ros.world_model.model import WorldModel


class WorldModelNode(ManagedNode):
    """`candidates` -> `rollouts`; `proposal_request` -> `proposals`; `~/load_checkpoint`.

    The policy lives here and not in the planner, because its latents are this checkpoint's, and its network needs torch
    and the device that are here; the planner's process stays without.
    in_graph: False where the planner shares this process and calls ``imagine``, ``propose`` and ``foresee`` itself.
    """

    NAME = "world_model"
    PARAMS = (
        *MODEL_PARAMS,
        *ROBOT_PARAMS,
        Param(
            "futures",
            Futures().count,
            "F, futures that are imagined of every candidate, where the checkpoint has a latent variable z; a rollout takes "
            "that many times as long.",
            1,
            1024,
        ),
        Param("futures_seed", 0, "Of the draws of z, the same for every candidate and plan.", 0, 2**31 - 1),
    )

    def __init__(self, in_graph: bool = True, **kwargs):
        self._in_graph = in_graph
        super().__init__(**kwargs)

    @property
    def model_id(self) -> str:
        """Of the checkpoint in use."""
        return self._checkpoint.model_id

    @property
    def model(self):
        """What computes rollouts: a WorldModel, or one of another runtime."""
        return self._checkpoint.model

    @property
    def network(self) -> WorldModel:
        """The model in torch, for gradients."""
        return self._checkpoint.network

    def _setup(self) -> None:
        self._use(load(self))
        self.serve(LoadCheckpoint, "~/load_checkpoint", self._serve_load)
        if self._in_graph:
            self._rollouts = self.publisher(LatentRollouts, "rollouts", qos.LATENT)
            self._proposals = self.publisher(ActionProposals, "proposals", qos.LATENT)
            self.read(ActionCandidates, "candidates", self._answer, qos.LATENT)
            self.read(ProposalRequest, "proposal_request", self._answer_policy, qos.LATENT)

    def _diagnose(self, report: Report) -> None:
        report.hardware_id = self.model_id
        report.add("model_id", self.model_id)
        report.add("device", self.param("device"))
        report.add("runtime", self._checkpoint.model.runtime)
        report.add("futures", self.model.futures.count if self.model.codes else 1)
        report.add("policy", "none" if self._checkpoint.heads is None else "heads")

    def imagine(
        self, latents: np.ndarray, proprio: np.ndarray, past: np.ndarray, actions: np.ndarray
    ) -> Rollouts:
        """latents (T, D), proprio (T, A) rad, past (T-1, KA) rad, actions (S, H, KA) rad -> the imagined
        futures, F of every candidate where the model has a z.

        Inputs are copied into torch's aligned memory, so that equal inputs give equal bits in every
        composition.
        """
        return _imagine(self._checkpoint, latents, proprio, past, actions)

    def propose(self, context: Context, goal: np.ndarray) -> tuple[np.ndarray, bool]:
        """What the checkpoint's policy would do from a context towards a goal latent (D,), see Heads.propose; N = 0 without
        a policy."""
        return _propose(self._checkpoint, context, goal)

    def foresee(
        self, context: Context, goal: np.ndarray, macros: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where macro-actions (S, M, U) of the checkpoint's slow level lead, see Heads.foresee; JepaError without one."""
        return _foresee(self._checkpoint, context, goal, macros)

    def _use(self, checkpoint: Checkpoint) -> None:
        """Warm up, which reads the heads as well; the one before stays where that fails."""
        checkpoint.model.futures = Futures(self.param("futures"), self.param("futures_seed"))
        model, spec = checkpoint.model, checkpoint.spec
        zeros = np.zeros((model.context, model.latent_dim)), np.zeros((model.context, spec.dim))
        still = np.zeros((model.context - 1, spec.block_dim))
        for _ in range(2):
            _imagine(checkpoint, *zeros, still, np.zeros((64, 5, spec.block_dim)))
            context, goal = Context(*zeros, still, model.context, 0.0), np.zeros(model.latent_dim)
            _propose(checkpoint, context, goal)
            if checkpoint.heads is not None and checkpoint.heads.slow is not None:
                _foresee(checkpoint, context, goal, np.zeros((64, 3, checkpoint.heads.config.macro)))
        self._checkpoint = checkpoint

    def _answer(self, msg: ActionCandidates) -> None:
        began, checkpoint = time.perf_counter(), self._checkpoint
        context, actions = _start_of(msg, "candidates", checkpoint), tensor.from_msg(msg.actions)
        width = checkpoint.spec.block_dim
        if actions.ndim != 3 or actions.shape[2] != width:
            raise JepaError(
                f"candidates dropped: actions have shape {actions.shape}, the checkpoint needs (S, H, {width})"
            )
        rollouts = _imagine(checkpoint, *context, actions)
        self._rollouts.publish(
            LatentRollouts(
                header=msg.header,
                plan_id=msg.plan_id,
                iteration=msg.iteration,
                goal_id=msg.goal_id,
                model_id=checkpoint.model_id,
                reduction=msg.reduction,
                latents=tensor.to_msg("latents", rollouts.latents.cpu().numpy()),
                proprio=tensor.to_msg("proprio", rollouts.proprio.cpu().numpy()),
                rollout_ms=1e3 * (time.perf_counter() - began),
            )
        )

    def _answer_policy(self, msg: ProposalRequest) -> None:
        began, checkpoint = time.perf_counter(), self._checkpoint
        context = _start_of(msg, "proposal request", checkpoint)
        goal, width = tensor.from_msg(msg.goal).reshape(-1), checkpoint.model.latent_dim
        if goal.size != width:
            raise JepaError(
                f"proposal request dropped: its goal has {goal.size} numbers, the checkpoint's latent {width}"
            )
        start = Context(*context, len(context[0]), 0.0)
        if msg.macros.shape:
            latents, blocks = _foresee(checkpoint, start, goal, _macros(msg, checkpoint))
            found = {"latents": tensor.to_msg("latents", latents), "blocks": tensor.to_msg("blocks", blocks)}
        else:
            actions, things_first = _propose(checkpoint, start, goal)
            found = {"actions": tensor.to_msg("actions", actions), "things_first": things_first}
        self._proposals.publish(
            ActionProposals(
                header=msg.header,
                plan_id=msg.plan_id,
                iteration=msg.iteration,
                policy_ms=1e3 * (time.perf_counter() - began),
                **found,
            )
        )

    def _serve_load(self, request, response) -> None:
        try:
            self._use(load(self, request.path))
            response.success, response.message = True, f"loaded {request.path}"
        finally:
            response.model_id = self.model_id


def _imagine(
    checkpoint: Checkpoint, latents: np.ndarray, proprio: np.ndarray, past: np.ndarray, actions: np.ndarray
) -> Rollouts:
    inputs = [
        torch.tensor(x, dtype=torch.float32, device=checkpoint.model.device)
        for x in (latents, proprio, past, actions)
    ]
    futures, joints = map(torch.as_tensor, checkpoint.model.rollout(*inputs))
    return Rollouts(futures.contiguous(), joints.contiguous(), inputs[-1])


def _propose(checkpoint: Checkpoint, context: Context, goal: np.ndarray) -> tuple[np.ndarray, bool]:
    heads = checkpoint.heads
    if heads is None:
        return np.empty((0, 1, checkpoint.spec.block_dim), np.float32), False
    return heads.propose(context, goal)


def _foresee(
    checkpoint: Checkpoint, context: Context, goal: np.ndarray, macros: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    return checkpoint.require_slow_level("a planner of two levels").foresee(context, goal, macros)


def _macros(msg: ProposalRequest, checkpoint: Checkpoint) -> np.ndarray:
    """(S, M, U) of a request; JepaError where they are not the checkpoint's."""
    macros = tensor.from_msg(msg.macros)
    width = checkpoint.require_slow_level("a planner of two levels").config.macro
    if macros.ndim != 3 or 0 in macros.shape or macros.shape[2] != width:
        raise JepaError(
            f"proposal request dropped: macros have shape {macros.shape}, the checkpoint needs (S, M, {width})"
        )
    return macros


def _start_of(msg: ActionCandidates | ProposalRequest, what: str, checkpoint: Checkpoint) -> list[np.ndarray]:
    """Latents (T, D), proprio (T, A), past blocks (T-1, KA) of a request; JepaError where they are not the
    checkpoint's."""
    model, spec = checkpoint.model, checkpoint.spec
    if msg.model_id != checkpoint.model_id:
        raise JepaError(
            f"{what} dropped: their latents are of checkpoint {msg.model_id!r}, in use is "
            f"{checkpoint.model_id!r}; give encoder and world_model the same checkpoint"
        )
    if tuple(msg.joint_names) != spec.joint_names:
        raise JepaError(
            f"{what} dropped: their joints are {list(msg.joint_names)}, the checkpoint's are "
            f"{list(spec.joint_names)}"
        )
    arrays = [tensor.from_msg(t) for t in (msg.context_latents, msg.context_proprio, msg.context_actions)]
    expected = (
        (model.context, model.latent_dim),
        (model.context, spec.dim),
        (model.context - 1, spec.block_dim),
    )
    if tuple(a.shape for a in arrays) != expected:
        raise JepaError(
            f"{what} dropped: context has shapes {[a.shape for a in arrays]}, the checkpoint needs {expected}"
        )
    return arrays


def main() -> None:
    """`ros2 run jepa_ros world_model`"""
    raise SystemExit(run(lambda: [WorldModelNode()]))


if __name__ == "__main__":
    main()
