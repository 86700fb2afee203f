"""The running scene as it looks under a shift."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from jepa_ros.evaluation.shifts.condition import Condition
from jepa_ros.evaluation.shifts.suite import SHIFTS
from jepa_ros.simulation.simulator import Simulator

if TYPE_CHECKING:
    from jepa_ros.simulation.tasks import Goal


class ShiftedView:
    """Pictures of a running Simulator; the Simulator itself is looked at and never changed.

    A shift of the scene is seen by a second Simulator, built with the shift, that is put into the first one's state
    for every picture: physics cannot notice, and the clean scene is there as soon as this is closed.

    seed: in HELD_OUT_SEEDS.
    """

    def __init__(self, simulator: Simulator, condition: Condition, seed: int):
        self._simulator, self._condition = simulator, condition
        self._shift = SHIFTS[condition.shift]
        self._amount = self._shift.amount(condition.strength)
        self._draws = partial(self._shift.rng, seed)
        self._draws()  # refuses a seed that is not held out
        self._frames = 0
        self._eye = simulator
        if self._shift.edit is not None:
            self._eye = simulator.dressed(lambda spec: self._shift.edit(spec, self._draws(), self._amount))

    def render(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB of the present scene."""
        if self._eye is not self._simulator:
            self._eye.set_state(self._simulator.get_state())
        return self._spoilt(self._eye.render())

    def goal_image(self, goal: Goal) -> np.ndarray:
        """(H, W, 3) uint8 RGB of the goal's scene, shifted or clean as the condition says."""
        if self._condition.goals == "clean":
            return self._simulator.goal_image(goal)
        return self._spoilt(self._eye.goal_image(goal))

    def close(self) -> None:
        """Free what the shift took; the simulator goes on."""
        if self._eye is not self._simulator:
            self._eye.close()

    def __enter__(self) -> ShiftedView:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _spoilt(self, image: np.ndarray) -> np.ndarray:
        if self._shift.spoil is None:
            return image
        self._frames += 1
        return self._shift.spoil(image, self._draws(), self._draws(self._frames), self._amount)
