"""Do the heads know what is farther? Rank correlations on episodes that nothing was trained on."""

import numpy as np
import torch

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.evaluation.offline.progress import spearman
from jepa_ros.training.latent_episodes import LatentEpisodes
from jepa_ros.world_model.heads import Heads

NEAR, FAR = 2.0, 4.0
"""Blocks to go: near is up to the one, far is from the other on."""


@torch.inference_mode()
def head_ranks(
    heads: Heads, episodes: LatentEpisodes, pairs: int = 4000, seed: int = 0
) -> dict[str, float | None]:
    """Spearman's rank correlation of the latent distance (root mean square), the distance head and the critic's blocks,
    with two truths, near and far: `MEASURE_TRUTH_RANGE` -> correlation, None where it cannot be told.

    recorded: blocks that the recording took from one frame to a later one of the episode.  joints: the fewest blocks that
    the action bounds allow between the joints of any two frames, the truth where nothing is in the way.
    """
    rng, last = np.random.default_rng(seed), episodes.last
    first = rng.choice(episodes.lasting(1), pairs)
    later = first + rng.integers(1, last[first] - first + 1)
    found = _correlations(heads, episodes, first, later, (later - first) / episodes.block, "recorded")
    other = rng.integers(len(last), size=pairs)
    fewest = fewest_blocks(episodes.proprio.cpu().numpy(), first, other, heads.spec)
    return found | _correlations(heads, episodes, first, other, fewest, "joints")


def fewest_blocks(proprio: np.ndarray, start: np.ndarray, goal: np.ndarray, spec: ActionSpec) -> np.ndarray:
    """(B,) blocks of full speed between the joints (F, A) rad of frames ``start`` and ``goal`` (B,)."""
    change = proprio[goal] - proprio[start]
    bound = np.where(change > 0, spec.upper, np.negative(spec.lower))
    return np.max(np.abs(change) / bound, axis=1) / spec.block


def _correlations(heads, episodes, start, goal, truth, name) -> dict[str, float | None]:
    here, there = episodes.latents[start], episodes.latents[goal]
    measures = {
        "latent": (here - there).pow(2).mean(-1).sqrt(),
        "distance": heads.distance(here, there),
        "value": heads.critic.blocks(here, there),
    }
    ranges = {"near": truth <= NEAR, "far": truth >= FAR}
    return {
        f"{measure}_{name}_{span}": spearman(values.cpu().numpy()[inside], truth[inside])
        if inside.sum() > 2
        else None
        for measure, values in measures.items()
        for span, inside in ranges.items()
    }
