"""Objects that stand about on the table, where the arm does not work; nothing collides with them."""

import numpy as np

from jepa_ros.evaluation.shifts.camera import axes
from jepa_ros.simulation.engine import mujoco
from jepa_ros.simulation.held_out import held_out_colour
from jepa_ros.simulation.scene import CAMERA

_LOWER, _UPPER = np.array([-0.30, -0.40]), np.array([0.60, 0.45])
"""(2,) m: where objects may stand; the part that the camera sees of it counts."""
_FREE = (((-0.14, -0.09), (0.14, 0.09)), ((0.08, -0.19), (0.38, 0.19)))
"""m, corners of what stays free: the base, and the place where the arm works and the cube lies."""
_HALF = (0.010, 0.022)
"""m, half sizes."""
_IN_VIEW = 0.9
"""Share of half the picture within which an object's centre lies."""
_MOST = 12
_DRAWS = 10_000
_KINDS = (mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_SPHERE)


def distractors(spec, rng: np.random.Generator, amount: float) -> None:
    """amount: how many; a greater number holds the objects of a smaller one."""
    view = _View(spec.camera(CAMERA))
    places: list[np.ndarray] = []
    for _ in range(_DRAWS):
        place = rng.uniform(_LOWER, _UPPER)
        apart = all(np.linalg.norm(place - other) > 3 * _HALF[1] for other in places)
        if apart and not _in_the_way(place) and view.sees([*place, _HALF[1]]):
            places.append(place)
        if len(places) == _MOST:
            break
    for place in places[: round(amount)]:
        half = rng.uniform(*_HALF, 3)
        kind = _KINDS[rng.integers(len(_KINDS))]
        height = {_KINDS[0]: half[2], _KINDS[1]: half[1], _KINDS[2]: half[0]}[kind]
        spec.worldbody.add_geom(
            type=kind,
            size=half,
            pos=[*place, height],
            euler=[0, 0, rng.uniform(0, np.pi)],
            rgba=[*held_out_colour(rng), 1],
            contype=0,
            conaffinity=0,
        )


def _in_the_way(place: np.ndarray) -> bool:
    return any(np.all(place > np.array(low)) and np.all(place < np.array(high)) for low, high in _FREE)


class _View:
    """What a square picture of the camera shows."""

    def __init__(self, camera):
        self._pos, self._axes = np.array(camera.pos), axes(camera)
        self._half = np.tan(np.radians(camera.fovy) / 2)

    def sees(self, point) -> bool:
        """Whether (3,) m lies well inside the picture."""
        right, up, back = self._axes.T @ (point - self._pos)
        return back < 0 and max(abs(right), abs(up)) < _IN_VIEW * self._half * -back
