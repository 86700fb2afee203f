"""World model and energy as the one function that a planner knows."""

import numpy as np
import torch
from torch import Tensor

from jepa_ros.costs.energy import Energy, EnergyResult
from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.world_model.model import WorldModel


class LatentEvaluator:
    """``evaluate(actions (S, H, KA) rad) -> costs (S,)``, in process. ``result`` holds the last call's energy terms.

    model: a WorldModel, or one of another runtime (``jepa_ros.export.choose``).
    latents (T, D), proprio (T, A) rad, past_actions (T-1, KA) rad: the context; goal (D,): the goal's latent.
    """

    def __init__(
        self,
        model: WorldModel,
        energy: Energy,
        latents: np.ndarray,
        proprio: np.ndarray,
        past_actions: np.ndarray,
        goal: np.ndarray,
        reduction: str,
    ):
        self.model, self.energy, self.reduction = model, energy, reduction
        self.context = [self._tensor(x) for x in (latents, proprio, past_actions)]
        self.goal = self._tensor(goal)
        self.result: EnergyResult | None = None
        self._next: list[np.ndarray] = []  # of every call, latents after the first block (S, D)

    def evaluate(self, actions: np.ndarray) -> np.ndarray:
        """actions (S, H, KA) rad -> energies (S,)."""
        candidates = self._tensor(actions)
        latents, proprio = map(torch.as_tensor, self.model.rollout(*self.context, candidates))
        self.result = self.energy.evaluate(Rollouts(latents, proprio, candidates), self.goal, self.reduction)
        self._next.append(latents[:, 0].cpu().numpy())
        return self.result.totals.cpu().numpy()

    def predicted(self, at: tuple[int, int]) -> np.ndarray:
        """(D,) latent after the first block of the candidate ``at`` (call, index)."""
        return self._next[at[0]][at[1]]

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(values, dtype=np.float32), device=self.model.device)
