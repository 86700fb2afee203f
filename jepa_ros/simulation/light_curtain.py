"""A light curtain across the arm's way: who passes through it may be stopped. The scene with a random outcome.

Where the gripper frame comes into the curtain, the cell's protective stop trips with probability CHANCE: the arm stays
where it is until the next reset, whatever it is commanded, and the curtain's beams light up red. Otherwise nothing is to
be seen. The n-th passage of an episode has the same outcome whoever drives: it is drawn from the episode's luck and n.
Nothing can collide with a curtain of light. Its state is part of MuJoCo's own (mocap body and user data), so that
``Simulator.get_state`` holds it.
"""

import numpy as np

from jepa_ros.simulation.engine import mujoco

NAME = "curtain"
CHANCE = 0.5
"""Of a passage to end in a stop."""
HALF_DEPTH = 0.02
"""m; the curtain stands on the line y = 0 and is twice as deep."""
NEAR, FAR = 0.10, 0.42
"""m, x of its ends."""
HEIGHT = 0.14
"""m; above it the way is free."""

_HIDDEN, _SHOWN = -1.0, 0.0
"""m, height of the beams' body: under the table, or where they light up."""
_BEAMS = (0.03, 0.075, 0.12)
"""m above the table."""
_INSIDE, _PASSAGES, _LUCK, _USER = 0, 1, 2, 3
"""Places in the user data, and how many there are."""


def add_curtain(spec) -> None:
    """Strip and posts on the table, beams out of sight, in a mujoco.MjSpec."""
    spec.nuserdata = _USER
    box, middle = mujoco.mjtGeom.mjGEOM_BOX, (NEAR + FAR) / 2
    untouchable = {"contype": 0, "conaffinity": 0}
    spec.worldbody.add_geom(
        type=box,
        size=[(FAR - NEAR) / 2, HALF_DEPTH, 0.001],
        pos=[middle, 0, 0.001],
        rgba=[0.95, 0.85, 0.2, 1],
        **untouchable,
    )
    spec.worldbody.add_geom(
        type=box,
        size=[0.008, 0.008, HEIGHT / 2],
        pos=[FAR, 0, HEIGHT / 2],
        rgba=[0.95, 0.85, 0.2, 1],
        **untouchable,
    )
    beams = spec.worldbody.add_body(name=NAME, pos=[middle, 0, _HIDDEN], mocap=True)
    for height in _BEAMS:
        beams.add_geom(
            type=box,
            size=[(FAR - NEAR) / 2, 0.008, 0.015],
            pos=[0, 0, height],
            rgba=[1.0, 0.1, 0.05, 1],
            **untouchable,
        )


def is_inside(point: np.ndarray) -> bool:
    """Whether (3,) m lies in the curtain."""
    return bool(NEAR <= point[0] <= FAR and abs(point[1]) <= HALF_DEPTH and point[2] <= HEIGHT)


class LightCurtain:
    """Watches the gripper frame of one compiled scene that has a curtain."""

    def __init__(self, model: "mujoco.MjModel"):
        self._beams = int(model.body(NAME).mocapid[0])

    def reset(self, data: "mujoco.MjData", luck: int) -> None:
        """A new episode. luck: what its chances are drawn from."""
        data.userdata[:_USER] = 0.0, 0.0, luck
        data.mocap_pos[self._beams, 2] = _HIDDEN

    def stopped(self, data: "mujoco.MjData") -> bool:
        """Whether the protective stop has tripped."""
        return bool(data.mocap_pos[self._beams, 2] == _SHOWN)

    def watch(self, data: "mujoco.MjData", point: np.ndarray) -> bool:
        """Note where the gripper frame (3,) m is now; whether the stop trips at this very moment."""
        inside, before = is_inside(point), data.userdata[_INSIDE] == 1.0
        data.userdata[_INSIDE] = float(inside)
        if not inside or before or self.stopped(data):
            return False
        passage, luck = int(data.userdata[_PASSAGES]), int(data.userdata[_LUCK])
        data.userdata[_PASSAGES] += 1
        if np.random.default_rng((luck, passage)).random() >= CHANCE:
            return False
        data.mocap_pos[self._beams, 2] = _SHOWN
        return True
