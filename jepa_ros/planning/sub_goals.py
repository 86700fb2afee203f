"""Sub-goals on the way to a goal: which one is pursued, when the next one is, and when an earlier one again."""

import math
from dataclasses import dataclass

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.planning.distance import latent_distance


@dataclass(frozen=True)
class SubGoalSettings:
    """looseness: a sub-goal is passed within this many tolerances of the goal, where no tolerance is asked for.
    lost_factor: lost is what has come this many times as far as it was when its pursuit began.
    lost_looks: looks in a row that must say so.
    max_fallbacks: times that the way is taken up again at an earlier sub-goal.
    """

    looseness: float = 3.0
    lost_factor: float = 1.5
    lost_looks: int = 2
    max_fallbacks: int = 3

    def __post_init__(self):
        for name, least in (
            ("looseness", 1.0),
            ("lost_factor", 1.0),
            ("lost_looks", 1),
            ("max_fallbacks", 0),
        ):
            if not least <= getattr(self, name) < math.inf:
                raise JepaError(
                    f"sub-goals: {name} is {getattr(self, name)}; it must be finite and at least {least:g}"
                )


class SubGoals:
    """Pursues latents in their order, the goal last. The same in the live graph and in offline evaluation.

    A sub-goal is passed within its tolerance, or where it was overtaken: the next one is nearer, and by at least that
    tolerance nearer than when this one's pursuit began. Being nearer alone proves nothing: a way that turns back begins
    near its later sub-goals. What is pursued is lost where it has come ``lost_factor`` times as far as it was at first (or
    as the tolerance, where that is more) and an earlier sub-goal is nearer: the latest such one is pursued again. One
    fallback more than ``max_fallbacks`` ends it all.

    index: what is pursued, ``count`` (the number of sub-goals) where it is the goal.  advances, fallbacks: so far.
    lost: what was lost once too often, in words; "" until then.
    """

    def __init__(self, latents: np.ndarray, tolerance: float, settings: SubGoalSettings = SubGoalSettings()):
        """latents: (M, D), M at least 1, the goal last.  tolerance: latent distance that passes a sub-goal."""
        self.latents, self.tolerance, self.settings = np.asarray(latents), tolerance, settings
        if self.latents.ndim != 2 or not len(self.latents):
            raise JepaError(
                f"sub-goals: latents must be (M, D), the goal last; got shape {self.latents.shape}"
            )
        self.index = self.advances = self.fallbacks = 0
        self.lost = ""
        self._first: np.ndarray | None = None  # (M,) distances where the present pursuit began
        self._lost_looks = 0

    @property
    def count(self) -> int:
        """The number of sub-goals."""
        return len(self.latents) - 1

    @property
    def latent(self) -> np.ndarray:
        """(D,) what is pursued."""
        return self.latents[self.index]

    @property
    def at_goal(self) -> bool:
        """Whether the goal itself is pursued."""
        return self.index == self.count

    def see(self, latent: np.ndarray) -> bool:
        """Judge a look (D,), one that may be taken for the scene; whether another one is pursued from here on."""
        before, far = self.index, np.array([latent_distance(latent, goal) for goal in self.latents])
        if self._first is None:
            self._first = far
        self._fall_back(far)
        while not self.at_goal and self._is_passed(far):
            self._begin(self.index + 1, far)
            self.advances += 1
        return self.index != before

    def _is_passed(self, far: np.ndarray) -> bool:
        here, following = far[self.index : self.index + 2]
        come = self._first[self.index + 1] - following
        return here <= self.tolerance or (following < here and come >= self.tolerance)

    def _fall_back(self, far: np.ndarray) -> None:
        here, nearer = far[self.index], np.flatnonzero(far[: self.index] < far[self.index])
        limit = self.settings.lost_factor * max(self._first[self.index], self.tolerance)
        self._lost_looks = self._lost_looks + 1 if here > limit and len(nearer) else 0
        if self._lost_looks < self.settings.lost_looks:
            return
        if self.fallbacks == self.settings.max_fallbacks:
            what = "the goal" if self.at_goal else f"sub-goal {self.index + 1} of {self.count}"
            self.lost = (
                f"{what} was lost again, {here:.3f} away (limit {limit:.3f}), after {self.fallbacks} fallbacks: is it in "
                "reach, and does something move what it shows?"
            )
            return
        self._begin(int(nearer[-1]), far)
        self.fallbacks += 1

    def _begin(self, index: int, far: np.ndarray) -> None:
        self.index, self._first, self._lost_looks = index, far, 0
