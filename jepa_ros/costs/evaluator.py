"""World model and energy as the one function that a planner knows."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from jepa_ros.costs.energy import Energy, EnergyResult
from jepa_ros.costs.recorded import recorded
from jepa_ros.costs.refine import refine
from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.planning.memory import Context
from jepa_ros.world_model.model import WorldModel


class LatentEvaluator:
    """A planner's Imagination, in process: actions (S, H, KA) rad -> costs (S,). ``result`` holds the last call's energy
    terms.

    model: a WorldModel, or one of another runtime (``jepa_ros.export.choose``); on a GPU a recorded graph is replayed.
    context: what rollouts start from; goal (D,): the goal's latent.
    network: -> the model in torch, for ``refine``; None where that is not used.
    """

    def __init__(
        self,
        model: WorldModel,
        energy: Energy,
        context: Context,
        goal: np.ndarray,
        reduction: str,
        network: Callable[[], WorldModel] | None = None,
    ):
        self.model, self.energy, self.reduction, self._network = model, energy, reduction, network
        fixed = (context.latents, context.proprio, context.actions, goal)
        self._fixed = [np.array(x, np.float32) for x in fixed]
        self.result: EnergyResult | None = None
        self._steps: list[Tensor] = []  # of every call, energies after every block (S, H)
        self._next: list[Tensor] = []  # of every call, latents after the first block ([F,] S, D)
        self._on_gpu = torch.device(model.device).type == "cuda"

    def evaluate(self, actions: np.ndarray) -> np.ndarray:
        """actions (S, H, KA) rad -> energies (S,)."""
        inputs = (*self._fixed, np.ascontiguousarray(actions, np.float32))
        return self._replay(inputs) if self._on_gpu else self._compute(inputs)

    __call__ = evaluate  # a planner calls it, and asks it for more

    def ends(self) -> np.ndarray:
        """(S,) energies that the last call's candidates have after their last block."""
        return self.result.ends.cpu().numpy()

    def refine(self, actions: np.ndarray, *how) -> np.ndarray:
        """actions (S, H, KA) rad -> the same, down the gradient; how: see ``costs.refine``."""
        *context, goal = self._fixed
        return refine(self._network(), self.energy, context, goal, actions, self.reduction, *how)

    def steps(self, at: tuple[int, int]) -> list[float]:
        """Energies after every block of the candidate ``at`` (call, index)."""
        return self._steps[at[0]][at[1]].tolist()

    def predicted(self, at: tuple[int, int]) -> np.ndarray:
        """(D,) latent after the first block of the candidate ``at`` (call, index); (F, D) where it has several futures."""
        return self._next[at[0]][..., at[1], :].cpu().numpy()

    def _compute(self, inputs: tuple[np.ndarray, ...]) -> np.ndarray:
        *context, goal, candidates = (torch.from_numpy(x).to(self.model.device) for x in inputs)
        latents, proprio = map(torch.as_tensor, self.model.rollout(*context, candidates))
        self.result = self.energy.evaluate(Rollouts(latents, proprio, candidates), goal, self.reduction)
        self._steps.append(self.result.steps)
        self._next.append(latents[..., 0, :])
        return self.result.totals.cpu().numpy()

    def _replay(self, inputs: tuple[np.ndarray, ...]) -> np.ndarray:
        (totals, *steps), terms, following = recorded(self.model, self.energy, self.reduction, inputs)(
            *inputs
        )
        names = (term.name for _, term in self.energy.terms)
        self.result = EnergyResult(
            torch.from_numpy(totals),
            dict(zip(names, terms, strict=True)),
            torch.from_numpy(np.stack(steps, 1)),
        )
        self._steps.append(self.result.steps)
        self._next.append(following)
        return totals
