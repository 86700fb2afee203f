"""Latent prediction error against horizon, beside copying the last frame and beside shuffled actions."""

from collections.abc import Sequence

import numpy as np

from jepa_ros.evaluation.offline.bootstrap import mean_interval
from jepa_ros.evaluation.offline.rollouts import Errors


def prediction(errors: Sequence[Errors], seed: int) -> dict | None:
    """e(h) = mean over start frames of RMS_D(predicted - observed), h = 1 .. H blocks ahead, open loop.

    gain_over_copy = 1 - e(1) / e_copy(1).  action_gain = 1 - e(1) / e_shuffled(1): near 0, the model does not look
    at actions. None where no track is long enough.
    """
    if not errors:
        return None
    model, copy, shuffled = (
        np.concatenate([getattr(e, name) for e in errors]) for name in ("model", "copy_last", "shuffled")
    )
    kept = np.any(np.isfinite(model), axis=0)
    means = {name: np.nanmean(x[:, kept], axis=0) for name, x in (("m", model), ("c", copy), ("s", shuffled))}
    return {
        "horizons": (1 + np.flatnonzero(kept)).tolist(),
        "model": means["m"].tolist(),
        "copy_last": means["c"].tolist(),
        "shuffled": means["s"].tolist(),
        "model_ci": mean_interval([e.model[:, kept] for e in errors], seed),
        "n": len(model),
        "gain_over_copy": _gain(means["m"][0], means["c"][0]),
        "action_gain": _gain(means["m"][0], means["s"][0]),
    }


def _gain(ours: float, theirs: float) -> float | None:
    return 1 - float(ours) / float(theirs) if theirs > 0 else None
