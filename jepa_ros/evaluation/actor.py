"""What the actor does with a look, in this process: hold, or search from it and execute the plan's first block."""

import numpy as np

from jepa_ros.costs.energy import Energy
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.planning.episode import PlanningEpisode
from jepa_ros.planning.surprise import Level
from jepa_ros.world_model.model import WorldModel


def respond(episode: PlanningEpisode, model: WorldModel, energy: Energy, goal: np.ndarray) -> np.ndarray:
    """Raw actions (N, A) rad, N at least a block, for the episode's last look; the first block counts as executed.

    goal: (D,), the goal's latent. Nothing moves where the last look is to be held for.
    """
    if episode.judgement.level == Level.HOLD:
        return episode.hold()
    evaluator = LatentEvaluator(model, energy, episode.context, goal, episode.planner.reduction)
    solution, actions = episode.plan(evaluator.evaluate, goal)
    predicted = episode.predict(evaluator.evaluate, evaluator.predicted, solution, actions)
    episode.execute(actions, predicted)
    return actions
