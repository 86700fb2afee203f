"""What the doctor says of two pictures, without ROS: figures, words, and the picture that it draws."""

import math

import numpy as np
import pytest

from jepa_ros.nodes.bringup.files import find_checkpoint
from jepa_ros.nodes.bringup.graph import Graph
from jepa_ros.nodes.doctor.expected import expect
from jepa_ros.nodes.doctor.finding import Level
from jepa_ros.nodes.doctor.look import look
from jepa_ros.nodes.doctor.view import View, compare, find_shift, similarity
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task
from jepa_ros.world_model.checkpoint import load_checkpoint

SEEDS = range(4)


@pytest.fixture(scope="module")
def checkpoint():
    return load_checkpoint(find_checkpoint("reach"))


@pytest.fixture(scope="module")
def seen():
    """(disturbance, seed) -> image of the simulated camera."""
    images = {}
    with Simulator("reach") as simulator:
        for kind in ("none", "camera_moved", "hand", "lens_covered"):
            for seed in SEEDS:
                simulator.reset(make_task("reach").episode(seed)[0])
                simulator.disturb(kind)
                simulator.advance(0.5)
                images[kind, seed] = simulator.render()
    return images


@pytest.mark.parametrize("seed", SEEDS)
def test_an_undisturbed_view_has_no_differences_and_a_disturbed_one_is_less_similar(checkpoint, seen, seed):
    view = compare(seen["none", seed], checkpoint.reference_view)
    assert view.differences() == [] and view.shift == (0.0, 0.0)
    for kind in ("camera_moved", "hand", "lens_covered"):
        disturbed = compare(seen[kind, seed], checkpoint.reference_view)
        assert disturbed.similarity < view.similarity - 0.03 and disturbed.differences(), kind


@pytest.mark.parametrize(
    "kind, level, words",
    [
        ("camera_moved", Level.WARN, "the picture has moved"),
        ("hand", Level.WARN, "something else is in view"),
        ("lens_covered", Level.ERROR, "nothing to be seen"),
    ],
)
def test_it_says_what_looks_different(checkpoint, seen, kind, level, words):
    for seed in SEEDS:
        worst = compare(seen[kind, seed], checkpoint.reference_view).differences()[0]
        assert worst.level == level and worst.words.startswith(words) and worst.do


def test_the_camera_that_turned_right_shows_the_arm_left(checkpoint, seen):
    for seed in SEEDS:
        right, down = compare(seen["camera_moved", seed], checkpoint.reference_view).shift
        assert -0.2 <= right < -0.1 and 0 < down < 0.1


def test_light_and_turned_pictures_are_named(checkpoint, seen):
    image, reference = seen["none", 0], checkpoint.reference_view

    def words(live):
        return compare(live, reference).differences()[0].words

    assert "darker by" in words((image * 0.5).astype(np.uint8))
    assert "brighter by" in words(np.clip(image.astype(int) + 60, 0, 255).astype(np.uint8))
    assert words(reference[:, ::-1]) == "the picture is mirrored"
    assert words(reference[::-1, ::-1]) == "the picture is upside down"
    assert words(image[..., ::-1]) == "the picture is red-blue swapped"


@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_a_shift_is_found_in_shares_of_the_sides(size):
    picture = np.random.default_rng(0).integers(0, 255, (size[0] + 40, size[1] + 40, 3), dtype=np.uint8)
    picture = np.repeat(np.repeat(picture[::8, ::8], 8, 0), 8, 1)
    there = picture[: size[0], : size[1]]
    here = picture[4 : 4 + size[0], 8 : 8 + size[1]]
    assert find_shift(here, there) == pytest.approx((-8 / size[1], -4 / size[0]), abs=0.02)
    assert find_shift(there, there) == (0.0, 0.0) and similarity(there, there) == pytest.approx(1.0)


def test_alarms_over_many_poses_are_right(checkpoint):
    want, flagged = expect(Graph(simulator=False)), {}
    with Simulator("reach") as simulator:
        for kind in ("none", "camera_moved", "hand", "lens_covered"):
            flagged[kind] = 0
            for seed in range(30):
                simulator.reset(make_task("reach").episode(seed)[0])
                simulator.disturb(kind)
                simulator.advance(0.5)
                view = look(checkpoint, simulator.render(), simulator.joint_positions, want)
                flagged[kind] += bool(view.differences())
    assert flagged.pop("none") <= 1 and flagged.pop("camera_moved") >= 29 and set(flagged.values()) == {30}


def test_unfamiliar_latents_and_joints_elsewhere_are_told_where_limits_are_known():
    same = View(0.9, (0.0, 0.0), 0.0, 1.0, 0.05, "")
    assert same.differences() == [] and math.isnan(same.limit)
    strange = View(0.9, (0.0, 0.0), 0.0, 1.0, 0.05, "", 3.0, 2.6, 0.4, 0.2).differences()
    assert [d.level for d in strange] == [Level.ERROR, Level.WARN]
    assert "does not know such a view" in strange[0].words and "0.40 rad off joint_states" in strange[1].words
