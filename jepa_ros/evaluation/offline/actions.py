"""Planned against recorded action: would the planner have done what worked?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from jepa_ros.evaluation.offline.replan import Replan
from jepa_ros.evaluation.offline.tracks import Track
from jepa_ros.evaluation.offline.windows import Windows

CANDIDATES = 255
MOVING_RAD = 0.02
"""A joint that the recorded block moves less does not count for sign agreement; a block that moves every joint less
has no cosine and no rank: without motion there is no direction to agree with."""


@dataclass(frozen=True)
class Actions:
    """n compared moments. planned, recorded: (n, A) rad, the joints' displacement over one block.

    planned is NaN where plans were not asked for.  rank: (n,) share of random blocks with lower energy than the
    recorded one, NaN where the recorded block does not move the arm.  track, frame: (n,) where.
    candidates: random blocks per moment.
    """

    planned: np.ndarray
    recorded: np.ndarray
    rank: np.ndarray
    track: np.ndarray
    frame: np.ndarray
    candidates: int

    @property
    def error(self) -> np.ndarray:
        """(n, A) rad: |planned - recorded|."""
        return np.abs(self.planned - self.recorded)

    @property
    def agrees(self) -> np.ndarray:
        """(n, A) 1 where a joint is planned to move the way it was moved, else 0; NaN where it was hardly moved."""
        same = np.where(np.sign(self.planned) == np.sign(self.recorded), 1.0, 0.0)
        moving = (np.abs(self.recorded) >= MOVING_RAD) & np.isfinite(self.planned)
        return np.where(moving, same, np.nan)

    @property
    def cosine(self) -> np.ndarray:
        """(n,) planned . recorded / (|planned| |recorded|); NaN where the arm was hardly moved."""
        scale = np.linalg.norm(self.planned, axis=1) * np.linalg.norm(self.recorded, axis=1)
        dot = np.sum(self.planned * self.recorded, axis=1)
        cosine = np.divide(
            dot, scale, out=np.zeros_like(scale), where=scale != 0
        )  # a plan to rest agrees with none
        return np.where(moves(self.recorded) & np.isfinite(scale), cosine, np.nan)


def moves(displacements: np.ndarray) -> np.ndarray:
    """(..., A) rad -> (...) whether some joint is moved by MOVING_RAD."""
    return np.abs(displacements).max(axis=-1) >= MOVING_RAD


def moments(tracks: Sequence[Track], replan: Replan, every_s: float) -> list[tuple[int, int]]:
    """(track, frame) to compare at: every round(every_s * rate) th of all frames that have a full context and one
    block to the end, counted on across tracks, so that short tracks are met at different times."""
    windows = Windows(tracks, replan.spec, replan.model.context, 1)
    step = max(1, round(every_s * replan.spec.rate_hz))
    chosen = np.arange(min(step, len(windows)) // 2, len(windows), step)
    return list(zip(windows.track[chosen].tolist(), windows.frame[chosen].tolist(), strict=True))


def compare_actions(
    tracks: Sequence[Track],
    replan: Replan,
    places: Iterable[tuple[int, int]],
    seed: int = 0,
    candidates: int = CANDIDATES,
    plan: bool = True,
) -> Actions | None:
    """Plan at places (track, frame) and compare the first planned block with the recorded one; None without places.

    Rank: energies after one block, by the planner's own energy and goal, of the recorded block and of random ones
    that each move every joint at a constant speed, uniform within its bounds. 0: none is better than what was
    recorded; 0.5: chance.
    """
    places = list(places)
    if not places:
        return None
    spec = replan.spec
    rng = np.random.default_rng(seed)
    planned, recorded, rank = [], [], []
    for number, frame in places:
        track = tracks[number]
        evaluator, block = replan.look(track, frame), replan.recorded(track, frame)
        recorded.append(block.sum(axis=0))
        speeds = rng.uniform(spec.lower, spec.upper, (candidates, spec.dim))
        rank.append(_rank(evaluator, block, speeds) if moves(recorded[-1]) else np.nan)
        first = replan.plan(evaluator).actions[0] if plan else np.full(spec.block_dim, np.nan)
        planned.append(first.reshape(spec.block, spec.dim).sum(axis=0))
    at = np.array(places)
    return Actions(np.array(planned), np.array(recorded), np.array(rank), at[:, 0], at[:, 1], candidates)


def _rank(evaluator, block: np.ndarray, speeds: np.ndarray) -> float:
    """block: (K, A) rad.  speeds: (S, A) rad per raw action."""
    blocks = np.concatenate([block[None], np.repeat(speeds[:, None], len(block), axis=1)])
    costs = evaluator.evaluate(blocks.reshape(len(blocks), 1, -1))
    return float(np.mean(costs[1:] < costs[0]))
