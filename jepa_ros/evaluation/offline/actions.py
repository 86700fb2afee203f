"""Planned against recorded actions: would the planner have done what was done?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jepa_ros.costs.energy import Energy
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.evaluation.offline.tracks import Track
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.memory import Context, ShortTermMemory
from jepa_ros.planning.receding_horizon import Planner
from jepa_ros.world_model.checkpoint import Checkpoint

MOVED = 0.02
"""rad; a joint whose recorded displacement over a block is smaller did not go anywhere in particular."""
CANDIDATES = 255


@dataclass(frozen=True)
class Comparison:
    """One frame's planned and recorded first block, as joint displacements (A,) rad over the block.

    rank: share of random blocks with less energy than the recorded one, NaN where the recorded arm stays.
    """

    frame: int
    recorded: np.ndarray
    planned: np.ndarray
    rank: float

    @property
    def cosine(self) -> float:
        """Of the two displacements; NaN where the recorded arm stays, 0 where the planned one does."""
        if not moves(self.recorded):
            return np.nan
        norms = np.linalg.norm(self.recorded) * np.linalg.norm(self.planned)
        return float(self.recorded @ self.planned / norms) if norms > 0 else 0.0

    @property
    def same_sign(self) -> np.ndarray:
        """(A,) 1 or 0 for joints that moved in the recording, else NaN."""
        same = (np.sign(self.recorded) == np.sign(self.planned)).astype(float)
        return np.where(np.abs(self.recorded) >= MOVED, same, np.nan)


def moves(displacement: np.ndarray) -> bool:
    """Whether some joint of (A,) rad goes anywhere."""
    return bool(np.abs(displacement).max() >= MOVED)


class Replanner:
    """Plans at frames of tracks with the live planner's classes, each from a fresh start and without a deadline.
    Threads may share one.

    The goal is where the recording is one planning horizon later, at most the track's last frame: what a good plan
    from here would have come to as well. A farther goal would leave the planner free to take another way.
    """

    def __init__(self, checkpoint: Checkpoint, config: PlannerConfig, seed: int):
        self.checkpoint, self.spec, self.seed = checkpoint, checkpoint.spec, seed
        self.planner, self.energy = Planner(self.spec, config), Energy.of(checkpoint)
        self.horizon = config.horizon

    def frames(self, track: Track) -> np.ndarray:
        """Frames that can be planned from: a full context before them, more than a block to the end after them."""
        block = self.spec.block
        return np.arange((self.checkpoint.model.context - 1) * block, max(0, len(track) - block - 1))

    def moments(self, tracks: Sequence[Track], every_s: float) -> list[tuple[Track, int]]:
        """(track, frame) every so many recorded s, counted on from track to track: short ones are met at
        different times."""
        places = [(track, int(frame)) for track in tracks for frame in self.frames(track)]
        stride = max(1, round(every_s * self.spec.rate_hz))
        return places[min(stride // 2, max(0, len(places) - 1)) :: stride]

    def goal(self, track: Track, frame: int) -> np.ndarray:
        """(D,) latent."""
        return track.latents[min(frame + self.horizon * self.spec.block, len(track) - 1)]

    def context(self, track: Track, frame: int) -> Context:
        """What was seen and done before a frame."""
        memory, block = ShortTermMemory(self.spec, self.checkpoint.model.context), self.spec.block
        for f in range(frame - (memory.size - 1) * block, frame + 1, block):
            memory.push(track.latents[f], track.proprio[f], f * self.spec.dt)
            if f < frame:
                memory.record_action(track.actions[f : f + block])
        return memory.context()

    def evaluator(self, track: Track, frame: int, reduction: str) -> LatentEvaluator:
        """Energies of candidates from a frame on."""
        context, goal = self.context(track, frame), self.goal(track, frame)
        return LatentEvaluator(self.checkpoint.model, self.energy, context, goal, reduction)

    def plan(self, track: Track, frame: int) -> np.ndarray:
        """(A,) rad: the displacement of the planned first block."""
        planner = Planner(self.spec, self.planner.config)
        planner.reset(self.seed)
        evaluate = self.evaluator(track, frame, planner.reduction).evaluate
        solution = planner.plan(evaluate, track.proprio[frame].astype(np.float64))
        return solution.actions[0].reshape(self.spec.block, self.spec.dim).sum(0)

    def compare(self, track: Track, frame: int) -> Comparison:
        """Plan at a frame, and rank the recorded block among random blocks by their energy after one block."""
        recorded = track.actions[frame : frame + self.spec.block]
        rng = np.random.default_rng([self.seed, track.index, frame])
        steady = rng.uniform(self.spec.lower, self.spec.upper, (CANDIDATES, 1, self.spec.dim))
        blocks = np.concatenate([recorded[None], np.repeat(steady, self.spec.block, axis=1)])
        energies = self.evaluator(track, frame, "last").evaluate(blocks.reshape(len(blocks), 1, -1))
        displacement = recorded.sum(0)
        rank = float(np.mean(energies[1:] < energies[0])) if moves(displacement) else np.nan
        return Comparison(frame, displacement, self.plan(track, frame), rank)


def summarise(comparisons: Sequence[Sequence[Comparison]], joint_names: Sequence[str]) -> dict | None:
    """Over all frames of all tracks. mae_rad: per joint, mean |planned - recorded| displacement over a block.
    sign_agreement: share of equal signs where the joint moved.  cosine: of the displacements, where the arm moved.
    rank: where the arm moved; 0 is best, 0.5 is chance; random blocks move every joint at a constant speed within the bounds."""
    rows = [c for track in comparisons for c in track]
    if not rows:
        return None
    signs = np.array([c.same_sign for c in rows])
    cosines = np.array([c.cosine for c in rows])
    cosines = cosines[np.isfinite(cosines)]
    ranks = np.array([c.rank for c in rows])
    ranks = ranks[np.isfinite(ranks)]
    moved = np.sum(np.isfinite(signs), axis=0)
    return {
        "n": len(rows),
        "joint_names": list(joint_names),
        "mae_rad": np.mean([np.abs(c.planned - c.recorded) for c in rows], axis=0).tolist(),
        "sign_agreement": [
            float(np.nansum(signs[:, j]) / moved[j]) if moved[j] else None for j in range(signs.shape[1])
        ],
        "cosine": {
            "mean": float(np.mean(cosines)) if len(cosines) else None,
            "median": float(np.median(cosines)) if len(cosines) else None,
            "values": cosines.tolist(),
        },
        "rank": {
            "mean": float(np.mean(ranks)) if len(ranks) else None,
            "values": ranks.tolist(),
            "candidates": CANDIDATES,
        },
    }
