"""Poses of the arm without dynamics: where the gripper is, what touches, what the camera sees."""

import numpy as np

from jepa_ros.simulation.arm import JOINT_NAMES
from jepa_ros.simulation.engine import mujoco
from jepa_ros.simulation.scene import CAMERA, CUBE, CUBE_HALF, EE_SITE, build_model

_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)


class ArmKinematics:
    """Checks joint configurations on a private model, so that no running simulation is touched.

    task: "reach", or "push" to check the arm against a cube as well.
    """

    def __init__(self, task: str = "reach"):
        self.model = build_model(task, self_collision=True)
        self.data = mujoco.MjData(self.model)
        self._site = self.model.site(EE_SITE).id
        self._camera = self.model.camera(CAMERA).id
        moving = [self.model.body(name).id for name in ("upper_arm", "lower_arm", "wrist", "gripper")]
        moving.append(self.model.body("gripper").id + 1)
        self._links = np.flatnonzero(np.isin(self.model.geom_bodyid, moving))
        self._cube = [self.model.geom(CUBE).id] if task == "push" else []
        self._tan = np.tan(np.radians(self.model.cam_fovy[self._camera]) / 2)

    def move(self, joints: np.ndarray, cube_xy: np.ndarray | None = None) -> None:
        """Take the configuration (A,) rad, with the cube at (2,) m on the table, for the queries below."""
        arm = len(JOINT_NAMES)
        self.data.qpos[:arm] = joints
        if cube_xy is not None:
            # Just above the table, so that the cube resting there is no contact.
            self.data.qpos[arm : arm + 3] = *cube_xy, CUBE_HALF + 0.001
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)

    @property
    def end_effector(self) -> np.ndarray:
        """(3,) m, the gripper frame."""
        return self.data.site_xpos[self._site].copy()

    @property
    def approach(self) -> np.ndarray:
        """(3,) unit vector along the jaws, out of the gripper."""
        return self.data.site_xmat[self._site].reshape(3, 3)[:, 0].copy()

    def _corners(self, geoms) -> np.ndarray:
        """(8 boxes, 3) m, corners of boxes."""
        offsets = _CORNERS[None] * self.model.geom_size[geoms][:, None]
        rotation = self.data.geom_xmat[geoms].reshape(-1, 3, 3)
        points = np.einsum("gij,gcj->gci", rotation, offsets) + self.data.geom_xpos[geoms][:, None]
        return points.reshape(-1, 3)

    def clearance(self) -> float:
        """m between the table and the lowest point of the moving links."""
        return float(self._corners(self._links)[:, 2].min())

    def collides(self) -> bool:
        """Whether any two links touch, or a link touches the table or the cube."""
        mujoco.mj_collision(self.model, self.data)
        return self.data.ncon > 0

    def view_margin(self) -> float:
        """How far inside the square image moving links and cube are: 1 centre, 0 edge, negative outside."""
        mujoco.mj_camlight(self.model, self.data)
        axes = self.data.cam_xmat[self._camera].reshape(3, 3)
        points = self._corners([*self._links, *self._cube])
        local = (points - self.data.cam_xpos[self._camera]) @ axes
        return float(1 - np.abs(local[:, :2] / (-local[:, 2:] * self._tan)).max())
