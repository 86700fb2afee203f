"""Objects that stand about on the table, where the arm does not work; nothing collides with them."""

import numpy as np

from jepa_ros.simulation.edits.camera import axes
from jepa_ros.simulation.edits.colours import Mix
from jepa_ros.simulation.engine import mujoco
from jepa_ros.simulation.scene import CAMERA

_LOWER, _UPPER = np.array([-0.30, -0.40]), np.array([0.60, 0.45])
"""(2,) m: where objects may stand; the part that the camera sees of it counts."""
_FREE = (((-0.14, -0.09), (0.14, 0.09)), ((0.08, -0.17), (0.35, 0.17)))
"""m, corners of what stays free: the base, and the place where the cube lies and is pushed."""
_BEHIND_BASE = 0.25
"""Share of half the picture, left and right of the base, where objects behind it would not be seen."""
_HALF = (0.014, 0.024)
"""m, half sizes."""
_IN_VIEW = 0.9
"""Share of half the picture within which an object's centre lies."""
_MOST = 12
_BLACK = np.zeros(3)
_DRAWS = 10_000
_KINDS = (mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_SPHERE)


def distractors(spec, rng: np.random.Generator, amount: float, mix: Mix) -> None:
    """amount: how many; a greater number holds the objects of a smaller one."""
    view = _View(spec.camera(CAMERA))
    places: list[np.ndarray] = []
    for _ in range(_DRAWS):
        place = rng.uniform(_LOWER, _UPPER)
        apart = all(np.linalg.norm(place - other) > 3 * _HALF[1] for other in places)
        if apart and not _in_the_way(place) and view.shows([*place, _HALF[1]]):
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
            rgba=[*mix(rng, _BLACK, 1.0), 1],
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
        self._base = self._project((0, 0, 0))

    def shows(self, point) -> bool:
        """Whether (3,) m lies well inside the picture and not in the shade of the base."""
        found = self._project(point)
        behind_base = abs(found[0] - self._base[0]) < _BEHIND_BASE and found[1] > self._base[1]
        return bool(np.abs(found).max() < _IN_VIEW) and not behind_base

    def _project(self, point) -> np.ndarray:
        """(3,) m in front of the camera -> right and up in the picture, -1 to 1."""
        right, up, back = self._axes.T @ (point - self._pos)
        return np.array([right, up]) / (-back * self._half)
