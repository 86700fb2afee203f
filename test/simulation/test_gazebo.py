"""Gazebo's world and arm are the MuJoCo scene: the same poses, sizes, colours, camera and kinematics."""

import runpy
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import yaml
from transforms3d.axangles import axangle2mat
from transforms3d.euler import euler2mat

from jepa_ros.errors import JepaError
from jepa_ros.simulation import gazebo
from jepa_ros.simulation.arm import HOME, JOINT_NAMES, POSITION_LOWER, POSITION_UPPER, VELOCITY
from jepa_ros.simulation.engine import mujoco
from jepa_ros.simulation.kinematics import ArmKinematics
from jepa_ros.simulation.scene import CAMERA, CUBE, EE_SITE, TABLE, VisualSettings, build_model
from jepa_ros.simulation.so101_urdf import TIP_LINK, URDF_COLOUR, link_name
from jepa_ros.simulation.urdf import UrdfArm

ROOT = Path(__file__).parents[2]
WORLD, URDF = gazebo.FOLDER / "worlds" / "so101_table.sdf", gazebo.FOLDER / "so101.urdf"
LOOK = VisualSettings()
needs_ign = pytest.mark.skipif(
    shutil.which("ign") is None, reason="needs sdformat: apt-get install ignition-tools libsdformat-dev"
)


def poses(count=100):
    return np.random.default_rng(0).uniform(POSITION_LOWER, POSITION_UPPER, (count, len(JOINT_NAMES)))


def values(text: str) -> np.ndarray:
    return np.array([float(value) for value in text.split()])


def transform(position, angles) -> np.ndarray:
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = euler2mat(*angles, "sxyz"), position
    return out


def sdf_pose(element: ET.Element) -> np.ndarray:
    numbers = values(element.findtext("pose", "0 0 0 0 0 0"))
    return transform(numbers[:3], numbers[3:])


def ign(*arguments) -> str:
    run = subprocess.run(["ign", "sdf", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    said = "\n".join(line for line in run.stderr.splitlines() if "backward" not in line)
    assert run.returncode == 0 and not said, said + run.stdout
    return run.stdout


@pytest.fixture(scope="module")
def scene():
    model = build_model("push")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


@pytest.fixture(scope="module")
def world():
    return ET.parse(WORLD).getroot().find("world")


@pytest.fixture(scope="module")
def urdf():
    return ET.parse(URDF).getroot()


@pytest.fixture(scope="module")
def arm_sdf(tmp_path_factory):
    """The arm as Gazebo reads it."""
    text = ign("-p", URDF)
    path = tmp_path_factory.mktemp("sdf") / "so101.sdf"
    path.write_text(text)
    ign("--check", path)
    return ET.fromstring(text).find("model")


def test_committed_files_are_what_the_scene_gives():
    for name, text in gazebo.files().items():
        path = gazebo.FOLDER / name
        assert path.read_text() == text, f"{path}: run python -m jepa_ros.simulation.gazebo"
    written = {str(path.relative_to(gazebo.FOLDER)) for path in gazebo.FOLDER.rglob("*.*")}
    assert written == set(gazebo.files())


# World


@needs_ign
@pytest.mark.parametrize("name", gazebo.WORLDS)
def test_the_worlds_are_valid_sdf(name):
    assert ign("--check", WORLD.with_stem(name)).strip() == "Valid."


def test_a_point_falls_on_the_same_pixel_of_both_cameras(scene, world):
    model, data = scene
    camera = world.find(f"model[@name='{CAMERA}']")
    sensor = camera.find("link/sensor/camera")
    width, height = (int(sensor.findtext(f"image/{side}")) for side in ("width", "height"))
    points = np.random.default_rng(1).uniform([0, -0.3, 0], [0.4, 0.3, 0.4], (50, 3))

    eye = model.camera(CAMERA).id
    x, y, z = ((points - data.cam_xpos[eye]) @ data.cam_xmat[eye].reshape(3, 3)).T
    focal = height / 2 / np.tan(np.radians(LOOK.fovy) / 2)
    in_mujoco = np.stack([width / 2 + focal * x / -z, height / 2 - focal * y / -z], axis=1)

    ahead, left, up, _ = np.linalg.inv(sdf_pose(camera)) @ np.c_[points, np.ones(50)].T
    focal = width / 2 / np.tan(float(sensor.findtext("horizontal_fov")) / 2)
    in_gazebo = np.stack([width / 2 - focal * left / ahead, height / 2 - focal * up / ahead], axis=1)
    assert np.ptp(in_mujoco, axis=0).min() > height / 2
    np.testing.assert_allclose(in_gazebo, in_mujoco, atol=1e-3)


def test_the_camera_is_the_simulators(world):
    sensor = world.find(f"model[@name='{CAMERA}']/link/sensor")
    np.testing.assert_allclose(sdf_pose(world.find(f"model[@name='{CAMERA}']"))[:3, 3], LOOK.camera_pos)
    config = yaml.safe_load((ROOT / "config" / "so101.yaml").read_text())["/**/simulator"]["ros__parameters"]
    assert int(sensor.findtext("camera/image/width")) == config["image_width"]
    assert int(sensor.findtext("camera/image/height")) == config["image_height"]
    assert float(sensor.findtext("update_rate")) == config["image_rate_hz"]


def test_cube_and_table_are_the_scenes(scene, world):
    model, data = scene
    cube, table = (world.find(f"model[@name='{name}']") for name in (CUBE, TABLE))
    np.testing.assert_allclose(sdf_pose(cube)[:3, 3], data.body(CUBE).xpos)
    for kind in ("visual", "collision"):
        np.testing.assert_allclose(
            values(cube.findtext(f"link/{kind}/geometry/box/size")), 2 * model.geom(CUBE).size
        )
        assert table.findtext(f"link/{kind}/geometry/plane/normal") == "0 0 1"
    np.testing.assert_allclose(sdf_pose(table), np.eye(4))
    mass, edge = float(cube.findtext("link/inertial/mass")), 2 * model.geom(CUBE).size[0]
    assert mass == model.body(CUBE).mass[0]
    for axis in "xyz":
        moment = float(cube.findtext(f"link/inertial/inertia/i{axis}{axis}"))
        assert moment == pytest.approx(mass * edge**2 / 6, rel=1e-6)
    for element, colour in ((cube, LOOK.cube), (table, LOOK.table)):
        for light in ("ambient", "diffuse"):
            np.testing.assert_allclose(
                values(element.findtext(f"link/visual/material/{light}")), [*colour, 1]
            )


def test_the_light_is_the_scenes(scene, world):
    model, _ = scene
    head = model.vis.headlight
    np.testing.assert_allclose(values(world.findtext("scene/ambient"))[:3], head.ambient, atol=1e-6)
    sun, headlight = (world.find(f"light[@name='{name}']") for name in ("sun", "headlight"))
    np.testing.assert_allclose(values(sun.findtext("direction")), model.light("sun").dir, atol=1e-6)
    np.testing.assert_allclose(values(sun.findtext("diffuse"))[:3], model.light("sun").diffuse, atol=1e-6)
    looks = np.subtract(LOOK.camera_target, LOOK.camera_pos)
    np.testing.assert_allclose(
        values(headlight.findtext("direction")), looks / np.linalg.norm(looks), atol=1e-6
    )
    np.testing.assert_allclose(values(headlight.findtext("diffuse"))[:3], head.diffuse, atol=1e-6)
    assert {light.findtext("cast_shadows") for light in world.iter("light")} == {"false"}


def test_the_world_without_a_cube_differs_in_nothing_else(world):
    bare = ET.parse(WORLD.with_stem("so101_table_no_cube")).getroot().find("world")
    bare, whole = (
        [
            ET.canonicalize(ET.tostring(element), strip_text=True)
            for element in tree
            if element.get("name") != CUBE
        ]
        for tree in (bare, world)
    )
    assert bare == whole and len(whole) == len(world) - 1


# Arm


def boxes(model, body: int) -> np.ndarray:
    """(boxes, 18) position, rotation, edges and RGB of a body's boxes in the scene."""
    rows = []
    for geom in np.flatnonzero(model.geom_bodyid == body):
        axes = np.zeros(9)
        mujoco.mju_quat2Mat(axes, model.geom_quat[geom])
        rows.append([*model.geom_pos[geom], *axes, *(2 * model.geom_size[geom]), *model.geom_rgba[geom, :3]])
    return np.array(rows)


def arm_bodies(model) -> list[int]:
    return [model.body("base").id, *(model.joint(name).bodyid[0] for name in JOINT_NAMES)]


def test_boxes_masses_and_colours_of_the_urdf_are_the_scenes(scene, urdf):
    model, _ = scene
    for body in arm_bodies(model):
        link = urdf.find(f"link[@name='{link_name(model, body)}']")
        rows = {"visual": [], "collision": []}
        for kind, row in rows.items():
            for element in link.findall(kind):
                origin, colour = element.find("origin"), element.find("material/color")
                pose = transform(values(origin.get("xyz")), values(origin.get("rpy")))
                rgb = values(colour.get("rgba"))[:3] / URDF_COLOUR if colour is not None else []
                size = values(element.find("geometry/box").get("size"))
                row.append([*pose[:3, 3], *pose[:3, :3].ravel(), *size, *rgb])
        expected = boxes(model, body)
        assert len(expected) >= 3
        np.testing.assert_allclose(rows["visual"], expected, atol=2e-6)
        np.testing.assert_allclose(rows["collision"], expected[:, :15], atol=2e-6)
        assert float(link.find("inertial/mass").get("value")) == pytest.approx(model.body_mass[body])


def test_mujoco_reads_the_urdf_as_the_same_body(scene):
    model, _ = scene
    root = ET.fromstring(URDF.read_text())
    settings = ET.SubElement(root, "mujoco")
    ET.SubElement(settings, "compiler", fusestatic="false", discardvisual="true")
    other = mujoco.MjModel.from_xml_string(ET.tostring(root, encoding="unicode"))
    ours, theirs = (mujoco.MjData(m) for m in (model, other))
    assert [other.joint(i).name for i in range(other.njnt)] == list(JOINT_NAMES)
    for joints in poses(10):
        ours.qpos[:6], theirs.qpos[:] = joints, joints
        mujoco.mj_forward(model, ours)
        mujoco.mj_forward(other, theirs)
        # The weight on every joint: masses and where they lie.
        np.testing.assert_allclose(theirs.qfrc_bias, ours.qfrc_bias[:6], atol=1e-5)
        for body in arm_bodies(model):
            link = other.body(link_name(model, body)).id
            np.testing.assert_allclose(theirs.xpos[link], ours.xpos[body], atol=1e-5)
            np.testing.assert_allclose(theirs.xmat[link], ours.xmat[body], atol=1e-5)
    moments = [other.body_inertia[other.body(link_name(model, body)).id] for body in arm_bodies(model)]
    np.testing.assert_allclose(moments, model.body_inertia[arm_bodies(model)], rtol=1e-4)


def test_the_urdfs_end_effector_is_where_the_scene_has_it():
    arm, kinematics = UrdfArm.from_file(URDF, JOINT_NAMES, TIP_LINK), ArmKinematics()
    for joints in poses():
        kinematics.move(joints)
        np.testing.assert_allclose(arm.position(joints), kinematics.end_effector, atol=1e-5)


def test_limits_of_the_urdf_are_the_arms(scene, urdf):
    arm = UrdfArm.from_file(URDF, JOINT_NAMES, TIP_LINK)
    np.testing.assert_allclose(arm.lower, POSITION_LOWER, atol=1e-5)
    np.testing.assert_allclose(arm.upper, POSITION_UPPER, atol=1e-5)
    np.testing.assert_allclose(arm.velocity, VELOCITY, atol=1e-5)
    model, _ = scene
    efforts = [float(urdf.find(f"joint[@name='{name}']/limit").get("effort")) for name in JOINT_NAMES]
    assert efforts == [model.actuator(name).forcerange[1] for name in JOINT_NAMES]


class SdfArm:
    """The links' poses in a model that sdformat wrote, at joint positions."""

    def __init__(self, model: ET.Element):
        self._elements = {
            element.get("name"): element for element in model if element.tag in ("link", "joint")
        }

    def pose(self, name: str, joints: dict[str, float]) -> np.ndarray:
        """(4, 4) in the model's frame."""
        element = self._elements[name]
        parent = element.find("pose").get("relative_to", "__model__")
        out = sdf_pose(element) if parent == "__model__" else self.pose(parent, joints) @ sdf_pose(element)
        if name in joints:
            turn = np.eye(4)
            turn[:3, :3] = axangle2mat(values(element.findtext("axis/xyz")), joints[name])
            out = out @ turn
        return out


@needs_ign
def test_the_end_effector_in_gazebo_is_where_the_scene_has_it(scene, arm_sdf):
    model, _ = scene
    arm, kinematics, site = SdfArm(arm_sdf), ArmKinematics(), model.site(EE_SITE)
    wrist = link_name(model, site.bodyid[0])
    for joints in poses():
        kinematics.move(joints)
        tip = arm.pose(wrist, dict(zip(JOINT_NAMES, joints, strict=True))) @ [*site.pos, 1]
        np.testing.assert_allclose(tip[:3], kinematics.end_effector, atol=1e-5)


@needs_ign
def test_boxes_and_colours_in_gazebo_are_the_scenes(scene, arm_sdf):
    model, _ = scene
    for body in arm_bodies(model):
        rows = []
        for visual in arm_sdf.iterfind(f"link[@name='{link_name(model, body)}']/visual"):
            pose, size = sdf_pose(visual), values(visual.findtext("geometry/box/size"))
            for light in ("ambient", "diffuse"):
                colour = values(visual.findtext(f"material/{light}"))
                rows.append([*pose[:3, 3], *pose[:3, :3].ravel(), *size, *colour[:3]])
        expected = np.repeat(boxes(model, body), 2, axis=0)
        order = [np.lexsort(np.round(table, 4).T) for table in (np.array(rows), expected)]
        np.testing.assert_allclose(np.array(rows)[order[0]], expected[order[1]], atol=2e-6)


@needs_ign
def test_limits_and_plugin_survive_the_way_into_gazebo(arm_sdf):
    limits = [
        [float(arm_sdf.findtext(f"joint[@name='{name}']/axis/limit/{side}")) for name in JOINT_NAMES]
        for side in ("lower", "upper", "velocity")
    ]
    np.testing.assert_allclose(limits, [POSITION_LOWER, POSITION_UPPER, VELOCITY], atol=1e-5)
    plugin = arm_sdf.find("plugin")
    assert plugin.get("name") == "gz_ros2_control::GazeboSimROS2ControlPlugin"
    assert plugin.findtext("parameters") == "package://jepa_ros/gazebo/controllers.yaml"
    assert arm_sdf.findtext("joint[@name='world_joint']/parent") == "world"


# Bridge and controllers


def test_every_joint_is_commanded_by_position_and_starts_at_home(urdf):
    joints = urdf.findall("ros2_control/joint")
    assert [joint.get("name") for joint in joints] == list(JOINT_NAMES)
    for joint, home in zip(joints, HOME, strict=True):
        assert [i.get("name") for i in joint.findall("command_interface")] == ["position"]
        assert [i.get("name") for i in joint.findall("state_interface")] == ["position", "velocity"]
        assert float(joint.findtext("state_interface/param[@name='initial_value']")) == home


def test_the_controller_takes_what_the_action_publisher_streams():
    controllers = yaml.safe_load((gazebo.FOLDER / "controllers.yaml").read_text())
    manager = controllers["controller_manager"]["ros__parameters"]
    assert manager["joint_trajectory_controller"]["type"].endswith("/JointTrajectoryController")
    trajectory = controllers["joint_trajectory_controller"]["ros__parameters"]
    assert trajectory["joints"] == list(JOINT_NAMES)
    assert trajectory["interpolate_from_desired_state"] is True
    assert trajectory["allow_nonzero_velocity_at_trajectory_end"] is True


def test_the_bridge_carries_the_topics_of_clock_and_camera(world):
    bridges = yaml.safe_load((gazebo.FOLDER / "bridge.yaml").read_text())
    assert {bridge["direction"] for bridge in bridges} == {"GZ_TO_ROS"}
    topics = {bridge["ros_topic_name"]: bridge["gz_topic_name"] for bridge in bridges}
    sensor = world.find(f"model[@name='{CAMERA}']/link/sensor")
    seen = {sensor.findtext("topic"), sensor.findtext("camera/camera_info_topic")}
    assert seen | {"/clock"} == set(topics.values())


@pytest.fixture(scope="module")
def launch_file():
    pytest.importorskip("launch_ros", reason="needs launch_ros to read the launch file")
    return runpy.run_path(str(ROOT / "launch" / "gazebo.launch.py"))


def test_the_launch_file_names_these_topics_and_controllers(launch_file):
    bridges = yaml.safe_load((gazebo.FOLDER / "bridge.yaml").read_text())
    expected = launch_file["TOPICS"]
    assert {expected["image_topic"], expected["camera_info_topic"], "/clock"} == {
        bridge["ros_topic_name"] for bridge in bridges
    }
    controllers = yaml.safe_load((gazebo.FOLDER / "controllers.yaml").read_text())
    manager = controllers["controller_manager"]["ros__parameters"]
    assert set(launch_file["CONTROLLERS"]) == {
        name for name, value in manager.items() if isinstance(value, dict)
    }
    assert expected["command_topic"].split("/")[1] in launch_file["CONTROLLERS"]


def test_a_world_is_found_by_name_or_by_path(launch_file, tmp_path):
    find_world = launch_file["find_world"]
    assert find_world("so101_table") == WORLD
    mine = tmp_path / "mine.sdf"
    mine.write_text(WORLD.read_text())
    assert find_world(str(mine)) == mine
    with pytest.raises(JepaError, match="so101_chair"):
        find_world("so101_chair")
