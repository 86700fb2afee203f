"""Kinematics and joint limits of an arm from its URDF, by MuJoCo's own URDF reader."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.simulation.engine import mujoco

_UNUSED = ("visual", "collision", "inertial")  # of a link: meshes may be missing, and nothing is simulated


class UrdfArm:
    """The chain from ``base_link`` to ``tip_link``; other joints rest at 0.

    text: a URDF.  joint_names: (A,), the order of every vector here.  base_link: "" is the root.
    lower, upper, velocity: (A,) rad (or m) and rad/s of the URDF; infinite where it sets no limit.
    Raises JepaError for what is no URDF, and for links and joints that it lacks.
    """

    def __init__(self, text: str, joint_names: Sequence[str], tip_link: str, base_link: str = ""):
        root = _parse(text)
        self.joint_names = tuple(joint_names)
        joints = {joint.get("name"): joint for joint in root.findall("joint")}
        links = [link.get("name") for link in root.findall("link")]
        children = {child.get("link") for child in root.iterfind("joint/child")}
        roots = [name for name in links if name not in children]
        movable = [name for name, joint in joints.items() if joint.get("type") != "fixed"]
        _need(len(roots) == 1, f"it has the root links {roots}; a robot has one")
        for name in self.joint_names:
            _need(name in movable, f"there is no movable joint {name!r}; it has {movable}")
        self.base_link = base_link = base_link or roots[0]
        for name in (tip_link, base_link):
            _need(name in links, f"there is no link {name!r}; it has {links}")
        limits = np.array([_limits(joints[name]) for name in self.joint_names]).reshape(-1, 3)
        self.lower, self.upper, self.velocity = limits.T
        self._model = model = _compile(root)
        self._data = mujoco.MjData(model)
        ids = [model.joint(name).id for name in self.joint_names]
        self._qpos, self._dof = model.jnt_qposadr[ids], model.jnt_dofadr[ids]
        # MuJoCo makes the root link its world.
        self._tip, self._base = (
            0 if name == roots[0] else model.body(name).id for name in (tip_link, base_link)
        )

    @classmethod
    def from_file(
        cls, path: str | Path, joint_names: Sequence[str], tip_link: str, base_link: str = ""
    ) -> "UrdfArm":
        """The same, from a file."""
        try:
            text = Path(path).read_text()
        except OSError as error:
            raise JepaError(
                f"URDF {path}: {error.strerror}; give the file of the robot's description"
            ) from None
        return cls(text, joint_names, tip_link, base_link)

    def position(self, joints: np.ndarray) -> np.ndarray:
        """(A,) -> (3,) m, the tip link's origin in the base link's frame."""
        self._move(joints)
        data = self._data
        return data.xmat[self._base].reshape(3, 3).T @ (data.xpos[self._tip] - data.xpos[self._base])

    def jacobian(self, joints: np.ndarray) -> np.ndarray:
        """(A,) -> (6, A): linear (m) and angular (rad) motion of the tip link per joint, in the base link's frame."""
        self._move(joints)
        mujoco.mj_comPos(self._model, self._data)
        linear, angular = np.zeros((2, 3, self._model.nv))
        mujoco.mj_jacBody(self._model, self._data, linear, angular, self._tip)
        to_base = self._data.xmat[self._base].reshape(3, 3).T
        return np.concatenate([to_base @ linear[:, self._dof], to_base @ angular[:, self._dof]])

    def _move(self, joints: np.ndarray) -> None:
        self._data.qpos[self._qpos] = joints
        mujoco.mj_kinematics(self._model, self._data)


def _parse(text: str) -> ET.Element:
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise JepaError(f"URDF: it is no XML: {error}") from None
    _need(root.tag == "robot", f"its root element is <{root.tag}>, not <robot>")
    xacro = any("xacro" in element.tag for element in root.iter())
    _need(not xacro, "it still holds xacro; expand it first: xacro robot.urdf.xacro > robot.urdf")
    return root


def _limits(joint: ET.Element) -> tuple[float, float, float]:
    """Lower, upper, velocity."""
    limit, turns = joint.find("limit"), joint.get("type") == "continuous"
    values = {} if limit is None else limit.attrib
    try:
        lower, upper = (0.0 if turns else float(values.get(name, 0.0)) for name in ("lower", "upper"))
        velocity = float(values.get("velocity", math.inf))
    except ValueError as error:
        raise JepaError(f"URDF: joint {joint.get('name')!r}: {error}") from None
    return (-math.inf, math.inf, velocity) if turns else (lower, upper, velocity)


def _compile(root: ET.Element) -> "mujoco.MjModel":
    for link in root.findall("link"):
        for name in _UNUSED:
            for element in link.findall(name):
                link.remove(element)
    for name in ("mujoco", "gazebo", "transmission", "ros2_control"):
        for element in root.findall(name):
            root.remove(element)
    settings = ET.SubElement(root, "mujoco")
    ET.SubElement(settings, "compiler", fusestatic="false", boundmass="1", boundinertia="1")
    try:
        return mujoco.MjModel.from_xml_string(ET.tostring(root, encoding="unicode"))
    except ValueError as error:
        raise JepaError(f"URDF: {error}") from None


def _need(ok: bool, what: str) -> None:
    if not ok:
        raise JepaError(f"URDF: {what}")
