"""Several futures of one action: the draws by which a rollout picks a code of the latent variable z. NumPy only."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from jepa_ros.errors import JepaError


@dataclass(frozen=True)
class Futures:
    """Which futures a rollout imagines. count: F, for every candidate.  seed: of their draws."""

    count: int = 8
    seed: int = 0

    def __post_init__(self):
        for name, least in (("count", 1), ("seed", 0)):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= least):
                raise JepaError(f"futures {name} is {value!r}; it must be a whole number from {least}")

    def draw(self, horizon: int) -> np.ndarray:
        """(F, H) float32 in (0, 1): the same for every candidate, iteration and plan (common random numbers).

        A Latin hypercube (McKay, Beckman and Conover, 1979): in every block the F draws are the middles of F slices of equal
        probability, in a random order of its own. A few futures then are as different as they can be, and come as often as
        they should.
        """
        return _draw(self.count, self.seed, horizon)


@lru_cache(maxsize=64)
def _draw(count: int, seed: int, horizon: int) -> np.ndarray:
    rng = np.random.default_rng((5, seed))  # apart from the planner's draws
    orders = np.stack([rng.permutation(count) for _ in range(horizon)], 1)
    draws = ((orders + 0.5) / count).astype(np.float32)
    draws.flags.writeable = False
    return draws
