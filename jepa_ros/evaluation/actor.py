"""What the actor does with a look, in this process: hold, or plan from it and execute the plan's first block."""

from collections.abc import Callable

import numpy as np

from jepa_ros.costs.energy import Energy
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.planning.episode import PlanningEpisode
from jepa_ros.planning.protocols import Foresee, Propose
from jepa_ros.planning.surprise import Level
from jepa_ros.world_model.model import WorldModel


def respond(
    episode: PlanningEpisode,
    model: WorldModel,
    energy: Energy,
    goal: np.ndarray,
    propose: Propose | None = None,
    tolerance: float = 0.0,
    network: Callable[[], WorldModel] | None = None,
    foresee: Foresee | None = None,
) -> np.ndarray:
    """Raw actions (N, A) rad, N at least a block, for the episode's last look; the first block counts as executed.

    goal: (D,), the goal's latent.  propose: the policy, None without one.  tolerance: latent distance that counts as
    reached.  network: -> the model in torch, for gradients.  foresee: the slow level, None where the episode has no hierarchy.
    Nothing moves where the last look is to be held for.
    """
    if episode.judgement.level == Level.HOLD:
        return episode.hold()
    goal = episode.aim(goal, foresee, tolerance)
    evaluator = LatentEvaluator(model, energy, episode.context, goal, episode.planner.reduction, network)
    solution, actions = episode.plan(evaluator, goal, propose=propose, tolerance=tolerance)
    predicted = episode.predict(evaluator, evaluator.predicted, solution, actions)
    episode.execute(actions, predicted)
    return actions
