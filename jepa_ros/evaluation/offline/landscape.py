"""Energy landscapes: the cost over a grid of two joints' displacements, at a few chosen frames."""

from collections.abc import Sequence

import numpy as np

from jepa_ros.evaluation.offline.actions import Replanner
from jepa_ros.evaluation.offline.tracks import Track

POINTS = 21
"""Grid points per joint."""


def choose_frames(replanner: Replanner, tracks: Sequence[Track], most: int) -> list[tuple[Track, int]]:
    """At most ``most`` (track, frame), of tracks spread over the recording: where the arm moves most in each."""
    usable = [(t, f) for t in tracks if len(f := replanner.frames(t))]
    picks = np.unique(np.linspace(0, len(usable) - 1, min(most, len(usable))).round().astype(int))
    chosen = []
    for i in picks if usable else ():
        track, frames = usable[i]
        moves = [np.abs(_displacement(replanner, track, f)).max() for f in frames]
        chosen.append((track, int(frames[int(np.argmax(moves))])))
    return chosen


def landscape(replanner: Replanner, track: Track, frame: int) -> dict:
    """Energies of a block whose two joints with the largest recorded displacement are varied over all that one block
    can do, the others as recorded, followed by rest until the horizon; reduced as the planner does."""
    spec, block = replanner.spec, replanner.spec.block
    recorded = _displacement(replanner, track, frame)
    planned = replanner.plan(track, frame)
    jx, jy = np.sort(np.argsort(-np.abs(recorded), kind="stable")[:2]) if spec.dim > 1 else (0, 0)
    x, y = (np.linspace(spec.lower[j], spec.upper[j], POINTS) * block for j in (jx, jy))
    moves = np.tile(recorded, (POINTS, POINTS, 1))
    moves[..., jx], moves[..., jy] = x[None, :], y[:, None]
    rates = moves.reshape(-1, 1, spec.dim) / block
    blocks = np.zeros((POINTS * POINTS, replanner.horizon, block, spec.dim))
    blocks[:, 0] = rates
    evaluator = replanner.evaluator(track, frame, replanner.planner.reduction)
    cost = evaluator.evaluate(blocks.reshape(len(blocks), replanner.horizon, -1)).reshape(POINTS, POINTS)
    row, column = np.unravel_index(int(np.argmin(cost)), cost.shape)
    return {
        "bag": track.bag,
        "episode": track.index,
        "stamp_s": float(track.stamps[frame]),
        "time_s": float(track.stamps[frame] - track.stamps[0]),
        "joint_x": spec.joint_names[jx],
        "joint_y": spec.joint_names[jy],
        "x": x.tolist(),
        "y": y.tolist(),
        "cost": cost.tolist(),
        "recorded": [float(recorded[jx]), float(recorded[jy])],
        "planned": [float(planned[jx]), float(planned[jy])],
        "least": [float(x[column]), float(y[row])],
        "image_index": int(track.image_index[frame]),
        "thumbnail": None,
    }


def _displacement(replanner: Replanner, track: Track, frame: int) -> np.ndarray:
    return track.actions[frame : frame + replanner.spec.block].sum(0)
