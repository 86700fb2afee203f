"""The energy that planning minimises: a weighted sum of named cost terms, reduced along the horizon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from jepa_ros.costs.effort import Effort
from jepa_ros.costs.goal_distance import GoalDistance
from jepa_ros.costs.joint_limit import JointLimit
from jepa_ros.costs.objects import ObjectsInPlace
from jepa_ros.costs.risk import Risk
from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.costs.temporal_distance import TemporalDistance
from jepa_ros.costs.value import Value
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.planning.protocols import REDUCTIONS
from jepa_ros.world_model.heads_file import found_objects

if TYPE_CHECKING:
    from jepa_ros.world_model.checkpoint import Checkpoint
    from jepa_ros.world_model.heads import Heads

PLAIN_TERMS = {term.name: term for term in (GoalDistance, Effort, JointLimit)}
"""Terms that need the robot's contract alone; they are in the exported cost graph."""
HEAD_TERMS = {term.name: term for term in (TemporalDistance, Value)}
"""Terms that are heads of the checkpoint."""
OBJECTS = ObjectsInPlace.name
"""A term of heads that have found things which stay while the arm moves; elsewhere it has nothing to say, whatever its
weight."""
TERMS = PLAIN_TERMS | HEAD_TERMS | {OBJECTS: ObjectsInPlace}
DEFAULT_WEIGHTS = {
    "goal_distance": 1.0,
    "effort": 0.0,
    "joint_limit": 0.1,
    "temporal_distance": 0.0,
    "value": 0.0,
    OBJECTS: 10.0,
}
"""Things first: a block that they are from their place weighs more than any pose of the arm."""


@dataclass(frozen=True)
class EnergyResult:
    """totals (S,); terms: name to its weighted share (S,); the shares add up to the totals.  steps: (S, H) energies after
    every block, before they are reduced along the horizon. Of several futures, all are as ``Risk`` weighs them."""

    totals: Tensor
    terms: dict[str, Tensor]
    steps: Tensor

    @property
    def ends(self) -> Tensor:
        """(S,) energies after the last block, whatever the reduction is."""
        return self.steps[:, -1]


class Energy:
    """``weights``: term name to weight; a term of weight 0 is left out. Lower energy is better.

    heads: those of the checkpoint that latents are of, for HEAD_TERMS; they move to where rollouts are.
    risk: how the energies of several futures of a candidate become one.
    """

    def __init__(
        self,
        spec: ActionSpec,
        weights: Mapping[str, float] = DEFAULT_WEIGHTS,
        heads: Heads | None = None,
        risk: Risk = Risk(),
    ):
        self.risk = risk
        unknown = set(weights) - set(TERMS)
        if unknown:
            raise JepaError(f"unknown cost terms {sorted(unknown)}; known: {', '.join(TERMS)}")
        bad = {name: w for name, w in weights.items() if not 0 <= w < float("inf")}
        if bad:
            raise JepaError(f"cost weights must be finite and not negative, got {bad}")
        wanting = wanted_heads(weights)
        if wanting and heads is None:
            raise JepaError(
                f"{wanting} needs heads, and the checkpoint has none: train them with `jepa heads`, or give it no weight"
            )
        self.terms = [
            (weight, TERMS[name](spec if name in PLAIN_TERMS else heads))
            for name, weight in weights.items()
            if weight > 0 and (name != OBJECTS or has_objects(heads))
        ]
        if not self.terms:
            raise JepaError("every cost weight is 0; give at least one term a weight")
        self._device: torch.device | None = None

    @classmethod
    def of(
        cls,
        checkpoint: Checkpoint,
        weights: Mapping[str, float] = DEFAULT_WEIGHTS,
        risk: Risk = Risk(),
    ) -> Energy:
        """The energy in a checkpoint's latents, with its heads where a term uses them; JepaError where one needs them and there
        are none."""
        wanting = wanted_heads(weights)
        if wanting:
            heads = checkpoint.require_heads(wanting)
        else:
            of_use = weights.get(OBJECTS, 0) > 0 and found_objects(checkpoint.path, checkpoint.sha256)
            heads = checkpoint.heads if of_use else None
        return cls(checkpoint.spec, weights, heads, risk)

    @property
    def needs_actions(self) -> bool:
        """Whether some term looks at the candidates themselves, and not only at where they lead."""
        return any(term.needs_actions for _, term in self.terms)

    @torch.inference_mode()
    def evaluate(self, rollouts: Rollouts, goal: Tensor, reduction: str = "sum") -> EnergyResult:
        """Energies of S candidates for a goal latent (D,).

        reduction: "sum" over the horizon, "last" step, or "min": the step where the total is least (its shares are
        reported), for candidates that may pass through the goal. In every future by itself; then ``risk`` joins them.
        """
        return self.differentiable(rollouts, goal, reduction)

    def differentiable(self, rollouts: Rollouts, goal: Tensor, reduction: str = "sum") -> EnergyResult:
        """``evaluate`` with a graph of gradients, where rollouts have one."""
        self._move(rollouts.latents.device)
        shape = rollouts.latents.shape[:-1]  # ([F,] S, H)
        steps = torch.stack([(weight * term(rollouts, goal)).expand(shape) for weight, term in self.terms])
        if reduction == "sum":
            shares = steps.sum(-1)
        elif reduction == "last":
            shares = steps[..., -1]
        elif reduction == "min":
            best = steps.sum(0).argmin(-1)
            shares = steps.gather(-1, best.expand(len(steps), *best.shape)[..., None])[..., 0]
        else:
            raise JepaError(f"unknown reduction {reduction!r}; known: {', '.join(REDUCTIONS)}")
        steps = steps.sum(0)
        if len(shape) == 3:
            futures = self.risk.weights(shares.sum(0))
            shares, steps = (futures * shares).sum(1), (futures[..., None] * steps).sum(0)
        return EnergyResult(
            shares.sum(0),
            {term.name: share for (_, term), share in zip(self.terms, shares, strict=True)},
            steps,
        )

    @torch.inference_mode(False)  # gradients pass through what is moved
    def _move(self, device: torch.device) -> None:
        """Bring the terms' constants to where rollouts are, once: a copy in every iteration would wait for the GPU."""
        if device == self._device:
            return
        for _, term in self.terms:
            tensors = {name: value for name, value in vars(term).items() if isinstance(value, Tensor)}
            vars(term).update({name: value.to(device) for name, value in tensors.items()})
            for module in vars(term).values():
                if isinstance(module, nn.Module):
                    module.to(device)
        self._device = device


def has_objects(heads: Heads | None) -> bool:
    """Whether they have found things that stay while the arm moves."""
    return heads is not None and heads.objects is not None


def wanted_heads(weights: Mapping[str, float]) -> str:
    """Which of the weighted terms cannot do without heads, in words; "" for none."""
    names = [name for name in HEAD_TERMS if weights.get(name, 0) > 0]
    return f"cost term {' and '.join(names)}" if names else ""
