"""What can go wrong in front of a camera: it is moved, covered, a hand comes into the view, or the image freezes."""

from functools import partial

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.simulation.engine import mujoco

NONE = "none"
CAMERA_MOVES = {
    "camera_moved": ((0.03, 0.02, 0.0), 2.0),
    "camera_knocked": ((0.10, 0.06, 0.0), 8.0),
}
"""m to the right, up, and towards the scene, as the camera sees it; degrees to its right. The first is of the size that training
on changed views covers, the second is not."""
DISTURBANCES = ("camera_moved", "lens_covered", "hand", "image_frozen", "camera_knocked")
COVERED_LIGHT = 0.08
"""Share of the light that a covered lens lets in."""
HAND_SECONDS = 0.4
"""s from the edge of the view to its place before the arm; then it sways."""
HAND_DISTANCE = 0.55
"""m from the camera; the arm is about 1 m away."""
HAND_SWAY = 0.015
"""m."""
SKIN = (0.85, 0.62, 0.48, 1.0)


class Disturbance:
    """One disturbance that begins at time ``since``, s. ``image`` is called for every frame from then on."""

    def __init__(self, kind: str, since: float):
        if kind not in DISTURBANCES:
            raise JepaError(f"disturbance is {kind!r}; choose one of {', '.join((NONE, *DISTURBANCES))}")
        self.kind, self._since = kind, since
        self._frozen: np.ndarray | None = None

    def image(self, draw, now: float) -> np.ndarray:
        """(H, W, 3) uint8 RGB. draw: (adjust) -> image, with adjust: (mujoco.MjvScene) -> None or None.
        now: s."""
        if self.kind in CAMERA_MOVES:
            return draw(partial(_move_camera, *CAMERA_MOVES[self.kind]))
        if self.kind == "hand":
            return draw(lambda scene: _add_hand(scene, now - self._since))
        if self.kind == "lens_covered":
            return _covered(draw(None))
        if self._frozen is None:
            self._frozen = draw(None)
        return self._frozen.copy()


def _axes(camera) -> np.ndarray:
    """(3, 3) rows right, up, forward of an MjvGLCamera."""
    return np.stack([np.cross(camera.forward, camera.up), camera.up, camera.forward])


def _move_camera(shift: tuple[float, float, float], turn: float, scene) -> None:
    angle = np.radians(turn)
    for camera in scene.camera:
        right, up, forward = _axes(camera)
        camera.pos = camera.pos + shift @ np.stack([right, up, forward])
        camera.forward = np.cos(angle) * forward + np.sin(angle) * right


def _add_hand(scene, seconds: float) -> None:
    """Palm, four fingers, thumb and forearm, reaching in from the right of the view."""
    pos = np.mean([camera.pos for camera in scene.camera], axis=0, dtype=float)
    right, up, forward = _axes(scene.camera[0]).astype(float)
    away = 0.25 * max(0.0, 1 - seconds / HAND_SECONDS)
    sway = HAND_SWAY * np.sin(2 * np.pi * 0.7 * seconds)
    palm = pos + HAND_DISTANCE * forward + (away + 0.01) * right + sway * up
    capsule, ellipsoid = mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_ELLIPSOID

    def add(kind, size, centre, along):
        """along: the direction of the part's own z axis."""
        z = along / np.linalg.norm(along)
        y = np.cross(z, forward)
        frame = np.stack([np.cross(y, z), y, z], axis=1)
        geom = scene.geoms[scene.ngeom]
        mujoco.mjv_initGeom(geom, kind, np.array(size), centre, frame.reshape(-1), np.array(SKIN, np.float32))
        scene.ngeom += 1

    add(ellipsoid, (0.014, 0.04, 0.045), palm, right)
    for place in (-0.027, -0.009, 0.009, 0.027):
        add(capsule, (0.008, 0.03, 0.0), palm - 0.065 * right + place * up, -right + 3 * place * up)
    add(capsule, (0.009, 0.025, 0.0), palm - 0.01 * right + 0.045 * up, -right + up)
    add(capsule, (0.028, 0.12, 0.0), palm + 0.15 * right - 0.03 * up, right - 0.2 * up)


def _covered(image: np.ndarray) -> np.ndarray:
    """What passes a finger on the lens: no shapes, hardly any light."""
    return np.full_like(image, COVERED_LIGHT * image.mean(axis=(0, 1)))
