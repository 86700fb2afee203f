"""Random scenes for training: each its own look, none of evaluation's colours, no change of physics."""

from functools import partial

import numpy as np
import pytest

from jepa_ros.errors import JepaError
from jepa_ros.simulation.held_out import HELD_OUT_SEEDS, is_held_out
from jepa_ros.simulation.random_scene import randomise_scene
from jepa_ros.simulation.scene import build_model
from jepa_ros.simulation.simulator import Simulator


def look(seed: int, scene: int):
    return partial(randomise_scene, seed=seed, scene=scene)


@pytest.fixture(scope="module")
def simulator():
    with Simulator("push") as simulator:
        yield simulator


def test_seed_and_scene_decide_the_look(simulator):
    def picture(seed, scene):
        with simulator.dressed(look(seed, scene)) as eye:
            eye.set_state(simulator.get_state())
            return eye.render().astype(int)

    first = picture(0, 1)
    np.testing.assert_array_equal(first, picture(0, 1))
    for other in (picture(0, 2), picture(1, 1), simulator.render().astype(int)):
        assert np.abs(first - other).mean() > 3


def test_physics_is_that_of_the_standard_scene(simulator):
    with simulator.dressed(look(3, 1)) as eye:
        eye.set_state(simulator.get_state())
        for sim in (simulator, eye):
            sim.set_target(sim.target + 0.1)
            sim.advance(0.5)
        np.testing.assert_array_equal(simulator.get_state()["physics"], eye.get_state()["physics"])


@pytest.mark.parametrize("task", ["reach", "push"])
def test_drawn_colours_are_none_of_the_evaluation(task):
    """Objects that stand about, links of the arm, the table and the cube, and texels of every pattern."""
    colours = []
    for seed in range(20):
        model = build_model(task, edit=look(seed, 1))
        colours += [*model.geom_rgba[:, :3], *np.unique(model.tex_data.reshape(-1, 3)[::97] / 255, axis=0)]
    assert len(colours) > 500 and np.ptp(colours, axis=0).min() > 0.5
    assert not any(is_held_out(colour) for colour in colours)


def test_seeds_of_the_evaluation_are_refused():
    with pytest.raises(JepaError, match="train with a seed outside"):
        build_model(edit=look(HELD_OUT_SEEDS.start, 1))
