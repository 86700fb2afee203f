"""The picture of an episode."""

import numpy as np
from PIL import Image

from jepa_ros.evaluation.filmstrip import BACKGROUND, GOAL, PANEL, Panel, along_the_way, compose, write_png

RED, BLUE = (200, 10, 10), (10, 10, 200)


def flat(colour, height=64, width=64):
    return np.full((height, width, 3), colour, np.uint8)


def test_panels_stand_side_by_side_in_order():
    one = compose([Panel(flat(RED), "start")], "reach")
    two = compose([Panel(flat(RED), "start"), Panel(flat(BLUE), "goal", frame=GOAL)], "reach")
    assert two.dtype == np.uint8 and two.shape[0] == one.shape[0] and two.shape[1] > one.shape[1] + PANEL
    middle = two[two.shape[0] // 2]
    red, blue = (np.flatnonzero((middle == c).all(axis=1)) for c in (RED, BLUE))
    assert len(red) > 0.9 * PANEL and len(blue) > 0.9 * PANEL and red.max() < blue.min()
    assert tuple(two[0, 0]) == BACKGROUND


def test_a_wide_picture_is_cropped_to_its_centre_not_squeezed():
    wide = flat(RED, 100, 300)
    wide[:, 100:200] = BLUE
    picture = compose([Panel(wide, "goal")], "")
    assert (picture == BLUE).all(axis=2).any() and not (picture == RED).all(axis=2).any()


def test_frames_are_spread_over_the_way_travelled_not_over_time():
    still_then_moving = np.concatenate([np.zeros(80), np.linspace(0, 1, 21)])[:, None]
    assert along_the_way(still_then_moving, 3) == [85, 90, 95]


def test_no_motion_gives_no_frames_between():
    assert along_the_way(np.zeros((1, 6)), 3) == []
    assert along_the_way(np.zeros((5, 6)), 3) == []


def test_png_is_written_as_composed(tmp_path):
    picture = compose([Panel(flat(RED), "start", "20 cm away")], "reach, seed 7", "goal reached")
    write_png(tmp_path / "strip.png", picture)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "strip.png")), picture)
