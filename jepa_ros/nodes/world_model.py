"""The world model: latent rollouts of candidate action sequences. Stateless: every request carries its
context."""

import time

import numpy as np
import torch

from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.errors import JepaError
from jepa_ros.msg import ActionCandidates, LatentRollouts
from jepa_ros.nodes.base.diagnostics import Report
from jepa_ros.nodes.base.lifecycle import ManagedNode
from jepa_ros.nodes.base.model import MODEL_PARAMS, load
from jepa_ros.nodes.base.robot import ROBOT_PARAMS
from jepa_ros.nodes.base.run import run
from jepa_ros.nodes.wire import qos, tensor
from jepa_ros.srv import LoadCheckpoint


class WorldModelNode(ManagedNode):
    """`candidates` -> `rollouts`; `~/load_checkpoint`.

    in_graph: False where the planner shares this process and calls ``imagine`` itself.
    """

    NAME = "world_model"
    PARAMS = (*MODEL_PARAMS, *ROBOT_PARAMS)

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

    def _setup(self) -> None:
        self._use(load(self))
        self.serve(LoadCheckpoint, "~/load_checkpoint", self._serve_load)
        if self._in_graph:
            self._rollouts = self.publisher(LatentRollouts, "rollouts", qos.LATENT)
            self.read(ActionCandidates, "candidates", self._answer, qos.LATENT)

    def _diagnose(self, report: Report) -> None:
        report.hardware_id = self.model_id
        report.add("model_id", self.model_id)
        report.add("device", self.param("device"))
        report.add("runtime", self._checkpoint.model.runtime)

    def imagine(
        self, latents: np.ndarray, proprio: np.ndarray, past: np.ndarray, actions: np.ndarray
    ) -> Rollouts:
        """latents (T, D), proprio (T, A) rad, past (T-1, KA) rad, actions (S, H, KA) rad -> the imagined
        futures.

        Inputs are copied into torch's aligned memory, so that equal inputs give equal bits in every
        composition.
        """
        checkpoint = self._checkpoint
        inputs = [
            torch.tensor(x, dtype=torch.float32, device=self.param("device"))
            for x in (latents, proprio, past, actions)
        ]
        futures, joints = map(torch.as_tensor, checkpoint.model.rollout(*inputs))
        return Rollouts(futures.contiguous(), joints.contiguous(), inputs[-1])

    def _use(self, checkpoint) -> None:
        self._checkpoint = checkpoint
        model, spec = checkpoint.model, checkpoint.spec
        zeros = np.zeros((model.context, model.latent_dim)), np.zeros((model.context, spec.dim))
        for _ in range(2):  # warm up
            self.imagine(
                *zeros, np.zeros((model.context - 1, spec.block_dim)), np.zeros((64, 5, spec.block_dim))
            )

    def _answer(self, msg: ActionCandidates) -> None:
        began = time.perf_counter()
        model, spec = self._checkpoint.model, self._checkpoint.spec
        if msg.model_id != self.model_id:
            raise JepaError(
                f"candidates dropped: their latents are of checkpoint {msg.model_id!r}, in use is "
                f"{self.model_id!r}; give encoder and world_model the same checkpoint"
            )
        if tuple(msg.joint_names) != spec.joint_names:
            raise JepaError(
                f"candidates dropped: their joints are {list(msg.joint_names)}, the checkpoint's are "
                f"{list(spec.joint_names)}"
            )
        arrays = [
            tensor.from_msg(t)
            for t in (msg.context_latents, msg.context_proprio, msg.context_actions, msg.actions)
        ]
        expected = (
            (model.context, model.latent_dim),
            (model.context, spec.dim),
            (model.context - 1, spec.block_dim),
        )
        actions = arrays[-1]
        if (
            tuple(a.shape for a in arrays[:3]) != expected
            or actions.ndim != 3
            or actions.shape[2] != spec.block_dim
        ):
            raise JepaError(
                f"candidates dropped: context and actions have shapes {[a.shape for a in arrays]}, the "
                f"checkpoint needs {expected} and (S, H, {spec.block_dim})"
            )
        rollouts = self.imagine(*arrays)
        self._rollouts.publish(
            LatentRollouts(
                header=msg.header,
                plan_id=msg.plan_id,
                iteration=msg.iteration,
                goal_id=msg.goal_id,
                model_id=self.model_id,
                reduction=msg.reduction,
                latents=tensor.to_msg("latents", rollouts.latents.cpu().numpy()),
                proprio=tensor.to_msg("proprio", rollouts.proprio.cpu().numpy()),
                rollout_ms=1e3 * (time.perf_counter() - began),
            )
        )

    def _serve_load(self, request, response) -> None:
        try:
            self._use(load(self, request.path))
            response.success, response.message = True, f"loaded {request.path}"
        finally:
            response.model_id = self.model_id


def main() -> None:
    """`ros2 run jepa_ros world_model`"""
    raise SystemExit(run(lambda: [WorldModelNode()]))


if __name__ == "__main__":
    main()
