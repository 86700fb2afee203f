"""What is timed: a model as one runtime computes it, with a look to plan from."""

from collections.abc import Callable

import numpy as np
import torch

from jepa_ros.costs.energy import Energy
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.memory import Context
from jepa_ros.planning.receding_horizon import Planner


class Subject:
    """A model and a random look: how long things take does not depend on what is seen.

    model: a WorldModel, or what ``export.choose.with_runtime`` gives for it.  runtime: its name.  context: of rollouts.
    goal: (D,) latent.  Inputs and outputs of all calls lie in host memory, so that a GPU has finished when they return.
    """

    def __init__(self, model, seed: int = 0):
        self.model, self.spec, self.runtime = model, model.spec, model.runtime
        self.energy, self._rng = Energy(model.spec), np.random.default_rng(seed)
        spec = self.spec
        self._bounds = np.tile(spec.lower, spec.block), np.tile(spec.upper, spec.block)
        self.context = Context(
            self._rng.standard_normal((model.context, model.latent_dim)).astype(np.float32),
            self._rng.uniform(spec.position_lower, spec.position_upper, (model.context, spec.dim)).astype(
                "f"
            ),
            self._blocks(model.context - 1),
            model.context,
            0.0,
        )
        self.goal = self._rng.standard_normal(model.latent_dim).astype(np.float32)

    def pictures(self, count: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """(count, h, w, 3) uint8 noise; size: (h, w), default the model's."""
        return self._rng.integers(0, 256, (count, *(size or self.model.image_size), 3), np.uint8)

    def candidates(self, samples: int, horizon: int) -> np.ndarray:
        """(samples, horizon, KA) float32, rad, within the bounds."""
        return self._blocks(samples, horizon)

    @torch.inference_mode()
    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """(B, h, w, 3) uint8 at the model's size, in one batch -> latents (B, D)."""
        return _to_host(self.model.encode(self._tensor(pictures)))

    def rollout(self, actions: np.ndarray) -> np.ndarray:
        """actions (S, H, KA) -> imagined latents (S, H, D)."""
        inputs = (self.context.latents, self.context.proprio, self.context.actions, actions)
        return _to_host(self.model.rollout(*map(self._tensor, inputs))[0])

    def evaluator(self, context: Context, reduction: str) -> LatentEvaluator:
        """What scores candidates for ``goal``, for one plan from ``context``."""
        return LatentEvaluator(self.model, self.energy, context, self.goal, reduction)

    def plan(self, config: PlannerConfig) -> Callable[[], object]:
        """A whole plan from the same look, without a deadline, as a call."""
        planner = Planner(self.spec, config)

        def call():
            planner.reset()
            evaluator = self.evaluator(self.context, planner.reduction)
            solution = planner.plan(evaluator.evaluate, self.context.proprio[-1])
            return evaluator.predicted(solution.best_at)

        return call

    def _blocks(self, *shape: int) -> np.ndarray:
        return self._rng.uniform(*self._bounds, (*shape, self.spec.block_dim)).astype(np.float32)

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.tensor(values, device=self.model.device)


def _to_host(values) -> np.ndarray:
    return values.cpu().numpy() if isinstance(values, torch.Tensor) else values
