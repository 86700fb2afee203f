"""tf to end-effector positions, against an arm whose kinematics are known."""

import numpy as np
import pytest

from jepa_ros.data.transforms import end_effector
from jepa_ros.errors import JepaError

SECOND = 10**9
NO_TURN = (0.0, 0.0, 0.0, 1.0)
TIMES = np.arange(20) * SECOND // 20 + 5 * SECOND


def about_z(angle, sign=1.0):
    return (0.0, 0.0, sign * np.sin(angle / 2), sign * np.cos(angle / 2))


def angles(times):
    return np.sin((times - 5 * SECOND) * 1e-9 * 2), np.cos((times - 5 * SECOND) * 1e-9 * 3)


def planar_arm(times, sign=1.0):
    """A shoulder 0.1 m above base and two links of 0.3 m and 0.2 m; as robot_state_publisher publishes it."""
    yield 0, "base", "shoulder_mount", (0.0, 0.0, 0.1), NO_TURN, True
    yield 0, "forearm", "gripper", (0.2, 0.0, 0.0), NO_TURN, True
    for t, a, b in zip(times.tolist(), *angles(times), strict=True):
        yield t, "shoulder_mount", "upper_arm", (0.0, 0.0, 0.0), about_z(a), False
        yield t, "upper_arm", "forearm", (0.3, 0.0, 0.0), about_z(b, sign), False


def gripper(times):
    a, b = angles(times)
    return np.stack(
        [
            0.3 * np.cos(a) + 0.2 * np.cos(a + b),
            0.3 * np.sin(a) + 0.2 * np.sin(a + b),
            np.full(len(a), 0.1),
        ],
        axis=1,
    )


def test_the_chain_is_followed_from_base_to_tip():
    stamps, positions = end_effector(planar_arm(TIMES), "base", "gripper")
    assert stamps.dtype == np.int64 and np.array_equal(stamps, TIMES)
    assert np.allclose(positions, gripper(TIMES), atol=1e-12)


def test_a_base_beside_the_chain_is_reached_through_the_frame_they_share():
    table = (0, "base", "table", (1.0, 0.0, 0.0), about_z(np.pi / 2), True)
    _, positions = end_effector([table, *planar_arm(TIMES)], "table", "gripper")
    x, y, z = gripper(TIMES).T
    assert np.allclose(positions, np.stack([y, 1 - x, z], axis=1), atol=1e-12)


@pytest.mark.parametrize("sign", [1, -1], ids=["", "a quaternion and its negative are one rotation"])
def test_links_with_stamps_of_their_own_are_interpolated(sign):
    fast = np.arange(200) * SECOND // 200 + 5 * SECOND
    parts = [list(planar_arm(fast[i : i + 1], sign ** (i // 4))) for i in range(200)]
    mixed = [t for i, part in enumerate(parts) for t in (*part[:2], part[2 + i // 2 % 2])]
    stamps, positions = end_effector(mixed, "base", "gripper")
    assert np.array_equal(stamps, fast[2:198])
    assert np.abs(positions - gripper(stamps)).max() < 1e-3


def test_slashes_before_frames_do_not_matter():
    slashed = [(t, "/" + parent, "/" + child, *rest) for t, parent, child, *rest in planar_arm(TIMES)]
    assert np.allclose(end_effector(slashed, "base", "/gripper")[1], gripper(TIMES))


def test_a_static_chain_is_one_position():
    stamps, positions = end_effector(
        [(0, "base", "camera", (1.0, 2.0, 3.0), NO_TURN, True)], "base", "camera"
    )
    assert stamps.shape == (1,) and positions.tolist() == [[1.0, 2.0, 3.0]]


def test_where_the_clock_went_back_what_came_later_counts():
    before = list(planar_arm(TIMES + SECOND // 2))
    stamps, positions = end_effector([*before, *planar_arm(TIMES)], "base", "gripper")
    assert np.array_equal(stamps, TIMES)
    assert np.allclose(positions, gripper(TIMES))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_transforms_that_are_not_numbers_are_left_out(value):
    bad = (int(TIMES[3]) + 1, "shoulder_mount", "upper_arm", (0.0, 0.0, 0.0), (value, 0.0, 0.0, 1.0), False)
    assert np.allclose(end_effector([*planar_arm(TIMES), bad], "base", "gripper")[1], gripper(TIMES))


@pytest.mark.parametrize("base, tip", [("base", "tool0"), ("world", "gripper"), ("elsewhere", "gripper")])
def test_frames_that_are_not_connected_are_named_with_those_there_are(base, tip):
    other = (0, "world", "elsewhere", (0.0, 0.0, 0.0), NO_TURN, True)
    with pytest.raises(
        JepaError, match=f"from '{base}' to '{tip}'.*base -> shoulder_mount.*forearm -> gripper"
    ):
        end_effector([*planar_arm(TIMES), other], base, tip)


def test_nothing_recorded_is_said():
    with pytest.raises(JepaError, match="frames there are: none.*record /tf"):
        end_effector([], "base", "gripper")


def test_frames_in_a_circle_end():
    circle = [(0, "a", "b", (0.0,) * 3, NO_TURN, True), (0, "b", "a", (0.0,) * 3, NO_TURN, True)]
    with pytest.raises(JepaError, match="a -> b, b -> a"):
        end_effector(circle, "base", "a")


def test_links_of_different_clocks_are_said():
    early = [t for t in planar_arm(TIMES) if t[2] != "forearm"]
    late = [t for t in planar_arm(TIMES + 100 * SECOND) if t[2] == "forearm"]
    with pytest.raises(JepaError, match="never knows 'gripper' and 'base' at the same time"):
        end_effector([*early, *late], "base", "gripper")
