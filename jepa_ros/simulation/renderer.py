"""Draw a MuJoCo scene into an RGB array, off screen.

Own class instead of ``mujoco.Renderer`` for three reasons: that one frees its OpenGL objects in whatever
context is current, which damages other open renderers; its frame buffer is never smaller than 640x480; and
averaging down fits in the copy out of the frame buffer.
"""

import atexit
import weakref
from functools import cache

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.simulation.engine import gl_context, gl_error, mujoco

_open: "weakref.WeakSet[Renderer]" = weakref.WeakSet()
_MAX_GEOMS = 1000


class Renderer:
    """Images of one model, height x width pixels; use and close it in the thread that made it.

    supersample: 1, or 2 to render at twice the size and average, so that motion below a pixel shows.
    """

    def __init__(self, model: "mujoco.MjModel", height: int, width: int, supersample: int = 1):
        self._model, self._height, self._width, self._supersample = model, height, width, supersample
        rows, columns = height * supersample, width * supersample
        self._pixels = np.empty((rows, columns, 3), np.uint8)
        self._rect = mujoco.MjrRect(0, 0, columns, rows)
        self._scene = mujoco.MjvScene(model, maxgeom=_MAX_GEOMS)
        self._option, self._view, self._perturb = mujoco.MjvOption(), mujoco.MjvCamera(), mujoco.MjvPerturb()
        self._view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._gl = self._context = None
        try:
            self._gl = gl_context(columns, rows)
            self._gl.make_current()
            screen = model.vis.global_
            screen.offwidth, screen.offheight = columns, rows
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
            mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        except Exception as error:  # a different type for each backend and failure
            raise gl_error(error) from error
        # Exit handlers run last in, first out: registered after the first context, ours precedes MuJoCo's.
        _close_all_at_exit()
        _open.add(self)

    def render(self, data: "mujoco.MjData", camera: str, adjust=None) -> np.ndarray:
        """(height, width, 3) uint8 RGB, a new array; data's camera, light and body poses must be current.

        adjust: changes the mujoco.MjvScene before it is drawn, for this image only.
        """
        if self._context is None:
            raise JepaError("Renderer: render called after close")
        self._view.fixedcamid = mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_CAMERA, camera)
        if self._view.fixedcamid < 0:
            names = [self._model.camera(i).name for i in range(self._model.ncam)]
            raise JepaError(f"no camera {camera!r} in the scene; cameras: {', '.join(names)}")
        self._gl.make_current()
        mujoco.mjv_updateScene(
            self._model,
            data,
            self._option,
            self._perturb,
            self._view,
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        if adjust is not None:
            adjust(self._scene)
        mujoco.mjr_render(self._rect, self._scene, self._context)
        mujoco.mjr_readPixels(self._pixels, None, self._rect, self._context)
        return self._upright()

    def close(self) -> None:
        """Free the OpenGL context; harmless when repeated."""
        context, gl = getattr(self, "_context", None), getattr(self, "_gl", None)
        self._context = self._gl = None
        if context is not None:
            gl.make_current()
            context.free()
        if gl is not None:
            gl.free()

    def __del__(self):
        try:
            self.close()
        except Exception:  # collected in another thread or at exit: the process takes its contexts with it
            pass

    def _upright(self) -> np.ndarray:
        """OpenGL's rows go bottom up."""
        if self._supersample == 1:
            return self._pixels[::-1].copy()
        pairs = np.add(self._pixels[-1::-2], self._pixels[-2::-2], dtype=np.uint16)
        pairs = pairs.reshape(self._height, self._width, 2, 3)
        return ((pairs[:, :, 0] + pairs[:, :, 1] + 2) >> 2).astype(np.uint8)


@cache
def _close_all_at_exit() -> None:
    atexit.register(lambda: [renderer.close() for renderer in list(_open)])
