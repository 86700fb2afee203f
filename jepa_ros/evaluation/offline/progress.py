"""Goal distance along an episode: does the latent know how far it is to the end?"""

from collections.abc import Sequence

import numpy as np

from jepa_ros.evaluation.offline.bootstrap import mean_interval
from jepa_ros.evaluation.offline.tracks import Track
from jepa_ros.planning.distance import latent_distance

FEWEST_FRAMES = 8
MOST_POINTS = 600


def goal_distance(tracks: Sequence[Track], seed: int) -> dict | None:
    """d(t) = RMS_D(z(t) - z(last)); per episode its Spearman rank correlation with the time to go, and with the end
    effector's distance to its last place where that is known. 1 is perfect order, 0 none. The mean over episodes
    with a bootstrap interval; None where every episode is shorter than FEWEST_FRAMES."""
    episodes = [_episode(t) for t in tracks if len(t) >= FEWEST_FRAMES]
    if not episodes:
        return None
    return {
        "spearman_time": _over(episodes, "spearman_time", seed),
        "spearman_distance": _over(episodes, "spearman_distance", seed),
        "episodes": episodes,
    }


def spearman(a: np.ndarray, b: np.ndarray) -> float | None:
    """Spearman's rank correlation, ties ranked by their mean; None where one of the two does not vary."""
    ranks = np.stack([_ranks(np.asarray(a, float)), _ranks(np.asarray(b, float))])
    if np.any(np.ptp(ranks, axis=1) == 0):
        return None
    return float(np.corrcoef(ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def _episode(track: Track) -> dict:
    to_go = track.stamps[-1] - track.stamps
    distance = np.array([latent_distance(z, track.latents[-1]) for z in track.latents])
    away = None
    if track.end_effector is not None:
        away = np.linalg.norm(track.end_effector - track.end_effector[-1], axis=1)
    thin = slice(None, None, max(1, -(-len(track) // MOST_POINTS)))
    return {
        "bag": track.bag,
        "episode": track.index,
        "times_to_go_s": to_go[thin].tolist(),
        "distance": distance[thin].tolist(),
        "ee_distance_m": None if away is None else away[thin].tolist(),
        "spearman_time": spearman(distance, to_go),
        "spearman_distance": None if away is None else spearman(distance, away),
    }


def _over(episodes: list[dict], name: str, seed: int) -> dict | None:
    values = [np.array([e[name]]) for e in episodes if e[name] is not None]
    if not values:
        return None
    ci = mean_interval(values, seed) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "ci": ci}
