"""What a policy proposes, made fit to be imagined and executed."""

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError


def usable(proposals: np.ndarray, spec: ActionSpec, horizon: int, proprio: np.ndarray) -> np.ndarray:
    """The M <= N proposals that are finite, brought into the action bounds, and into the position limits as seen from
    joints proprio (A,) rad.

    proposals: (N, H', KA) rad. Returns (M, horizon, KA) rad: a shorter one ends without motion, of a longer one the rest is
    left out. JepaError where the shape is not that of action blocks.
    """
    proposals = np.asarray(proposals, dtype=np.float64)
    if proposals.ndim != 3 or proposals.shape[2] != spec.block_dim:
        raise JepaError(
            f"planner: proposals must have shape (N, H, {spec.block_dim}), got {proposals.shape}; is the policy of "
            "this robot?"
        )
    finite = proposals[np.isfinite(proposals).all(axis=(1, 2))]
    blocks = np.zeros((len(finite), horizon, spec.block_dim))
    known = min(horizon, finite.shape[1])
    blocks[:, :known] = finite[:, :known]
    return within_limits(blocks, spec, proprio)


def within_limits(blocks: np.ndarray, spec: ActionSpec, proprio: np.ndarray) -> np.ndarray:
    """Actions (N, H, KA) rad, clipped to the action bounds, and where their sum would lead a joint from proprio (A,)
    beyond its position limits; one that is beyond a limit may stay or come back."""
    proprio = np.asarray(proprio, dtype=np.float64)
    lower, upper = np.minimum(spec.position_lower, proprio), np.maximum(spec.position_upper, proprio)
    raw = np.clip(blocks.reshape(len(blocks), blocks.shape[1] * spec.block, spec.dim), spec.lower, spec.upper)
    target = np.broadcast_to(proprio, (len(blocks), spec.dim))
    for step in range(raw.shape[1]):
        asked = target + raw[:, step]
        reached = np.clip(asked, lower, upper)
        raw[:, step] = np.where(reached == asked, raw[:, step], reached - target)
        target = reached
    return np.clip(raw, spec.lower, spec.upper).reshape(blocks.shape)


def after(blocks: np.ndarray, executed: int) -> np.ndarray:
    """What is left of actions (H, KA) when so many blocks are executed: (H, KA), ending without motion."""
    left = blocks[executed:]
    return np.concatenate([left, np.zeros((len(blocks) - len(left), blocks.shape[1]))])
