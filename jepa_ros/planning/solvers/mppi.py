"""Model predictive path integral control.

Williams et al., "Information Theoretic MPC for Model-Based Reinforcement Learning", 2017: the new mean is the
average of the candidates, weighted by exp(-cost / lambda). Here alpha = 1, so there is no control-cost term
in the weights (a cost term of the evaluator has that role). Three differences: lambda is relative to the
spread of the costs; the spread of the candidates shrinks from iteration to iteration (``std_decay``), because
a few iterations are all there is; and the best candidate seen is returned, where the mean is a candidate of every
further iteration.
"""

import numpy as np

from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.noise import coloured_noise
from jepa_ros.planning.search_spaces import SearchSpace
from jepa_ros.planning.solvers.search import Search, Solution, Start


def mppi(
    search: Search, space: SearchSpace, start: Start, config: PlannerConfig, rng: np.random.Generator
) -> Solution:
    """Minimise the cost over theta (P,): sample, weight by the exponentiated cost, average, repeat."""
    mean, std = start.mean, start.std
    floor = config.min_std * space.scale
    count = config.samples

    for iteration in range(config.iterations):
        if not search.time_left():
            break

        # Sample candidates around the mean, clamped to the bounds.
        noise = coloured_noise(rng, count, space.steps, space.size // space.steps, config.noise_beta)
        noise = noise.reshape(count, space.size)
        theta = mean + std * noise
        if iteration == 0:
            if start.wide_std is not None:
                wide = int(config.wide_fraction * count)
                theta[count - wide :] = start.wide_std * noise[count - wide :]
            theta[: len(start.seeds)] = start.seeds[:count]
        else:
            theta[0] = mean
        theta = np.clip(theta, space.lower, space.upper)

        costs = search.costs(theta)
        if costs is None:
            break

        # Weight: exp(-(cost - lowest) / lambda), normalised; an unusable candidate weighs nothing.
        finite = np.sort(costs[np.isfinite(costs)])
        spread = np.std(finite[: (len(finite) + 1) // 2])
        weights = np.exp(-(costs - finite[0]) / max(config.temperature * spread, 1e-12))
        weights /= weights.sum()

        # Average.
        mean = weights @ theta
        std = np.maximum(config.std_decay * std, floor)

    return search.solution()
