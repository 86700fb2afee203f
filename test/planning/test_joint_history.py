"""Joint positions at an image's moment."""

import numpy as np
import pytest

from jepa_ros.errors import JepaError
from jepa_ros.planning.joint_history import JointHistory

SECOND = 1_000_000_000


@pytest.fixture
def history():
    history = JointHistory(("a", "b"), tolerance_s=0.1)
    for i in range(5):
        history.add(i * SECOND // 10, ["x", "b", "a"], [9.0, 10.0 * i, float(i)])
    return history


def test_interpolates_in_the_order_of_names(history):
    np.testing.assert_allclose(history.at(SECOND // 4), [2.5, 25.0])
    np.testing.assert_allclose(history.at(SECOND // 5), [2.0, 20.0])


def test_nearest_at_the_end_and_none_beyond_the_tolerance(history):
    np.testing.assert_allclose(history.at(int(0.45 * SECOND)), [4.0, 40.0])
    assert history.at(int(0.51 * SECOND)) is None
    assert JointHistory(("a",), 0.1).at(0) is None


def test_no_interpolation_across_a_clock_set_back(history):
    history.add(0, ["a", "b"], [7.0, 8.0])
    np.testing.assert_allclose(history.at(SECOND // 20), [7.0, 8.0])
    assert history.at(SECOND // 4) is None


@pytest.mark.parametrize(
    "names, positions, says",
    [(["a"], [1.0], "lacks b"), (["a", "b"], [1.0], "lacks b"), (["a", "b"], [1.0, float("nan")], "NaN")],
)
def test_unusable_sample_is_refused(history, names, positions, says):
    with pytest.raises(JepaError, match=says):
        history.add(SECOND, names, positions)
