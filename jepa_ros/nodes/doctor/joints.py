"""Joints: their names and positions in joint_states, and limits that are complete."""

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.nodes.base.robot import robot_spec
from jepa_ros.nodes.doctor.expected import Expected
from jepa_ros.nodes.doctor.finding import Findings
from jepa_ros.nodes.doctor.heard import Heard
from jepa_ros.nodes.guard.guard_params import joint_limits, needs_urdf, read_urdf, workspace
from jepa_ros.safety.limits import JointLimits

_TURN = 2 * np.pi + 0.1
"""rad; hardly a joint turns farther, degrees do."""


def check_joints(expected: Expected, heard: Heard) -> Findings:
    """joint_states against the robot's joints and limits; the limits against the actions."""
    found = Findings("joints")
    try:
        spec = robot_spec(expected.guard)
    except JepaError as error:
        found.error("robot.*", str(error), "correct it in the robot's preset or the params_file")
        return found
    positions = _positions(found, expected.joint_states.name, heard, spec)
    try:
        guard = expected.guard
        urdf = read_urdf(guard, lambda: _description(heard)) if needs_urdf(guard) else None
        limits, box = joint_limits(guard, urdf), workspace(guard, urdf)
    except JepaError as error:
        found.error(
            "action_publisher limits.*",
            f"{error}",
            "give what is missing in the robot's preset or the params_file (docs/robots/your_own_arm.md)",
        )
        return found
    _limits(found, limits, spec)
    if positions is None:
        return found
    _inside(found, expected.joint_states.name, positions, limits)
    if box is not None and (outside := box.outside(positions)) > 0:
        found.error(
            "workspace",
            f"the end effector is {outside:.3f} m outside the box, at {np.round(box.position_of(positions), 3)} m",
            "bring it inside by hand, or correct workspace.lower and workspace.upper",
        )
    elif box is not None:
        found.ok("workspace", f"the end effector is inside, at {np.round(box.position_of(positions), 3)} m")
    return found


def positions_of(message, names) -> np.ndarray | None:
    """(A,) rad of a JointState in the order of ``names``; None where it lacks a joint or a value."""
    index = {name: i for i, name in enumerate(message.name)}
    if (
        len(message.position) != len(message.name)
        or len(index) != len(message.name)
        or set(names) - set(index)
    ):
        return None
    positions = np.array([message.position[index[name]] for name in names])
    return positions if np.isfinite(positions).all() else None


def _positions(found: Findings, topic: str, heard: Heard, spec: ActionSpec) -> np.ndarray | None:
    message = heard.stream(topic).newest
    if message is None:
        return None
    names = list(message.name)
    missing = [name for name in spec.joint_names if name not in names]
    if missing:
        found.error(
            topic,
            f"joints {missing} are missing; the messages name {names}",
            "give the preset of this robot (--robot), or correct robot.joint_names",
        )
    elif len(set(names)) != len(names):
        found.error(topic, f"a joint is named twice: {names}", "correct the driver, or leave one publisher")
    elif (positions := positions_of(message, spec.joint_names)) is None:
        found.error(
            topic,
            f"{len(message.position)} positions for {len(names)} joint names, or NaN among them: "
            f"{np.round(message.position, 3).tolist()}",
            "see the driver: it must report a finite position of every joint that it names",
        )
    else:
        order = [name for name in names if name in spec.joint_names]
        other = "" if order == list(spec.joint_names) else ", in another order (they are matched by name)"
        found.ok(topic, f"the {spec.dim} joints are there{other}")
        return positions
    return None


def _inside(found: Findings, topic: str, positions: np.ndarray, limits: JointLimits) -> None:
    outside = (positions < limits.lower) | (positions > limits.upper)
    degrees = np.radians(positions)
    if np.abs(positions).max() > _TURN and np.all((degrees >= limits.lower) & (degrees <= limits.upper)):
        found.error(
            topic,
            f"positions {np.round(positions, 1).tolist()} look like degrees",
            "let the driver report rad",
        )
        return
    near = ((positions < limits.low) | (positions > limits.high)) & ~outside
    for i in np.flatnonzero(outside | near):
        what = f"it is at {positions[i]:.3f} rad, "
        span = f"limits {limits.lower[i]:.3f} to {limits.upper[i]:.3f}"
        where = f"{topic} {limits.names[i]}"
        if outside[i]:
            found.error(
                where,
                f"{what}outside its {span}",
                "move the arm inside by hand or with the driver's tools; where it always reads so, its zero is "
                "calibrated otherwise or joints are swapped",
            )
        else:
            found.warn(
                where,
                f"{what}within the margin {limits.margin[i]:g} of its {span}",
                "move it away from the limit: from here the guard only lets it come back",
            )
    if not np.any(outside | near):
        room = np.minimum(positions - limits.low, limits.high - positions)
        i = int(room.argmin())
        found.ok(
            topic,
            f"all positions are inside the limits; nearest is {limits.names[i]}, {room[i]:.2f} rad away",
        )


def _limits(found: Findings, limits: JointLimits, spec: ActionSpec) -> None:
    asked = np.maximum(np.abs(spec.lower), np.abs(spec.upper)) * spec.rate_hz
    slow = [
        f"{name} {a:.2f} > {v:.2f}"
        for name, a, v in zip(limits.names, asked, limits.velocity, strict=True)
        if a > v + 1e-9
    ]
    if slow:
        found.warn(
            "action_publisher limits.velocity",
            f"actions ask for more than the limit, rad/s: {', '.join(slow)}; the guard will slow them",
            "raise the limit where the arm allows it, or train with smaller actions (robot.upper * robot.rate_hz)",
        )
    found.ok(
        "action_publisher limits.*",
        f"complete: position, velocity (at most {limits.velocity.max():g} rad/s) and acceleration (at most "
        f"{limits.acceleration.max():g} rad/s^2) of {limits.dim} joints, margin {limits.margin.max():g} rad",
    )


def _description(heard: Heard) -> str:
    if not heard.description:
        raise JepaError(
            "no robot_description came; start robot_state_publisher, give --robot-description-topic, or set "
            "workspace.urdf_file"
        )
    return heard.description
