"""Latent prediction error against the horizon, beside two predictors that know less."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jepa_ros.evaluation.offline.tracks import Track
from jepa_ros.evaluation.offline.windows import Windows, longest_horizon, rms
from jepa_ros.world_model.checkpoint import Checkpoint


@dataclass(frozen=True)
class Prediction:
    """Errors (n, H) of n start frames: root mean square over D of predicted - observed latent, h blocks ahead.

    model: open loop with the recorded actions.  copy_last: the latent at the start as the prediction.
    shuffled: the model with another start frame's actions.  track, frame: (n,) where they start.
    """

    model: np.ndarray
    copy_last: np.ndarray
    shuffled: np.ndarray
    track: np.ndarray
    frame: np.ndarray

    @property
    def horizon(self) -> int:
        """H."""
        return self.model.shape[1]

    @property
    def gain_over_copy(self) -> float:
        """1 - model / copy_last, of the means at horizon 1; 0 is as good as standing still."""
        return _gain(self.model, self.copy_last)

    @property
    def action_gain(self) -> float:
        """1 - model / shuffled, of the means at horizon 1; 0 is blind to actions."""
        return _gain(self.model, self.shuffled)


def prediction(
    tracks: Sequence[Track], checkpoint: Checkpoint, horizon: int, seed: int = 0
) -> Prediction | None:
    """e(h) = sqrt(mean over D of (predicted z(t + hK) - observed z(t + hK))^2), h = 1 .. H, at every start frame t.

    All horizons share the start frames, those with H recorded blocks after them, so that the curve compares like
    with like. H is less than ``horizon`` where every track is shorter; None where no track has one block after a
    full context. Shuffled: the H blocks after t are those of another start frame, by one permutation of all start
    frames (seeded); the context's own blocks stay.
    """
    spec, model = checkpoint.spec, checkpoint.model
    horizon = min(horizon, longest_horizon(tracks, spec, model.context))
    if horizon < 1:
        return None
    windows = Windows(tracks, spec, model.context, horizon)
    partner = np.random.default_rng(seed).permutation(len(windows))
    errors = np.empty((3, len(windows), horizon))
    for rows in windows.batches():
        seen = windows.seen(rows)
        errors[0, rows] = rms(windows.imagine(model, rows, windows.blocks(rows)) - seen)
        errors[1, rows] = rms(windows.now(rows)[:, None] - seen)
        errors[2, rows] = rms(windows.imagine(model, rows, windows.blocks(partner[rows])) - seen)
    return Prediction(*errors, windows.track, windows.frame)


def _gain(errors: np.ndarray, yardstick: np.ndarray) -> float:
    least = float(yardstick[:, 0].mean())
    return 1 - float(errors[:, 0].mean()) / least if least > 0 else float("nan")
