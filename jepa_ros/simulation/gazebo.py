"""Write the scene for Gazebo: world (SDF), arm (URDF), bridge and controllers, into the folder gazebo/.

    python -m jepa_ros.simulation.gazebo [FOLDER]

Everything that scene.py says (poses, sizes, colours, light, camera, masses, limits) is read off the compiled
MuJoCo model, so that the two cannot differ; only what MuJoCo does not know stands here.
"""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import yaml

from jepa_ros.simulation.arm import JOINT_NAMES
from jepa_ros.simulation.engine import mujoco
from jepa_ros.simulation.scene import CAMERA, CUBE, IMAGE_RATE, IMAGE_SIZE, TABLE, build_model
from jepa_ros.simulation.so101_urdf import CONTROL_RATE, arm_urdf
from jepa_ros.simulation.xml_text import HEADER, add, document, matrix, numbers, rpy

FOLDER = Path(__file__).resolve().parents[2] / "gazebo"
WORLDS = {"so101_table": "push", "so101_table_no_cube": "reach"}
"""World: the scene's task."""

IMAGE_TOPIC, CAMERA_INFO_TOPIC, CAMERA_FRAME = (
    "/camera/image_raw",
    "/camera/camera_info",
    "camera_optical_frame",
)
STEP = 0.001
"""s, a step of physics."""

_SYSTEMS = {
    "physics": "Physics",
    "user-commands": "UserCommands",
    "scene-broadcaster": "SceneBroadcaster",
    "sensors": "Sensors",
}
_BRIDGED = (
    ("/clock", "rosgraph_msgs/msg/Clock", "gz.msgs.Clock"),
    (IMAGE_TOPIC, "sensor_msgs/msg/Image", "gz.msgs.Image"),
    (CAMERA_INFO_TOPIC, "sensor_msgs/msg/CameraInfo", "gz.msgs.CameraInfo"),
)
# A MuJoCo camera looks along -z with y up; one in SDF along x with z up. Columns: SDF's axes in MuJoCo's.
_SDF_CAMERA = np.array([[0, -1, 0], [0, 0, 1], [-1, 0, 0]])


def files() -> dict[str, str]:
    """Text of each file, by its path in the folder gazebo/."""
    scenes = {name: build_model(task) for name, task in WORLDS.items()}
    worlds = {f"worlds/{name}.sdf": world_sdf(model, name) for name, model in scenes.items()}
    arm = arm_urdf(scenes["so101_table"])
    return {**worlds, "so101.urdf": arm, "bridge.yaml": bridge_yaml(), "controllers.yaml": controllers_yaml()}


def world_sdf(model: "mujoco.MjModel", name: str) -> str:
    """Table, light, camera and, where the scene has one, cube; the arm is spawned into it."""
    root = ET.Element("sdf", version="1.9")
    world = add(root, "world", name=name)
    physics = add(world, "physics", name="physics", type="ignored")
    add(physics, "max_step_size", numbers([STEP]))
    add(physics, "real_time_factor", "1")
    for file, plugin in _SYSTEMS.items():
        system = add(world, "plugin", filename=f"gz-sim-{file}-system", name=f"gz::sim::systems::{plugin}")
        if plugin == "Sensors":
            add(system, "render_engine", "ogre2")
    add(world, "gravity", numbers(model.opt.gravity))
    _add_light(world, model)
    _add_table(world, model)
    _add_camera(world, model)
    if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, CUBE) >= 0:
        _add_cube(world, model)
    return document(root)


def bridge_yaml() -> str:
    """For ros_gz_bridge's parameter_bridge: all topics go from Gazebo to ROS."""
    bridges = [
        {
            "ros_topic_name": topic,
            "gz_topic_name": topic,
            "ros_type_name": ros,
            "gz_type_name": gz,
            "direction": "GZ_TO_ROS",
        }
        for topic, ros, gz in _BRIDGED
    ]
    return _yaml(
        "Gazebo to ROS; joint states and commands do not pass here: gz_ros2_control speaks ROS.", bridges
    )


def controllers_yaml() -> str:
    """For the controller manager in gz_ros2_control."""
    manager = {
        "update_rate": CONTROL_RATE,
        "joint_state_broadcaster": {"type": "joint_state_broadcaster/JointStateBroadcaster"},
        "joint_trajectory_controller": {"type": "joint_trajectory_controller/JointTrajectoryController"},
    }
    trajectory = {
        "joints": list(JOINT_NAMES),
        "command_interfaces": ["position"],
        "state_interfaces": ["position", "velocity"],
        "interpolate_from_desired_state": True,
        "allow_nonzero_velocity_at_trajectory_end": True,
        "constraints": {
            "goal_time": 0.0,
            "stopped_velocity_tolerance": 0.05,
            **{name: {"trajectory": 0.3, "goal": 0.1} for name in JOINT_NAMES},
        },
    }
    comment = (
        "The action publisher streams setpoints of one point each; with point_velocities they end in motion."
    )
    nodes = {"controller_manager": manager, "joint_trajectory_controller": trajectory}
    return _yaml(comment, {name: {"ros__parameters": parameters} for name, parameters in nodes.items()})


def _yaml(comment: str, content) -> str:
    header = HEADER.replace("<!--", "#").replace(" -->", "")
    return header + f"# {comment}\n" + yaml.safe_dump(content, sort_keys=False)


def _pose(parent: ET.Element, position, rotation) -> None:
    add(parent, "pose", numbers([*position, *rpy(rotation)]))


def _grey(rgb) -> str:
    return numbers([*rgb, 1])


def _add_light(world, model) -> None:
    head = model.vis.headlight
    scene = add(world, "scene")
    add(scene, "ambient", _grey(head.ambient))
    add(scene, "background", "0 0 0 1")
    add(scene, "shadows", "false")
    add(scene, "grid", "false")
    for light in range(model.nlight):
        _add_sun(
            world,
            model.light(light).name,
            model.light_dir[light],
            model.light_diffuse[light],
            model.light_specular[light],
        )
    # MuJoCo's headlight shines where the camera looks.
    looks = -matrix(model.camera(CAMERA).quat)[:, 2]
    _add_sun(world, "headlight", looks, head.diffuse, head.specular)


def _add_sun(world, name, direction, diffuse, specular) -> None:
    light = add(world, "light", type="directional", name=name)
    add(light, "cast_shadows", "false")
    add(light, "diffuse", _grey(diffuse))
    add(light, "specular", _grey(specular))
    add(light, "direction", numbers(direction))


def _add_geometry(link, model, geom, write) -> None:
    """A collision and a visual of one geometry, which ``write`` puts into an element."""
    collision = add(link, "collision", name="collision")
    write(add(collision, "geometry"))
    friction = add(add(add(collision, "surface"), "friction"), "ode")
    for name in ("mu", "mu2"):
        add(friction, name, numbers([geom.friction[0]]))
    visual = add(link, "visual", name="visual")
    write(add(visual, "geometry"))
    material = add(visual, "material")
    for name in ("ambient", "diffuse"):
        add(material, name, numbers(geom.rgba))
    add(material, "specular", "0 0 0 1")


def _add_table(world, model) -> None:
    geom = model.geom(TABLE)
    table = add(world, "model", name=TABLE)
    add(table, "static", "true")
    _pose(table, geom.pos, matrix(geom.quat))

    def plane(geometry):
        element = add(geometry, "plane")
        add(element, "normal", "0 0 1")
        add(element, "size", "20 20")  # MuJoCo's is endless; this one fills the picture too

    _add_geometry(add(table, "link", name="link"), model, geom, plane)


def _add_camera(world, model) -> None:
    seen, (height, width) = model.camera(CAMERA), IMAGE_SIZE
    camera = add(world, "model", name=CAMERA)
    add(camera, "static", "true")
    _pose(camera, seen.pos, matrix(seen.quat) @ _SDF_CAMERA)
    sensor = add(add(camera, "link", name="link"), "sensor", name=CAMERA, type="camera")
    add(sensor, "always_on", "true")
    add(sensor, "update_rate", numbers([IMAGE_RATE]))
    add(sensor, "topic", IMAGE_TOPIC)
    optics = add(sensor, "camera")
    add(
        optics,
        "horizontal_fov",
        numbers([2 * np.arctan(np.tan(np.radians(seen.fovy[0]) / 2) * width / height)]),
    )
    image = add(optics, "image")
    add(image, "width", str(width))
    add(image, "height", str(height))
    add(image, "format", "R8G8B8")
    add(image, "anti_aliasing", "4")
    clip = add(optics, "clip")
    add(clip, "near", "0.05")
    add(clip, "far", "50")
    add(optics, "camera_info_topic", CAMERA_INFO_TOPIC)
    add(optics, "optical_frame_id", CAMERA_FRAME)


def _add_cube(world, model) -> None:
    body, geom = model.body(CUBE), model.geom(CUBE)
    cube = add(world, "model", name=CUBE)
    _pose(cube, body.pos, matrix(body.quat))
    link = add(cube, "link", name="link")
    inertial = add(link, "inertial")
    add(inertial, "mass", numbers(body.mass))
    inertia = add(inertial, "inertia")
    for axis, moment in zip("xyz", body.inertia, strict=True):
        add(inertia, f"i{axis}{axis}", numbers([moment]))
    _add_geometry(
        link, model, geom, lambda geometry: add(add(geometry, "box"), "size", numbers(2 * geom.size))
    )


def write(folder: Path) -> None:
    """All ``files``, over what is there."""
    for name, text in files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(path)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
