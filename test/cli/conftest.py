"""A few recorded episodes of a robot with two joints."""

import numpy as np
import pytest

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.episode_bag import EpisodeBag

SPEC = ActionSpec(("x", "y"), (-0.1,) * 2, (0.1,) * 2, (-1.0,) * 2, (1.0,) * 2, block=2)
CAMERA = {"width": 16, "height": 16, "k": np.eye(3)}


@pytest.fixture(scope="session")
def spec():
    return SPEC


@pytest.fixture(scope="session")
def bags(tmp_path_factory):
    """Ten episodes of 24 frames."""
    folder = tmp_path_factory.mktemp("bags")
    for index in range(10):
        rng = np.random.default_rng(index)
        targets = np.cumsum(rng.uniform(-0.05, 0.05, (24, 2)), 0)
        before = targets[0]
        with EpisodeBag(folder / f"episode_{index}", SPEC, CAMERA) as bag:
            for frame, target in enumerate(targets):
                bag.command(frame / 10, target)
                image = np.full((16, 16, 3), 128 + 100 * before[0], np.uint8)
                bag.observe(frame / 10, image, before, np.zeros(2))
                before = target
    return folder
