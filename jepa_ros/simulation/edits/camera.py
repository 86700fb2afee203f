"""Where the camera stands and looks."""

import numpy as np

from jepa_ros.simulation.edits.rotation import about, either_way
from jepa_ros.simulation.engine import mujoco
from jepa_ros.simulation.scene import CAMERA

_RIGHT, _UP = (1, 0, 0), (0, 1, 0)


def camera_pan(spec, rng: np.random.Generator, amount: float) -> None:
    """amount: degrees to its left or right."""
    _turn(spec, _UP, either_way(rng) * amount)


def camera_tilt(spec, rng: np.random.Generator, amount: float) -> None:
    """amount: degrees up or down."""
    _turn(spec, _RIGHT, either_way(rng) * amount)


def camera_shift(spec, rng: np.random.Generator, amount: float) -> None:
    """amount: cm in a drawn direction across its view, without turning."""
    camera = spec.camera(CAMERA)
    angle = rng.uniform(0, 2 * np.pi)
    right, up, _ = axes(camera).T
    camera.pos = camera.pos + 0.01 * amount * (np.cos(angle) * right + np.sin(angle) * up)


def camera_fov(spec, rng: np.random.Generator, amount: float) -> None:
    """amount: percent that the field of view grows or shrinks."""
    spec.camera(CAMERA).fovy *= 1 + either_way(rng) * amount / 100


def axes(camera) -> np.ndarray:
    """(3, 3), columns right, up, backward of a camera of the spec."""
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, np.array(camera.quat, float))
    return matrix.reshape(3, 3)


def _turn(spec, axis, degrees: float) -> None:
    camera, quat = spec.camera(CAMERA), np.zeros(4)
    mujoco.mju_mat2Quat(quat, (axes(camera) @ about(axis, degrees)).reshape(-1))
    camera.quat = quat
