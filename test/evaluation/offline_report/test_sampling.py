"""Numbers made fewer, and made words."""

import numpy as np
import pytest

from jepa_ros.evaluation.offline_report import words
from jepa_ros.evaluation.offline_report.sampling import (
    every,
    finite,
    floats,
    histogram,
    peaks,
    quantiles_along,
)


def test_none_is_a_gap():
    np.testing.assert_array_equal(floats([1, None, 3]), [1, np.nan, 3])
    np.testing.assert_array_equal(finite([1, None, 3]), [1, 3])
    assert floats(None).shape == (0,)


def test_peaks_keep_the_highest_and_the_lowest():
    values = np.random.default_rng(0).standard_normal(10_000)
    values[1234], values[8765] = 40, -40
    kept = peaks(values, 200)
    assert len(kept) <= 200 and {1234, 8765} <= set(kept) and (np.diff(kept) > 0).all()
    assert list(peaks(values[:200], 200)) == list(range(200))
    values[:5000] = np.nan
    assert len(peaks(values, 200)) and np.isfinite(values[peaks(values, 200)]).all()


def test_every_spreads_evenly():
    assert list(every(3, 10)) == [0, 1, 2] and list(every(0, 10)) == []
    assert list(every(101, 3)) == [0, 50, 100]


def test_histogram_counts_all_values():
    edges, shares = histogram(np.array([-2, 0.1, 0.1, 0.9, np.nan]), 0, 1, 2)
    np.testing.assert_allclose(edges, [0, 0.5, 1])
    np.testing.assert_allclose(shares, [0.75, 0.25])


def test_quantiles_follow_the_curves_as_far_as_a_quarter_of_them_goes():
    curves = [(np.arange(n)[::-1] * 1.0, np.arange(n)[::-1] * 2.0) for n in (11, 11, 11, 101)]
    grid, (low, high) = quantiles_along(curves, (0.1, 0.9))
    assert grid[0] == 0 and grid[-1] == 10
    np.testing.assert_allclose(low, 2 * grid)
    np.testing.assert_allclose(high, 2 * grid)


@pytest.mark.parametrize(
    "value, text",
    [(0.03123, "0.0312"), (0.99951, "1.00"), (12.34, "12.3"), (4210.4, "4,210"), (3.14e-6, "3.14e-06"),
     (0, "0"), (-0.5, "-0.500"), (None, "–"), (float("nan"), "–")],
)  # fmt: skip
def test_numbers_keep_three_digits(value, text):
    assert words.number(value) == text


@pytest.mark.parametrize(
    "value, text", [(4.21, "4.2 s"), (48, "48 s"), (200, "3 min 20 s"), (3900, "1 h 05 min")]
)
def test_durations_read_like_speech(value, text):
    assert words.duration(value) == text


def test_shares_signs_and_dates():
    assert (
        words.percent(0.62) == "62\u00a0%"
        and words.percent(0.031) == "3.1\u00a0%"
        and words.percent(0) == "0\u00a0%"
    )
    assert words.percent(-0.9) == "−90\u00a0%" and words.percent(0.0999) == "10\u00a0%"
    assert words.signed(0.05) == "+0.0500" and words.signed(-0.05) == "−0.0500" and words.signed(0) == "0"
    assert words.interval([-0.1, 0.2]) == "−0.100 to 0.200" and words.interval(None) == "–"
    assert (
        words.date("2026-11-21T04:42:00+00:00") == "21 November 2026, 04:42 UTC"
        and words.date("soon") == "soon"
    )


def test_long_names_lose_their_middle():
    assert words.shorten("rosbag2_2026_11_21-04_42_00_kitchen", 17) == "rosbag2_…_kitchen"
    assert words.shorten("short", 17) == "short"
