"""Sub-goals on a line or in a plane, whose latents are places: advanced, overtaken, lost, and never for ever."""

import numpy as np
import pytest

from jepa_ros.errors import JepaError
from jepa_ros.planning.sub_goals import SubGoals, SubGoalSettings

TOLERANCE = 0.1


def line(*places, **settings):
    """Sub-goals at these places of a line, the goal last."""
    return SubGoals(np.array(places, float)[:, None], TOLERANCE, SubGoalSettings(**settings))


def walk(sub_goals, *places):
    """What is pursued after each look from these places."""
    found = []
    for place in places:
        before = sub_goals.index
        changed = sub_goals.see(np.atleast_1d(np.asarray(place, float)))
        assert changed == (sub_goals.index != before)
        found.append(sub_goals.index)
    return found


def test_without_sub_goals_the_goal_is_pursued_from_the_first_look():
    alone = line(1.0)
    assert alone.at_goal and alone.count == 0
    assert walk(alone, 0.0, 5.0, -5.0, 1.0) == [0] * 4 and (alone.fallbacks, alone.lost) == (0, "")


def test_they_are_pursued_in_order_each_until_within_the_tolerance():
    sub_goals = line(1.0, 2.0, 3.0)
    assert walk(sub_goals, 0.0, 0.5, 0.89, 0.91, 1.4, 1.91, 2.5, 3.0) == [0, 0, 0, 1, 1, 2, 2, 2]
    assert sub_goals.at_goal and (sub_goals.count, sub_goals.advances, sub_goals.fallbacks) == (2, 2, 0)
    np.testing.assert_array_equal(sub_goals.latent, [3.0])


def test_one_that_is_overtaken_is_skipped():
    sub_goals = SubGoals(np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]]), TOLERANCE)
    assert walk(sub_goals, [0.0, 0.5], [1.4, 0.5], [1.6, 0.5], [2.6, 0.5]) == [0, 0, 1, 2]


def test_several_within_the_tolerance_of_one_look_are_passed_at_once():
    sub_goals = line(1.0, 1.05, 1.1, 5.0)
    assert walk(sub_goals, 0.0, 1.04) == [0, 3] and sub_goals.advances == 3


def test_a_way_that_turns_back_skips_nothing_though_it_begins_near_its_later_sub_goals():
    sub_goals = line(2.0, 0.2, 3.0)
    assert walk(sub_goals, 0.0, 0.01, -0.02, 0.4) == [0] * 4
    assert walk(sub_goals, 1.95, 1.0, 0.25) == [1, 1, 2]


def test_what_is_lost_sends_back_to_the_latest_earlier_one_that_is_nearer():
    sub_goals = line(1.0, 2.0, 3.0, 4.0)
    assert walk(sub_goals, 0.0, 1.0, 2.0, 3.0) == [0, 1, 2, 3]
    assert walk(sub_goals, 2.4) == [3]  # 1.6 away, one look alone
    assert (
        walk(sub_goals, 2.4) == [2] and sub_goals.fallbacks == 1
    )  # the one at 3 is the latest that is nearer
    assert walk(sub_goals, 2.3, 1.4, 1.4) == [2, 2, 1] and sub_goals.fallbacks == 2
    assert walk(sub_goals, 2.0, 3.0, 4.0) == [2, 3, 3] and (sub_goals.lost, sub_goals.advances) == ("", 5)


def test_one_strange_look_is_not_a_loss():
    sub_goals = line(1.0, 2.0)
    assert walk(sub_goals, 0.0, 1.0, -5.0, 1.0, -5.0, 1.5, 2.0) == [0] + 6 * [1]
    assert sub_goals.fallbacks == 0


def test_moving_off_by_less_than_the_factor_is_no_loss_and_neither_is_what_nothing_earlier_is_nearer_to():
    assert walk(line(1.0, 2.0), 0.0, 1.0, 0.6, 0.6, 0.6) == [0, 1, 1, 1, 1]
    assert walk(line(1.0, 2.0), 0.0, 1.0, 9.0, 9.0, 9.0) == [0, 1, 1, 1, 1]  # beyond the goal


def test_what_was_almost_there_at_first_is_measured_by_the_tolerance():
    assert walk(line(1.0, 1.11), 0.0, 1.0, 1.08, 0.975, 0.975, 0.9, 0.9) == [0, 1, 1, 1, 1, 1, 1]


def test_a_fallback_onto_the_very_sub_goal_takes_up_the_next_one_anew():
    settings = SubGoalSettings(lost_looks=1)
    sub_goals = SubGoals(np.array([[1.0, 0.0], [2.0, 0.0]]), TOLERANCE, settings)
    assert walk(sub_goals, [0.0, 0.3], [1.6, 0.3]) == [0, 1]
    assert walk(sub_goals, [1.0, 0.0]) == [1] and (sub_goals.fallbacks, sub_goals.advances) == (1, 2)
    assert walk(sub_goals, [0.9, 0.0], [0.6, 0.0], [2.0, 0.0]) == [1, 1, 1] and sub_goals.fallbacks == 1


@pytest.mark.parametrize("most", [0, 2])
def test_fallbacks_are_bounded_and_the_end_says_what_was_lost(most):
    sub_goals = line(1.0, 2.0, max_fallbacks=most)
    walk(sub_goals, 0.0)
    for n in range(most):
        assert walk(sub_goals, 1.0, 0.0, 0.0) == [1, 1, 0] and sub_goals.fallbacks == n + 1
    assert walk(sub_goals, 1.0, 0.0) == [1, 1] and not sub_goals.lost
    walk(sub_goals, 0.0)
    assert sub_goals.lost.startswith(
        f"the goal was lost again, 2.000 away (limit 1.500), after {most} fallbacks"
    )
    assert sub_goals.fallbacks == most and sub_goals.at_goal


@pytest.mark.parametrize("latents", [np.zeros(3), np.zeros((0, 3))])
def test_latents_of_another_shape_are_refused(latents):
    with pytest.raises(JepaError, match=r"\(M, D\)"):
        SubGoals(latents, TOLERANCE)


@pytest.mark.parametrize(
    "wrong", [{"looseness": 0.5}, {"lost_factor": float("nan")}, {"lost_looks": 0}, {"max_fallbacks": -1}]
)
def test_settings_out_of_their_bounds_are_refused(wrong):
    with pytest.raises(JepaError, match=next(iter(wrong))):
        SubGoalSettings(**wrong)
