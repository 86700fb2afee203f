"""The ratio to clean and its interval."""

import numpy as np
import pytest

from jepa_ros.evaluation.shifts.ratio import ratio_interval, success_ratio


def test_it_holds_the_ratio_and_narrows_with_episodes():
    widths = []
    for count in (5, 20, 100):
        clean, shifted = np.ones(count), np.arange(count) % 5 > 0
        low, high = ratio_interval(clean, shifted)
        assert success_ratio(clean, shifted) == pytest.approx(0.8) and low < 0.8 < high
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("count", [5, 20, 100])
def test_it_has_a_width_where_all_succeed_and_where_none_does(count):
    low, high = ratio_interval(np.ones(count), np.ones(count))
    assert low < 1 < high
    low, high = ratio_interval(np.ones(count), np.zeros(count))
    assert low == 0 < high < 1.2


def test_pairing_helps_where_the_same_episodes_fail():
    clean = np.arange(40) % 2
    paired, unpaired = ratio_interval(clean, clean), ratio_interval(clean, 1 - clean)
    assert np.diff(paired) < 0.6 * np.diff(unpaired)


def test_there_is_no_ratio_to_nothing():
    assert success_ratio([0, 0], [1, 0]) is None and ratio_interval([0, 0], [1, 0]) is None


def test_what_is_no_pair_is_refused():
    with pytest.raises(ValueError, match="pairs"):
        ratio_interval([1, 0], [1])


def test_it_covers_the_truth_as_often_as_it_says():
    """20 episodes: clean succeeds with 0.9; shifted with 0.7 where clean did, 0.2 where not."""
    rng, covered, trials = np.random.default_rng(1), 0, 400
    truth = (0.9 * 0.7 + 0.1 * 0.2) / 0.9
    for seed in range(trials):
        clean = rng.random(20) < 0.9
        shifted = rng.random(20) < np.where(clean, 0.7, 0.2)
        low, high = ratio_interval(clean, shifted, seed)
        covered += low <= truth <= high
    assert 0.92 <= covered / trials <= 0.99
