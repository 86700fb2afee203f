"""Energy landscape: what the planner sees at a frame, over the displacements of two joints."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jepa_ros.evaluation.offline.actions import moves
from jepa_ros.evaluation.offline.replan import Replan
from jepa_ros.evaluation.offline.tracks import Track
from jepa_ros.evaluation.offline.windows import Windows

STEPS = 25
SHOWN = 4


@dataclass(frozen=True)
class Landscape:
    """Energy over a grid at one frame. joints: the two that moved most.  x (n,), y (m,): their displacements over
    the horizon, rad.  cost: (m, n).  recorded, planned, least: (2,) rad; planned is NaN without a plan.
    track, frame: where."""

    joints: tuple[int, int]
    x: np.ndarray
    y: np.ndarray
    cost: np.ndarray
    recorded: np.ndarray
    planned: np.ndarray
    least: np.ndarray
    track: int
    frame: int


def chosen_frames(tracks: Sequence[Track], replan: Replan, count: int = SHOWN) -> list[tuple[int, int]]:
    """(track, frame) evenly spread over all frames of the tracks that have a full context and the horizon ahead,
    and where the arm was moving; where no track is that long, one block ahead. [] for an arm of one joint."""
    spec = replan.spec
    if spec.dim < 2:
        return []
    windows = Windows(tracks, spec, replan.model.context, replan.horizon)
    if not len(windows):
        windows = Windows(tracks, spec, replan.model.context, 1)
    if not len(windows):
        return []
    blocks = windows.blocks(slice(None))[:, 0].reshape(len(windows), spec.block, spec.dim)
    moving = np.flatnonzero(moves(blocks.sum(axis=1)))
    rows = moving[((np.arange(count) + 0.5) / count * len(moving)).astype(int)] if len(moving) else moving
    return [(int(windows.track[row]), int(windows.frame[row])) for row in np.unique(rows)]


def landscape(
    track: Track, replan: Replan, number: int, frame: int, plan: bool = True, steps: int = STEPS
) -> Landscape:
    """The planner's energy on a grid of what its displacement space searches from the frame's joints.

    theta: each joint's displacement over the horizon (all at constant speeds, arriving together, then resting);
    the energy is summed along the horizon. The grid spans the two joints with the largest recorded displacement
    until the goal frame; the others move as recorded. number: of the track.
    """
    spec = replan.spec
    evaluator = replan.look(track, frame)
    space = replan.planner.space.at(track.proprio[frame])
    recorded = track.actions[frame : replan.goal_frame(track, frame)].sum(axis=0).astype(float)
    axes = sorted(np.argsort(-np.abs(recorded), kind="stable")[:2].tolist())
    x, y = (_axis(space.lower[j], space.upper[j], recorded[j], steps) for j in axes)
    theta = np.tile(np.clip(recorded, space.lower, space.upper), (len(y), len(x), 1))
    theta[..., axes[0]] = x
    theta[..., axes[1]] = y[:, None]
    cost = evaluator.evaluate(space.decode(theta.reshape(-1, spec.dim))).reshape(len(y), len(x))
    row, column = np.unravel_index(np.argmin(cost), cost.shape)
    planned = np.full(spec.dim, np.nan)
    if plan:
        planned = replan.plan(evaluator).actions.reshape(-1, spec.dim).sum(axis=0)
    least = np.array([x[column], y[row]])
    return Landscape(tuple(axes), x, y, cost, recorded[axes], planned[axes], least, number, frame)


def _axis(lower: float, upper: float, recorded: float, steps: int) -> np.ndarray:
    """steps values over lower .. upper and what was recorded (a recording may have gone beyond the bounds)."""
    return np.linspace(min(lower, recorded), max(upper, recorded), steps)
