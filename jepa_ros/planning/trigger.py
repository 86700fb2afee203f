"""Event-triggered MPC: after a look, is the plan at hand kept, or what makes the planner search?

A plan is kept while what is seen is what it predicted, the goal comes nearer and its energy falls as it predicted, and
enough motion is left: for the last block before arrival, where small corrections count, the planner searches. Event-triggered
predictive control in general: Eqtami et al., "Novel event-triggered strategies for Model Predictive Controllers",
2011. Distances are latent (root mean square) and compared with what the plan itself predicted, so the thresholds
fit every model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.distance import latent_distance


class Cause(IntEnum):
    """Why a plan was searched; numbered as in PlannerStatus.msg."""

    NONE = 0  # it was not: the plan at hand is kept
    ALWAYS = 1  # replan is "always"
    NO_PLAN = 2  # none for this goal, or its block was not executed as sent
    SURPRISE = 3  # another picture than predicted
    PROGRESS = 4  # less progress than predicted, in distance or in energy
    ARRIVAL = 5  # too little motion is left: the plan is about to arrive
    AGE = 6  # replan_after blocks of the plan are executed


@dataclass(frozen=True)
class Outcome:
    """A block of the plan that was executed as sent. before, predicted, seen: latents (D,) at its beginning, and at its
    end as imagined and as looked at."""

    before: np.ndarray
    predicted: np.ndarray
    seen: np.ndarray


def cause(
    config: PlannerConfig,
    outcome: Outcome | None,
    *,
    trusted: bool = False,
    goal: np.ndarray | None = None,
    executed: int = 0,
    left: int = 0,
) -> Cause:
    """What makes the planner search, Cause.NONE where the plan at hand is kept.

    outcome: of the plan's last block; None where it was not executed as sent.  trusted: whether the surprise gate takes
    the look as it is.  goal: latent (D,).  executed: blocks of the plan.  left: blocks from its next one to the last with
    motion.
    """
    if config.replan == "always":
        return Cause.ALWAYS
    if outcome is None:
        return Cause.NO_PLAN
    if not trusted or not is_as_predicted(outcome, config.replan_surprise):
        return Cause.SURPRISE
    if not is_nearer_as_predicted(outcome, goal, config.replan_progress):
        return Cause.PROGRESS
    if left <= config.replan_left:
        return Cause.ARRIVAL
    return Cause.AGE if executed >= config.replan_after else Cause.NONE


def is_as_predicted(outcome: Outcome, share: float) -> bool:
    """Whether the picture lies within ``share`` of the predicted change from its prediction."""
    change = latent_distance(outcome.predicted, outcome.before)
    return latent_distance(outcome.seen, outcome.predicted) <= share * change


def is_nearer_as_predicted(outcome: Outcome, goal: np.ndarray, share: float) -> bool:
    """Whether at least ``share`` of the predicted approach to the goal came true; of a predicted detour, at most as much
    more is lost."""
    before, predicted, seen = (
        latent_distance(z, goal) for z in (outcome.before, outcome.predicted, outcome.seen)
    )
    promised = before - predicted
    return before - seen >= promised - (1 - share) * abs(promised)


def energy_of_rest(cost: float, steps: Sequence[float], reduction: str) -> float:
    """What a plan predicts that its rest will cost after its first block, where it ends at rest.

    cost: of the plan.  steps: (H,) its energy after every block, empty where that is not known: the cost itself.
    """
    if not len(steps):
        return cost
    rest = [*steps[1:], steps[-1]]
    return {"sum": sum, "min": min, "last": lambda energies: energies[-1]}[reduction](rest)


def most_energy(cost: float, rest: float, share: float) -> float:
    """The most that the rest of a plan may cost, imagined from a new look, for at least ``share`` of the predicted fall, from
    ``cost`` to ``rest``, to have come true; it never rises."""
    return cost - share * max(cost - rest, 0.0)
