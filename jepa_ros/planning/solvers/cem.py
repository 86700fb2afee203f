"""The cross-entropy method, and iCEM as its options.

CEM: Rubinstein and Kroese, "The Cross-Entropy Method", 2004. iCEM: Pinneri et al., "Sample-efficient
Cross-Entropy Method for Real-time Planning", 2020: coloured noise (``noise_beta``), kept elites
(``kept_elites``), a population that shrinks (``sample_decay``), momentum. Two differences: costs here are
deterministic within one plan, so a kept elite keeps its cost and is not evaluated again; and where theta has
no time axis, the Gaussian keeps a part of the elites' correlations (``correlation``), because joints that
make up for each other make long, oblique valleys.
"""

import numpy as np

from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.noise import coloured_noise
from jepa_ros.planning.search_spaces import SearchSpace
from jepa_ros.planning.solvers.search import Search, Solution, Start


def cem(
    search: Search, space: SearchSpace, start: Start, config: PlannerConfig, rng: np.random.Generator
) -> Solution:
    """Minimise the cost over theta (P,): sample, pick elites, refit mean and std, repeat."""
    mean, std = start.mean, start.std
    floor = config.min_std * space.scale
    kept, kept_costs = np.empty((0, space.size)), np.empty(0)
    factor = None  # (P, P) Cholesky factor of the candidates' covariance, where correlations are fitted
    fit_correlations = config.correlation > 0 and space.steps == 1

    for iteration in range(config.iterations):
        if not search.time_left():
            break

        # Sample candidates around the mean, clamped to the bounds.
        count = int(config.samples * config.sample_decay**-iteration)
        count = max(count, min(2 * config.elites, config.samples))
        noise = coloured_noise(rng, count, space.steps, space.size // space.steps, config.noise_beta)
        noise = noise.reshape(count, space.size)
        theta = mean + (std * noise if factor is None else noise @ factor.T)
        if iteration == 0:
            if start.wide_std is not None:
                wide = int(config.wide_fraction * count)
                theta[count - wide :] = start.wide_std * noise[count - wide :]
            theta[: len(start.seeds)] = start.seeds[:count]
        else:
            theta[0] = mean
        theta = np.clip(theta, space.lower, space.upper)

        # Evaluate; elites are the best of these and of the elites that stay in the race.
        costs = search.costs(theta)
        if costs is None:
            break
        theta, costs = np.concatenate([theta, kept]), np.concatenate([costs, kept_costs])
        best_first = np.argsort(costs, kind="stable")[: config.elites]
        best_first = best_first[np.isfinite(costs[best_first])]
        elites = theta[best_first]

        # Refit the distribution.
        mean = config.momentum * mean + (1 - config.momentum) * elites.mean(axis=0)
        std = np.maximum(config.momentum * std + (1 - config.momentum) * elites.std(axis=0), floor)
        if fit_correlations:
            normalised = (elites - elites.mean(axis=0)) / np.maximum(elites.std(axis=0), 1e-12)
            correlations = config.correlation * (normalised.T @ normalised) / len(elites)
            np.fill_diagonal(correlations, 1.0)
            factor = std[:, None] * np.linalg.cholesky(correlations)
        stay = int(np.ceil(config.kept_elites * len(elites)))
        kept, kept_costs = elites[:stay], costs[best_first[:stay]]

    return search.solution()
