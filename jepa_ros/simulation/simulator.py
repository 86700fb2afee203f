"""A simulated SO-101: joints, camera and time, with the interface a driver of the real arm would have.

Rendering uses an OpenGL context that belongs to one thread: the first that calls ``render`` or
``goal_image``. It is created there, so build the Simulator anywhere, but render always from the same thread.
Everything else may be called from any one thread at a time. In worker processes, create the Simulator in the
worker.
"""

import threading
from collections.abc import Callable

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.simulation import disturbance as disturbances
from jepa_ros.simulation.arm import HOME, JOINT_NAMES, POSITION_LOWER, POSITION_UPPER
from jepa_ros.simulation.engine import mujoco
from jepa_ros.simulation.light_curtain import LightCurtain
from jepa_ros.simulation.renderer import Renderer
from jepa_ros.simulation.scene import CAMERA, CUBE_HALF, EE_SITE, IMAGE_SIZE, VisualSettings, build_model
from jepa_ros.simulation.tasks import Goal

_A = len(JOINT_NAMES)
_STATE = mujoco.mjtState.mjSTATE_INTEGRATION
_WATCH_STEPS = 2
"""Physics steps between two looks at who is in the curtain."""
_SMALL = 256
"""px; images up to this size are rendered at twice the size and averaged: motion below a pixel shows."""


class Simulator:
    """One arm on one table. ``A`` is 6, joints in the order of ``JOINT_NAMES``; units are m, rad, s.

    image_size: (height, width) of ``render`` in pixels.
    seed: of the cube's place after a ``reset`` without a start.
    edit: changes the scene before it is compiled.
    """

    joint_names = JOINT_NAMES

    def __init__(
        self,
        task: str = "reach",
        image_size: tuple[int, int] = IMAGE_SIZE,
        meshes: str = "boxes",
        seed: int = 0,
        visual: VisualSettings | None = None,
        edit: Callable[["mujoco.MjSpec"], None] | None = None,
    ):
        self.task, self.meshes = task, meshes
        self.image_size = _checked_size(image_size)
        self.model = build_model(task, meshes, visual, edit=edit)
        self._data = mujoco.MjData(self.model)
        self._scratch = mujoco.MjData(self.model)
        self._has_cube = task == "push"
        self._curtain = LightCurtain(self.model) if task == "curtain" else None
        self._site = self.model.site(EE_SITE).id
        self._state_size = mujoco.mj_stateSize(self.model, _STATE)
        self._stiffness = self.model.actuator_gainprm[:_A, 0].copy()
        self._renderers: dict[tuple[int, int], Renderer] = {}
        self._render_thread: int | None = None
        self._rng = np.random.default_rng(seed)
        self.reset()

    # State

    def reset(self, state: "dict | Goal | None" = None) -> None:
        """Start at rest, at time 0, in a Goal's scene or at home (None), or go on from a ``get_state``.

        A disturbance ends.
        """
        self._disturbance: disturbances.Disturbance | None = None
        if isinstance(state, dict):
            self.set_state(state)
            return
        mujoco.mj_resetData(self.model, self._data)
        self._owed = 0.0
        goal = state if state is not None else self._home()
        self._place(self._data, goal)
        if self._curtain is not None:
            self._curtain.reset(self._data, goal.luck)
        self._command_rest()
        self._stale = True

    def get_state(self) -> dict:
        """The complete physics state, targets and time; ``set_state`` continues from it bit for bit."""
        physics = np.empty(self._state_size)
        mujoco.mj_getState(self.model, self._data, physics, _STATE)
        return {"task": self.task, "physics": physics, "owed": self._owed}

    def set_state(self, state: dict) -> None:
        """Return to a state of ``get_state``, of any Simulator of the same task."""
        physics = np.asarray(state.get("physics"), dtype=np.float64)
        if state.get("task") != self.task or physics.shape != (self._state_size,):
            raise JepaError(
                f"set_state: no state of task {self.task!r} (it is of task {state.get('task')!r} "
                f"and has {physics.size} numbers, expected {self._state_size})"
            )
        mujoco.mj_setState(self.model, self._data, physics, _STATE)
        self._owed = float(state["owed"])
        self._stale = True

    @property
    def time(self) -> float:
        """Simulated seconds since ``reset``."""
        return float(self._data.time)

    @property
    def joint_positions(self) -> np.ndarray:
        """(A,) rad, measured."""
        return self._data.qpos[:_A].copy()

    @property
    def joint_velocities(self) -> np.ndarray:
        """(A,) rad/s, measured."""
        return self._data.qvel[:_A].copy()

    @property
    def end_effector(self) -> np.ndarray:
        """(3,) m, the gripper frame (tip of the fixed jaw, between the jaws) in the base frame."""
        self._refresh()
        return self._data.site_xpos[self._site].copy()

    @property
    def cube(self) -> np.ndarray | None:
        """(3,) m, the cube's centre; None in tasks without one."""
        return self._data.qpos[_A : _A + 3].copy() if self._has_cube else None

    @property
    def stopped(self) -> bool:
        """Whether the protective stop of task "curtain" has tripped; targets are ignored until the next reset."""
        return self._curtain is not None and self._curtain.stopped(self._data)

    # Motion

    @property
    def target(self) -> np.ndarray:
        """(A,) rad, what the servos are commanded to."""
        return self._data.ctrl[:_A].copy()

    def set_target(self, positions: np.ndarray) -> None:
        """Command the servos to (A,) rad, clipped to the position limits; without effect where the arm is ``stopped``."""
        positions = np.asarray(positions, dtype=np.float64)
        if positions.shape != (_A,) or not np.all(np.isfinite(positions)):
            raise JepaError(
                f"set_target: got {positions}; need {_A} finite positions in rad for {', '.join(JOINT_NAMES)}"
            )
        if not self.stopped:
            self._data.ctrl[:_A] = np.clip(positions, POSITION_LOWER, POSITION_UPPER)

    def advance(self, seconds: float) -> None:
        """Simulate; the rest below one physics step is made up for in the next call."""
        self._owed += seconds
        steps = round(self._owed / self.model.opt.timestep)
        self._owed -= steps * self.model.opt.timestep
        if steps > 0:
            self._step(steps)
            self._stale = True

    # What the camera suffers

    @property
    def disturbance(self) -> str:
        """What spoils ``render``: one of disturbance.DISTURBANCES, or "none"."""
        return self._disturbance.kind if self._disturbance else disturbances.NONE

    def disturb(self, kind: str) -> None:
        """Begin a disturbance now, or end it by "none"; the same again goes on. Goal images stay clean."""
        if kind != self.disturbance:
            begun = kind != disturbances.NONE
            self._disturbance = disturbances.Disturbance(kind, self.time) if begun else None

    # Queries that leave the running simulation alone

    def forward_kinematics(self, q: np.ndarray) -> np.ndarray:
        """(3,) m: where the gripper frame is at joint positions q (A,) rad."""
        self._scratch.qpos[:_A] = q
        mujoco.mj_kinematics(self.model, self._scratch)
        return self._scratch.site_xpos[self._site].copy()

    def render(self, camera: str = CAMERA, size: tuple[int, int] | None = None) -> np.ndarray:
        """(H, W, 3) uint8 RGB of the present scene; size is (height, width), default ``image_size``."""
        self._refresh()
        if self._disturbance is None:
            return self._draw(self._data, camera, size)
        return self._disturbance.image(lambda adjust: self._draw(self._data, camera, size, adjust), self.time)

    def goal_image(self, goal: Goal, size: tuple[int, int] | None = None) -> np.ndarray:
        """(H, W, 3) uint8 RGB of the goal's scene, the arm at rest at the goal's measured positions."""
        self._place(self._scratch, goal)
        self._derive(self._scratch)
        return self._draw(self._scratch, CAMERA, size)

    def camera_info(self, size: tuple[int, int] | None = None) -> dict:
        """The camera as in sensor_msgs/CameraInfo: width, height, k, r, p (matrices), d, distortion_model."""
        height, width = _checked_size(size or self.image_size)
        focal = height / 2 / np.tan(np.radians(self.model.camera(CAMERA).fovy[0]) / 2)
        cx, cy = (width - 1) / 2, (height - 1) / 2
        k = np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1]])
        return {
            "width": width,
            "height": height,
            "k": k,
            "d": np.zeros(5),
            "r": np.eye(3),
            "p": np.hstack([k, np.zeros((3, 1))]),
            "distortion_model": "plumb_bob",
        }

    def dressed(self, edit: Callable[["mujoco.MjSpec"], None]) -> "Simulator":
        """A second Simulator whose scene looks otherwise: to be put into this one's state, and looked at."""
        return Simulator(self.task, self.image_size, self.meshes, edit=edit)

    def close(self) -> None:
        """Free the OpenGL contexts; a later ``render`` makes new ones."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()
        self._render_thread = None

    def __enter__(self) -> "Simulator":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    # Inner workings

    def _step(self, steps: int) -> None:
        if self._curtain is None:
            mujoco.mj_step(self.model, self._data, nstep=steps)
            return
        for begin in range(0, steps, _WATCH_STEPS):
            mujoco.mj_step(self.model, self._data, nstep=min(_WATCH_STEPS, steps - begin))
            self._derive(self._data)
            if self._curtain.watch(self._data, self._data.site_xpos[self._site]):
                self._command_rest()

    def _command_rest(self) -> None:
        """Targets at which the servos just carry the arm's weight: it rests where it is."""
        mujoco.mj_forward(self.model, self._data)
        rest = self._data.qpos[:_A] + self._data.qfrc_bias[:_A] / self._stiffness
        self._data.ctrl[:_A] = np.clip(rest, POSITION_LOWER, POSITION_UPPER)

    def _home(self) -> Goal:
        cube = None
        if self._has_cube:
            cube = np.array([self._rng.uniform(0.18, 0.28), self._rng.uniform(-0.1, 0.1), CUBE_HALF])
        return Goal(HOME, self.forward_kinematics(HOME), cube)

    def _place(self, data, goal: Goal) -> None:
        data.qpos[:_A] = goal.joints
        if self._has_cube:
            if goal.cube is None:
                raise JepaError(f"task {self.task!r} needs a start or goal with a cube position")
            data.qpos[_A:] = *goal.cube, np.cos(goal.cube_yaw / 2), 0, 0, np.sin(goal.cube_yaw / 2)

    def _refresh(self) -> None:
        """Bring positions of bodies, camera and light up to the present joint positions."""
        if self._stale:
            self._derive(self._data)
            self._stale = False

    def _derive(self, data) -> None:
        mujoco.mj_kinematics(self.model, data)
        mujoco.mj_comPos(self.model, data)
        mujoco.mj_camlight(self.model, data)

    def _draw(self, data, camera: str, size: tuple[int, int] | None, adjust=None) -> np.ndarray:
        height, width = self.image_size if size is None else _checked_size(size)
        return self._renderer(height, width).render(data, camera, adjust)

    def _renderer(self, height: int, width: int) -> Renderer:
        thread = threading.get_ident()
        if self._render_thread is None:
            self._render_thread = thread
        if self._render_thread != thread:
            raise JepaError(
                "Simulator rendered from two threads: its OpenGL context belongs to the thread "
                "that rendered first; render there, or close() it there first"
            )
        if (height, width) not in self._renderers:
            supersample = 2 if max(height, width) <= _SMALL else 1
            self._renderers[height, width] = Renderer(self.model, height, width, supersample)
        return self._renderers[height, width]


def _checked_size(size) -> tuple[int, int]:
    try:
        height, width = (int(v) for v in size)
    except (TypeError, ValueError):
        height = width = 0
    if not (8 <= height <= 4096 and 8 <= width <= 4096):
        raise JepaError(f"image size is {size!r}; it must be (height, width), each from 8 to 4096 pixels")
    return height, width
