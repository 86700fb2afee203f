"""Exits 0 where MuJoCo can render off screen with the back end of MUJOCO_GL, else prints why and exits 1."""

import os
import sys

os.environ.setdefault("MUJOCO_GL", "egl")
try:
    import mujoco

    model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
    renderer = mujoco.Renderer(model, 16, 16)
    renderer.update_scene(mujoco.MjData(model))
    renderer.render()
    renderer.close()
except Exception as error:  # whatever a missing graphics library raises: import, attribute or run-time errors
    print(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}", file=sys.stderr)
    sys.exit(1)
