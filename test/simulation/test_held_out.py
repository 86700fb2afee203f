"""Held-out seeds and hues: evaluation and training never draw the same."""

import numpy as np
import pytest

from jepa_ros.errors import JepaError
from jepa_ros.simulation.held_out import (
    HELD_OUT_SEEDS,
    held_out_colour,
    held_out_seed,
    is_held_out,
    require_training_seed,
    training_colour,
)
from jepa_ros.simulation.scene import LINK_COLOURS, VisualSettings


def test_colours_of_evaluation_and_training_are_apart():
    rng = np.random.default_rng(0)
    assert all(is_held_out(held_out_colour(rng)) for _ in range(2000))
    assert not any(is_held_out(training_colour(rng)) for _ in range(2000))


def test_training_reaches_every_hue_that_it_may():
    rng = np.random.default_rng(0)
    brightest = {int(np.argmax(training_colour(rng))) for _ in range(200)}
    assert brightest == {0, 1, 2}


def test_the_standard_scene_has_no_held_out_colour():
    shown = [*LINK_COLOURS.values(), VisualSettings().table, VisualSettings().cube]
    assert not any(is_held_out(colour) for colour in shown)


def test_grey_is_for_everyone():
    assert not is_held_out((0.5, 0.52, 0.5))


@pytest.mark.parametrize("episode", [0, 1000, len(HELD_OUT_SEEDS), 10**12])
def test_every_episode_has_a_held_out_seed(episode):
    assert held_out_seed(episode) in HELD_OUT_SEEDS


def test_training_with_a_held_out_seed_is_refused():
    assert require_training_seed(7) == 7 and require_training_seed(HELD_OUT_SEEDS.stop) == HELD_OUT_SEEDS.stop
    for seed in (HELD_OUT_SEEDS.start, HELD_OUT_SEEDS.stop - 1):
        with pytest.raises(JepaError, match="train with a seed outside"):
            require_training_seed(seed)
