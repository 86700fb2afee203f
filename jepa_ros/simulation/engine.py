"""The one place that imports MuJoCo, with headless rendering; a missing OpenGL becomes a JepaError.

Set MUJOCO_GL before the first import to choose another way than EGL ("glfw", "osmesa").
"""

import os
import sys

from jepa_ros.errors import JepaError

GL_HELP = (
    "MuJoCo cannot render here (MUJOCO_GL={gl}): {reason}\n"
    "Install OpenGL for headless rendering: sudo apt-get install libegl1 libgl1-mesa-dri; then set "
    "MUJOCO_GL=egl before Python starts."
)

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


def gl_context(width: int, height: int):
    """An OpenGL context of the backend in MUJOCO_GL, also where MuJoCo was imported earlier without it."""
    if os.environ.get("MUJOCO_GL", "").lower() == "egl":
        from mujoco.egl import GLContext

        return GLContext(width, height)
    return mujoco.GLContext(width, height)
