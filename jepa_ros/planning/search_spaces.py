"""Search spaces: what a solver varies, and the action sequence it stands for.

A space maps parameters theta (S, P) to action sequences (S, H, KA) that lie in the bounds of the ActionSpec.
Its ``reduction`` says how costs along the horizon become one number: it belongs to the parametrisation,
because a plan that cannot stop ("hold_action") must be judged by the best point that it passes. The choice
decides success: with perfect dynamics and 64 x 5 candidates, ``benchmarks/search_spaces.py`` prints how far
each of them comes.
"""

from copy import copy

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError

_ROUNDING = 1e-9
"""Sums of raw actions (rad) and of steps differ by less."""
_STRAIGHT = 1e-6
"""rad; a way that is longer than the straight one by less than this has no corner."""


class SearchSpace:
    """What all spaces share.

    size: P.  lower, upper: (P,) bounds of theta; zero, which is no motion, lies within.
    scale: (P,) half the range; the solvers' standard deviations are fractions of it.
    steps: time steps laid out in theta, which is (steps, P / steps) row-major; 1 where theta has no time
        axis.
    reduction: "sum", "min" or "last" along the horizon.
    """

    name: str
    reduction: str

    def __init__(self, spec: ActionSpec, horizon: int, steps: int, extent: int = 1):
        """steps: raw actions in theta.  extent: how many raw actions one entry of theta may add up to."""
        self.spec, self.horizon, self.steps = spec, horizon, steps
        self._lower, self._upper = np.asarray(spec.lower), np.asarray(spec.upper)
        if np.any(self._lower >= 0) or np.any(self._upper <= 0):
            raise JepaError(
                "search space: every joint's action bounds must enclose zero, no motion; "
                f"got lower {spec.lower}, upper {spec.upper}; correct the ActionSpec"
            )
        self.lower = np.tile(self._lower * extent, steps)
        self.upper = np.tile(self._upper * extent, steps)

    @property
    def size(self) -> int:
        """P, the width of theta."""
        return len(self.lower)

    @property
    def scale(self) -> np.ndarray:
        """(P,) half the range."""
        return (self.upper - self.lower) / 2

    def at(self, proprio: np.ndarray) -> "SearchSpace":
        """The space as seen from joint positions (A,); bounds may be narrower."""
        return self

    def decode(self, theta: np.ndarray) -> np.ndarray:
        """theta (S, P) -> actions (S, H, KA), within the action bounds."""
        raw = np.clip(self._raw(theta), self._lower, self._upper)  # (S, H * K, A)
        return raw.reshape(len(theta), self.horizon, self.spec.block_dim)

    def shift(self, theta: np.ndarray) -> np.ndarray:
        """theta (P,) of the same plan after its first block was executed."""
        raise NotImplementedError

    def project(self, actions: np.ndarray) -> np.ndarray:
        """actions (N, H, KA) -> theta (N, P) of the candidates that come closest in what the space can say; the inverse
        of ``decode`` where they are its candidates."""
        raw = actions.reshape(len(actions), self.horizon * self.spec.block, self.spec.dim)
        return np.clip(self._theta(raw), self.lower, self.upper)

    def _theta(self, raw: np.ndarray) -> np.ndarray:
        """raw actions (N, H * K, A) -> theta (N, P), not yet clamped."""
        raise NotImplementedError

    def _raw(self, theta: np.ndarray) -> np.ndarray:
        """theta (S, P) -> raw actions (S, H * K, A), not yet clamped."""
        raise NotImplementedError


class FreeBlocks(SearchSpace):
    """Every raw action of the horizon is free: P = H * K * A, the textbook space, wide for few samples."""

    name, reduction = "free_blocks", "sum"

    def __init__(self, spec: ActionSpec, horizon: int):
        super().__init__(spec, horizon, steps=horizon * spec.block)

    def _raw(self, theta):
        return theta.reshape(len(theta), self.steps, self.spec.dim)

    def _theta(self, raw):
        return raw.reshape(len(raw), self.size)

    def shift(self, theta):
        """The remaining blocks, then a block without motion."""
        width = self.spec.block_dim
        return np.concatenate([theta[width:], np.zeros(width)])


class OneBlock(SearchSpace):
    """The first block is free, then no motion: P = K * A. Greedy; horizon 1 makes it the cheapest of all."""

    name, reduction = "one_block", "sum"

    def __init__(self, spec: ActionSpec, horizon: int):
        super().__init__(spec, horizon, steps=spec.block)

    def _raw(self, theta):
        raw = np.zeros((len(theta), self.horizon * self.spec.block, self.spec.dim))
        raw[:, : self.spec.block] = theta.reshape(len(theta), self.spec.block, self.spec.dim)
        return raw

    def _theta(self, raw):
        return raw[:, : self.spec.block].reshape(len(raw), self.size)

    def shift(self, theta):
        """Nothing is left of the plan."""
        return np.zeros_like(theta)


class HoldAction(SearchSpace):
    """One raw action, repeated over the horizon, judged by the lowest cost that it passes: P = A."""

    name, reduction = "hold_action", "min"

    def __init__(self, spec: ActionSpec, horizon: int):
        super().__init__(spec, horizon, steps=1)

    def _raw(self, theta):
        return np.repeat(theta[:, None, :], self.horizon * self.spec.block, axis=1)

    def _theta(self, raw):
        return raw[:, : self.spec.block].mean(axis=1)

    def shift(self, theta):
        """The same action goes on."""
        return theta.copy()


class Displacement(SearchSpace):
    """One total joint displacement: P = A. All joints move on a straight line in joint space at the speed
    that brings the slowest one to its bound, arrive together, and then rest.

    With n = max_j |theta_j| / bound_j (at least 1), the raw action at step t = 1, 2, ... is
    theta * (min(t / n, 1) - min((t - 1) / n, 1)): full steps, one partial step, then zeros.
    The plan can stop, so costs are summed, and arriving sooner is better.
    """

    name, reduction = "displacement", "sum"

    def __init__(self, spec: ActionSpec, horizon: int):
        super().__init__(spec, horizon, steps=1, extent=horizon * spec.block)
        self._time = np.arange(horizon * spec.block + 1.0)

    def at(self, proprio):
        """Keeps proprio + theta within the position limits; a joint beyond a limit may stay or come back."""
        proprio = np.asarray(proprio, dtype=np.float64)
        if proprio.shape != (self.spec.dim,) or not np.all(np.isfinite(proprio)):
            raise JepaError(
                f"search space: joint positions must be {self.spec.dim} finite numbers, got {proprio}"
            )
        space = copy(self)
        space.lower = np.maximum(self.lower, np.minimum(np.subtract(self.spec.position_lower, proprio), 0))
        space.upper = np.minimum(self.upper, np.maximum(np.subtract(self.spec.position_upper, proprio), 0))
        return space

    def _steps_needed(self, theta):
        """theta (..., A) -> raw steps until arrival, real-valued, at least 1."""
        return np.maximum(np.maximum(theta / self._upper, theta / self._lower).max(axis=-1), 1.0)

    def _raw(self, theta):
        progress = np.minimum(self._time / self._steps_needed(theta)[:, None], 1.0)  # (S, H * K + 1)
        return np.diff(progress, axis=1)[:, :, None] * theta[:, None, :]

    def _theta(self, raw):
        return raw.sum(axis=1)

    def shift(self, theta):
        """What is left of the displacement."""
        return theta * max(0.0, 1.0 - self.spec.block / float(self._steps_needed(theta)))


class TwoLegs(Displacement):
    """One displacement after another, each as in ``Displacement``: P = 2 A. What a straight way in joint space cannot say, a
    way around something, it can; it takes more candidates. The second leg begins with the raw step after the first one's
    last; either takes half the horizon at most, so that both are done within it."""

    name = "two_legs"

    def __init__(self, spec: ActionSpec, horizon: int):
        super().__init__(spec, horizon)
        steps = max(1, horizon * spec.block // 2)
        self.lower, self.upper = np.tile(self._lower * steps, 2), np.tile(self._upper * steps, 2)

    def at(self, proprio):
        """Keeps the end of the first leg within the position limits; beyond them the second is judged by its costs."""
        leg = copy(self)
        leg.lower, leg.upper = np.split(self.lower, 2)[0], np.split(self.upper, 2)[0]
        first = Displacement.at(leg, proprio)
        space = copy(self)
        space.lower, space.upper = (
            np.concatenate([of_first, whole[self.spec.dim :]])
            for of_first, whole in ((first.lower, self.lower), (first.upper, self.upper))
        )
        return space

    def _corner(self, first: np.ndarray) -> np.ndarray:
        """first legs (..., A) -> raw steps until they end, whole ones; 0 for none."""
        return np.where(np.any(first, axis=-1), np.ceil(self._steps_needed(first) - _ROUNDING), 0.0)

    def _raw(self, theta):
        first, second = np.split(theta, 2, axis=-1)
        since = np.maximum(self._time - self._corner(first)[:, None], 0.0)  # (S, H * K + 1)
        progress = np.minimum(since / self._steps_needed(second)[:, None], 1.0)
        return super()._raw(first) + np.diff(progress, axis=1)[:, :, None] * second[:, None, :]

    def _theta(self, raw):
        """The corner is where the way is longest by way of it; of a straight one, after half its raw steps."""
        way = np.concatenate([np.zeros_like(raw[:, :1]), raw.cumsum(axis=1)], axis=1)  # (N, H * K + 1, A)
        left = np.linalg.norm(way[:, -1:] - way, axis=-1)
        by_way = np.linalg.norm(way, axis=-1) + left
        straight = by_way.max(axis=1) - left[:, 0] < _STRAIGHT
        middle = np.count_nonzero(left > _ROUNDING, axis=1) // 2
        corner = way[np.arange(len(way)), np.where(straight, middle, by_way.argmax(axis=1))]
        return np.concatenate([corner, way[:, -1] - corner], axis=1)

    def shift(self, theta):
        """What is left of both legs."""
        first, second = np.split(theta, 2)
        gone = max(0.0, self.spec.block - float(self._corner(first)))
        left = max(0.0, 1.0 - gone / float(self._steps_needed(second)))
        return np.concatenate([super().shift(first), left * second])


SPACES = {space.name: space for space in (Displacement, TwoLegs, HoldAction, OneBlock, FreeBlocks)}


def make_space(name: str, spec: ActionSpec, horizon: int) -> SearchSpace:
    """The space called ``name``; JepaError names the known ones."""
    if name not in SPACES:
        raise JepaError(f"search space {name!r} is unknown; choose one of {', '.join(SPACES)}")
    return SPACES[name](spec, horizon)
