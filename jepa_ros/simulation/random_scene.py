"""Scenes for training that look like no other: domain randomisation (Tobin et al., arXiv 1703.06907).

Every way of looking different is drawn by itself, from none at all up to somewhat beyond the suite's medium visual shifts;
seeds and hues are those that evaluation leaves to training (held_out.py).
"""

from functools import partial

import numpy as np

from jepa_ros.simulation.edits import camera, colours, distractors, light
from jepa_ros.simulation.held_out import require_training_seed, training_mix
from jepa_ros.simulation.scene import CUBE

_STREAM = 4
"""Keys these draws apart from episodes (1), recording (2) and evaluation's shifts (3)."""
_SHARE = 0.6
"""Of scenes that have a given change."""
_CUBE_COLOUR = partial(colours.cube_colour, mix=training_mix)
_MOST = (
    (light.light_level, 1.0),
    (light.light_direction, 140),
    (camera.camera_pan, 2.5),
    (camera.camera_tilt, 2.5),
    (camera.camera_shift, 2.5),
    (camera.camera_fov, 10.0),
    (partial(colours.table_colour, mix=training_mix), 1.0),
    (partial(colours.background_texture, mix=training_mix), 0.7),
    (partial(colours.arm_colour, mix=training_mix), 0.8),
    (_CUBE_COLOUR, 1.0),
    (partial(distractors.distractors, mix=training_mix), 12),
)
"""Each change with its greatest amount, in the order in which they are drawn: another one gives other scenes."""


def randomise_scene(spec, seed: int, scene: int) -> None:
    """Changes the look of a mujoco.MjSpec. seed: of the episode, none of evaluation's; scene: which of its scenes."""
    rng = np.random.default_rng((_STREAM, require_training_seed(seed), scene))
    for change, most in _MOST:
        if rng.random() < _SHARE and (change is not _CUBE_COLOUR or spec.geom(CUBE) is not None):
            change(spec, rng, rng.uniform(0, most))
