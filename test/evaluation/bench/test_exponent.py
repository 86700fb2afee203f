"""How a time grows with a size is found again in times that grow so."""

import numpy as np
import pytest

from jepa_ros.evaluation.bench.exponent import fit

SIZES = (16, 32, 64, 128, 256)


def rounds(exponent, noise=0.0, count=20, seed=1):
    """(count, sizes) ms, with a factor per round that hits all sizes alike, and noise of every call."""
    rng = np.random.default_rng(seed)
    slow = np.exp(rng.normal(0, 1.0, (count, 1)))
    return slow * np.array(SIZES) ** exponent * np.exp(rng.normal(0, noise, (count, len(SIZES))))


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 1.7])
def test_a_power_law_is_found_whatever_slows_whole_rounds(exponent):
    growth = fit(SIZES, rounds(exponent))
    assert growth.exponent == pytest.approx(exponent, abs=1e-9)
    assert growth.low == pytest.approx(exponent, abs=1e-6) == growth.high
    assert growth.steepest == pytest.approx(exponent, abs=1e-9)


@pytest.mark.parametrize("exponent, said", [(0.8, True), (1.3, False)])
def test_noise_widens_the_interval_and_clear_growth_is_still_told(exponent, said):
    growth = fit(SIZES, rounds(exponent, noise=0.1))
    assert growth.low < growth.exponent < growth.high
    assert growth.low < exponent < growth.high
    assert growth.no_faster_than_linear is said


def test_what_cannot_be_told_is_not_told():
    assert fit(SIZES, rounds(1.0, noise=0.4, count=5)).no_faster_than_linear is None


def test_a_step_between_neighbours_shows_beside_a_gentle_exponent():
    times = np.tile([1.0, 16.0, 16.0, 16.0, 16.0], (20, 1))
    growth = fit(SIZES, times)
    assert growth.steepest == pytest.approx(4.0) and growth.exponent < 1


def test_a_constant_does_not_hide_faster_growth():
    sizes = np.array([16, 32, 64, 128, 256, 512, 1024])
    times = np.tile(4 + 0.01 * sizes**1.4, (20, 1))
    assert fit(sizes, times).no_faster_than_linear is False
    assert fit(sizes, np.tile(4.0 + 0.1 * sizes, (20, 1))).no_faster_than_linear is True


def test_few_rounds_decide_nothing():
    assert fit(SIZES, rounds(0.5, count=7)).no_faster_than_linear is None


@pytest.mark.parametrize(
    "sizes, times", [((1,), np.ones((3, 1))), ((1, 2), np.ones((3, 3))), ((2, 1), np.ones((3, 2)))]
)
def test_what_is_no_growth_is_refused(sizes, times):
    with pytest.raises(ValueError, match="no growth"):
        fit(sizes, times)
