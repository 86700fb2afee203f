"""Numbers, rotations and elements as URDF and SDF write them; the same text on every machine."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable

import numpy as np
from transforms3d.euler import mat2euler

from jepa_ros.simulation.engine import mujoco

HEADER = "<!-- Written by `python -m jepa_ros.simulation.gazebo` from the MuJoCo scene; do not edit. -->\n"


def add(parent: ET.Element, tag: str, text: str = "", **attributes: str) -> ET.Element:
    """A new last child of parent."""
    element = ET.SubElement(parent, tag, attributes)
    element.text = text or None
    return element


def numbers(values: Iterable[float]) -> str:
    """Seven digits, apart by blanks; what is below 1e-12 is 0."""
    return " ".join(f"{0.0 if abs(value) < 1e-12 else float(value):.7g}" for value in values)


def matrix(quat: np.ndarray) -> np.ndarray:
    """(4,) w x y z -> (3, 3), without the noise that would decide between two writings of one rotation."""
    out = np.zeros(9)
    mujoco.mju_quat2Mat(out, np.asarray(quat, dtype=float))
    return np.round(out.reshape(3, 3), 12) + 0.0


def rpy(rotation: np.ndarray) -> tuple[float, float, float]:
    """(3, 3) -> roll, pitch, yaw in rad, about fixed axes."""
    return mat2euler(rotation, "sxyz")


def document(root: ET.Element) -> str:
    """The file's text."""
    ET.indent(root)
    return '<?xml version="1.0"?>\n' + HEADER + ET.tostring(root, encoding="unicode") + "\n"
