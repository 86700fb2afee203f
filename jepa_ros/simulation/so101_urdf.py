"""The scene's arm as a URDF for gz_ros2_control, read off the compiled MuJoCo model."""

import xml.etree.ElementTree as ET

import numpy as np

from jepa_ros.simulation.arm import HOME, JOINT_NAMES, VELOCITY
from jepa_ros.simulation.engine import mujoco
from jepa_ros.simulation.scene import EE_SITE
from jepa_ros.simulation.xml_text import add, document, matrix, numbers, rpy

TIP_LINK = "gripper_frame_link"
"""The scene's gripper frame."""

CONTROLLERS = "package://jepa_ros/gazebo/controllers.yaml"
"""As the plugin names them; gazebo.launch.py puts the installed folder in place of package://jepa_ros."""

URDF_COLOUR = 0.8
"""sdformat divides a URDF's colours by it; so Gazebo shows the scene's."""

CONTROL_RATE = 200
"""Hz, of gz_ros2_control's controller manager."""


def arm_urdf(model: "mujoco.MjModel") -> str:
    """The arm of a model of ``build_model``: one link a body, boxes only, fixed to the link "world"."""
    root = ET.Element("robot", name="so101")
    add(root, "link", name="world")
    base = model.body("base").id
    _add_link(root, model, base)
    _add_joint(
        root,
        "world_joint",
        "fixed",
        "world",
        link_name(model, base),
        model.body_pos[base],
        model.body_quat[base],
    )
    for name, velocity in zip(JOINT_NAMES, VELOCITY, strict=True):
        joint = model.joint(name)
        body = joint.bodyid[0]
        _add_link(root, model, body)
        parent = link_name(model, model.body_parentid[body])
        # The joint's own offset is zero in this arm, so that link and joint frame are one, as URDF has it.
        element = _add_joint(
            root,
            name,
            "revolute",
            parent,
            link_name(model, body),
            model.body_pos[body],
            model.body_quat[body],
        )
        lower, upper = joint.range
        add(element, "axis", xyz=numbers(joint.axis))
        add(
            element,
            "limit",
            lower=numbers([lower]),
            upper=numbers([upper]),
            velocity=numbers([velocity]),
            effort=numbers([model.actuator(name).forcerange[1]]),
        )
        add(element, "dynamics", damping=numbers(joint.damping), friction=numbers(joint.frictionloss))
    site = model.site(EE_SITE)
    add(root, "link", name=TIP_LINK)
    _add_joint(
        root, "gripper_frame_joint", "fixed", link_name(model, site.bodyid[0]), TIP_LINK, site.pos, site.quat
    )
    _add_control(root, model)
    return document(root)


def link_name(model: "mujoco.MjModel", body: int) -> str:
    """As the SO-101's own URDF names it. SDF has no link and joint of one name, as the scene's gripper is."""
    return model.body(body).name + "_link"


def _add_joint(root, name, kind, parent, child, pos, quat) -> ET.Element:
    joint = add(root, "joint", name=name, type=kind)
    add(joint, "parent", link=parent)
    add(joint, "child", link=child)
    add(joint, "origin", xyz=numbers(pos), rpy=numbers(rpy(matrix(quat))))
    return joint


def _add_link(root, model, body: int) -> None:
    link = add(root, "link", name=link_name(model, body))
    inertial = add(link, "inertial")
    add(inertial, "origin", xyz=numbers(model.body_ipos[body]), rpy="0 0 0")
    add(inertial, "mass", value=numbers([model.body_mass[body]]))
    axes = matrix(model.body_iquat[body])
    inertia = axes @ np.diag(model.body_inertia[body]) @ axes.T
    add(
        inertial,
        "inertia",
        **{f"i{'xyz'[i]}{'xyz'[j]}": numbers([inertia[i, j]]) for i in range(3) for j in range(i, 3)},
    )
    for geom in np.flatnonzero(model.geom_bodyid == body):
        for kind in ("visual", "collision"):
            element = add(link, kind)
            add(
                element,
                "origin",
                xyz=numbers(model.geom_pos[geom]),
                rpy=numbers(rpy(matrix(model.geom_quat[geom]))),
            )
            add(add(element, "geometry"), "box", size=numbers(2 * model.geom_size[geom]))
            if kind == "visual":
                colour = numbers([*(model.geom_rgba[geom, :3] * URDF_COLOUR), model.geom_rgba[geom, 3]])
                add(add(element, "material", name="rgba " + colour), "color", rgba=colour)


def _add_control(root, model) -> None:
    system = add(root, "ros2_control", name="so101", type="system")
    add(add(system, "hardware"), "plugin", "gz_ros2_control/GazeboSimSystem")
    for name, home in zip(JOINT_NAMES, HOME, strict=True):
        joint = add(system, "joint", name=name)
        add(joint, "command_interface", name="position")
        state = add(joint, "state_interface", name="position")
        add(state, "param", numbers([home]), name="initial_value")
        add(joint, "state_interface", name="velocity")
    plugin = add(
        add(root, "gazebo"),
        "plugin",
        filename="gz_ros2_control-system",
        name="gz_ros2_control::GazeboSimROS2ControlPlugin",
    )
    add(plugin, "parameters", CONTROLLERS)
    # The plugin turns a joint at gain * update rate * error: as fast as the scene's servo closes an error.
    servo = model.actuator(JOINT_NAMES[0]).gainprm[0] / model.joint(JOINT_NAMES[0]).damping[0]
    add(plugin, "position_proportional_gain", numbers([round(servo / CONTROL_RATE, 3)]))
