"""Wilson intervals against published values; percentiles that skip what was not measured."""

import math

import pytest

from jepa_ros.evaluation.statistics import mcnemar_p, percentile, wilson_interval


@pytest.mark.parametrize(
    "successes, trials, low, high",
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe (1998), Statistics in Medicine 17, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),  # the mirror image of 0 of 29: 0.0000 to 0.1170
        (90, 100, 0.8256, 0.9448),
    ],
)
def test_wilson_interval_matches_published_values(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=6e-5)


def test_wilson_interval_knows_nothing_without_trials():
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_wilson_interval_refuses_more_successes_than_trials():
    with pytest.raises(ValueError):
        wilson_interval(3, 2)


@pytest.mark.parametrize(
    "only_first, only_second, p",
    [
        # Agresti (1990), Categorical Data Analysis, approval ratings; by the exact test
        (86, 150, 3.716e-05),
        (2, 16, 0.001312),
        (6, 1, 0.125),
        (5, 5, 1.0),
        (0, 0, 1.0),
    ],
)
def test_mcnemar_is_the_exact_binomial_test_of_the_uneven_pairs(only_first, only_second, p):
    assert mcnemar_p(only_first, only_second) == pytest.approx(p, rel=1e-3)
    assert mcnemar_p(only_second, only_first) == mcnemar_p(only_first, only_second)


def test_mcnemar_refuses_counts_below_zero():
    with pytest.raises(ValueError):
        mcnemar_p(-1, 3)


def test_percentile_skips_what_was_not_measured():
    assert percentile([1.0, None, math.nan, 3.0], 50) == 2.0
    assert percentile([], 50) is None
