"""The one place that imports MuJoCo, with headless rendering; a missing OpenGL becomes a JepaError.

Set MUJOCO_GL before the first import to choose another way than EGL ("glfw", "osmesa").
"""

import atexit
import os
import sys
import weakref
from functools import cache

from jepa_ros.errors import JepaError

GL_HELP = ("MuJoCo cannot render here (MUJOCO_GL={gl}): {reason}\n"
           "Install OpenGL for headless rendering: sudo apt-get install libegl1 libgl1-mesa-dri; then set MUJOCO_GL=egl.")

if sys.platform.startswith("linux"):
    os.environ.setdefault("MUJOCO_GL", "egl")


def gl_error(reason: object) -> JepaError:
    """The error for a machine without a usable OpenGL."""
    text = str(reason) or type(reason).__name__
    return JepaError(GL_HELP.format(gl=os.environ.get("MUJOCO_GL", "unset"), reason=text))


try:
    import mujoco
except (ImportError, AttributeError, OSError, RuntimeError) as error:
    if getattr(error, "name", None) == "mujoco":
        raise JepaError('the simulator needs MuJoCo: pip install "mujoco>=3.3,<4"') from error
    raise gl_error(error) from error

_open: "weakref.WeakSet[mujoco.Renderer]" = weakref.WeakSet()


def open_renderer(model: "mujoco.MjModel", height: int, width: int) -> "mujoco.Renderer":
    """A renderer of height x width pixels, closed at the latest when Python exits."""
    screen = model.vis.global_
    screen.offwidth, screen.offheight = max(screen.offwidth, width), max(screen.offheight, height)
    try:
        renderer = mujoco.Renderer(model, height, width)
    except Exception as error:  # MuJoCo raises a different type for each backend and failure
        raise gl_error(error) from error
    # Exit handlers run last in, first out: after the first renderer, so that ours runs before MuJoCo ends the display.
    _close_at_exit()
    _open.add(renderer)
    return renderer


@cache
def _close_at_exit() -> None:
    atexit.register(lambda: [renderer.close() for renderer in list(_open)])
