"""The surprise gate, with known answers: what is strange, what follows from it, and what it compares with."""

import math

import numpy as np
import pytest

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.episode import ASKED, OFF_PLAN, PlanningEpisode
from jepa_ros.planning.memory import ShortTermMemory
from jepa_ros.planning.receding_horizon import Planner
from jepa_ros.planning.surprise import STILL, GateSettings, Level, SurpriseGate

D, A, K = 4, 2, 3
SPEC = ActionSpec(("a", "b"), (-0.1,) * A, (0.1,) * A, (-2.0,) * A, (2.0,) * A, block=K)
OK, REPLAN, SLOW, HOLD = Level
LIMIT, FAR, MOVE = 0.5, 0.6, 0.3


def latent(value):
    return np.full(D, float(value))


def make_gate(**settings):
    """Unfamiliarity is the largest number of a latent."""
    return SurpriseGate(GateSettings(LIMIT, 10.0, **settings), lambda z: float(z.max()))


class Looks:
    """Gives a gate looks of an arm that moves by MOVE between them."""

    def __init__(self, gate):
        self.gate, self.joints = gate, np.zeros(A)

    def __call__(self, seen, expected=None, moves=MOVE):
        self.joints = self.joints + moves
        return self.gate.judge(latent(seen), self.joints, None if expected is None else latent(expected))


def test_distance_is_the_root_mean_square_and_the_limit_itself_is_familiar():
    look = Looks(make_gate())
    assert look(1.25, 1.0).surprise == pytest.approx(0.25)
    at_limit = look(1.0 + LIMIT, 1.0)
    assert (at_limit.strange, at_limit.level, at_limit.text) == (False, OK, "")
    assert look(1.0 + FAR, 1.0).strange


def test_replans_then_slows_then_holds_with_words():
    look = Looks(make_gate(slow_factor=0.4, hold_after=4))
    found = [look(i + FAR, i) for i in range(5)]
    assert [j.level for j in found] == [REPLAN, SLOW, SLOW, HOLD, HOLD]
    assert [j.speed for j in found] == [1.0, 0.4, 0.4, 0.0, 0.0]
    assert all("0.60 from what was predicted" in j.text for j in found)


def test_once_in_doubt_a_look_must_come_closer_until_released():
    look = Looks(make_gate(doubt_factor=0.5, release_looks=1))
    assert not look(0.3, 0).strange
    assert "limit 0.50" in look(1 + FAR, 1).text
    doubted = look(2.3, 2)
    assert doubted.level == SLOW and "limit 0.25" in doubted.text
    assert look(3.2, 3).level == OK
    assert not look(4.3, 4).strange


def test_where_the_picture_changes_while_held_it_need_not_come_as_close():
    def after_holding(seen):
        look = Looks(make_gate(hold_after=1, doubt_factor=0.5, release_looks=1))
        assert look(FAR, 0).level == HOLD
        return look(*seen, moves=0)

    assert after_holding([-0.4, 0]).believed  # 1.0 away from what was strange
    assert after_holding([-FAR, 0]).strange
    assert after_holding([0.3, 0]).strange  # hardly changed


def test_one_doubtful_look_is_not_believed_the_second_in_a_row_is():
    look = Looks(make_gate(doubt_factor=0.5))
    found = [look(i + off, i) for i, off in enumerate([0.2, 0.3, 0.4, 0.3, 0.2, 0.3])]
    assert [j.believed for j in found] == [True, False, True, False, True, False]
    assert not any(j.strange for j in found) and {j.level for j in found} == {OK}


@pytest.mark.parametrize("hold_after, levels", [(1, [HOLD, HOLD]), (2, [REPLAN, HOLD])])
def test_holds_sooner_where_asked(hold_after, levels):
    look = Looks(make_gate(hold_after=hold_after))
    assert [look(i + FAR, i).level for i in range(2)] == levels


def test_only_familiar_looks_in_a_row_release():
    look = Looks(make_gate(hold_after=2, release_looks=3))
    strange = [True, True, False, False, True, False, False, False]
    found = [look(i + FAR * strange[i], i) for i in range(8)]
    assert [j.level for j in found] == [REPLAN] + [HOLD] * 6 + [OK]
    assert found[3].text == "familiar again, 2 of 3 looks" and found[-1].text == ""
    assert look(FAR, 0).level == REPLAN  # forgiven, not remembered


def test_nothing_expected_is_no_surprise_and_counts_neither_way():
    look = Looks(make_gate(hold_after=2, release_looks=1))
    first = look(3.0)
    assert math.isnan(first.surprise) and (first.strange, first.level) == (False, OK)
    look(1 + FAR, 1)
    assert look(2.0).level == REPLAN and look(2 + FAR, 2).level == HOLD
    assert look(3.0).level == HOLD and look(4.0, 4.0).level == OK


def test_unlike_the_training_data_is_strange_without_an_expectation_too():
    look = Looks(make_gate())
    found = look(10.5)
    assert found.strange and found.unfamiliarity == 10.5 and "10.5 from the training data" in found.text


def test_same_image_while_the_arm_moves_holds_at_once_until_the_image_changes():
    look = Looks(make_gate(release_looks=1))
    assert not look(1.0).frozen
    frozen = look(1.0, 1.0)
    assert (frozen.frozen, frozen.level) == (True, HOLD) and "has not changed" in frozen.text
    assert look(1.0, 1.0, moves=0).frozen  # the arm is held now, the image is as old as before
    assert look(1.001, 1.0, moves=0).level == OK


def test_darkness_does_not_change_and_is_told_as_what_it_is():
    look = Looks(make_gate())
    look(1.0)
    assert look(11.0, 2.0).level == REPLAN
    dark = look(11.0, 3.0)
    assert (dark.frozen, dark.level) == (False, HOLD) and "11.0 from the training data" in dark.text


@pytest.mark.parametrize("moves, frozen", [(0.9 * STILL, False), (1.1 * STILL, True)])
def test_an_arm_at_rest_may_look_the_same(moves, frozen):
    look = Looks(make_gate())
    look(1.0)
    assert look(1.0, 1.0, moves).frozen == frozen


def test_reset_forgets():
    gate = make_gate(hold_after=1)
    look = Looks(gate)
    assert look(FAR, 0).level == HOLD
    gate.reset()
    assert look(FAR).level == OK and gate.surprises == 0


# Where the arm is seen.

SEEN = 0.1
"""Of ``sighted``: joints are read from the picture this well."""


def sighted(**settings):
    """A gate that reads the first joint from a latent's last number."""
    limits = GateSettings(LIMIT, 10.0, **({"arm_limit": SEEN} | settings))
    return SurpriseGate(limits, lambda z: float(z.max()), "", lambda z, joints: abs(float(z[-1] - joints[0])))


def picture(scene, arm):
    return np.array([scene] * (D - 1) + [arm], float)


@pytest.mark.parametrize("arm, believed", [(0.09, True), (0.11, False)])
def test_a_surprising_picture_is_believed_where_the_arm_in_it_is_where_it_was_measured(arm, believed):
    found = sighted().judge(picture(1, arm), np.zeros(A), picture(0, 0))
    assert (found.believed, found.strange) == (believed, not believed)
    assert (found.level, found.speed) == (REPLAN, 1.0)
    assert ("the arm where it was measured" in found.text) == believed
    assert found.surprise > LIMIT


def test_a_scene_that_goes_on_surprising_holds_nothing():
    gate = sighted(hold_after=2)
    found = [gate.judge(picture(i % 2, 0), np.zeros(A), picture(1 - i % 2, 0)) for i in range(6)]
    assert {j.level for j in found} == {REPLAN} and gate.surprises == 0
    assert gate.judge(picture(0, 0), np.zeros(A), picture(0, 0)).level == OK


def test_held_a_changed_scene_with_the_arm_in_its_place_releases():
    gate = sighted(hold_after=1, release_looks=2)
    assert gate.judge(picture(1, 0.9), np.zeros(A), picture(0, 0)).level == HOLD  # something hides the arm
    found = [
        gate.judge(picture(1, 0), np.zeros(A), picture(0, 0)) for _ in range(2)
    ]  # gone, and a thing with it
    assert [j.level for j in found] == [HOLD, REPLAN] and all(j.believed for j in found)


def test_a_doubtful_look_with_the_arm_in_its_place_is_believed():
    gate = sighted(doubt_factor=0.5)
    assert gate.judge(picture(0.4, 0), np.zeros(A), picture(0, 0)).believed
    assert not gate.judge(picture(0.4, 0.2), np.zeros(A), picture(0, 0)).believed


def test_unfamiliar_or_frozen_is_strange_wherever_the_arm_is_seen():
    gate = sighted()
    assert gate.judge(picture(11, 0), np.zeros(A), picture(11, 0)).strange
    still = sighted(arm_limit=5.0)
    still.judge(picture(1, 0), np.zeros(A), None)
    frozen = still.judge(picture(1, 0), np.full(A, MOVE), picture(1, 0))
    assert (frozen.frozen, frozen.strange, frozen.level) == (True, True, HOLD)


def test_without_a_limit_no_picture_is_believed_for_the_arm_in_it():
    assert sighted(arm_limit=0.0).judge(picture(1, 0), np.zeros(A), picture(0, 0)).strange


class Readout:
    """Of a calibration: where the arm is seen."""

    quantiles = {"0.5": 0.4, "0.99": 0.9}

    def error(self, latents, joints):
        return np.abs(latents[:, -1] - joints[:, 0])


class Measured:
    """A calibration."""

    surprise_quantiles = {"0.99": 0.3, "0.999": 0.5}
    ood_quantiles = {"0.99": 2.0, "0.999": 3.0}
    joint_readout = None

    def ood_score(self, latents):
        return latents.max(axis=1)


def test_limits_and_unfamiliarity_come_from_the_calibration():
    gate = SurpriseGate.calibrated(
        Measured(), "model", quantile=0.99, margin=1.5, unfamiliarity_margin=2.0, hold_after=7
    )
    settings = gate.settings
    assert (settings.surprise_limit, settings.unfamiliarity_limit) == pytest.approx((0.45, 4.0))
    assert (settings.hold_after, gate.model_id) == (7, "model")
    assert gate.judge(latent(2.5), np.zeros(A), None).unfamiliarity == 2.5
    with pytest.raises(JepaError, match="choose one of 0.99, 0.999"):
        SurpriseGate.calibrated(Measured(), quantile=0.9)


def test_how_well_the_arm_must_be_seen_comes_from_the_calibration_too():
    class Seeing(Measured):
        joint_readout = Readout()

    gate = SurpriseGate.calibrated(Seeing(), arm_margin=2.0)
    assert gate.settings.arm_limit == 0.8
    assert gate.judge(picture(1.6, 0.7), np.zeros(A), picture(0, 0)).believed
    assert SurpriseGate.calibrated(Seeing(), arm_margin=0.0).settings.arm_limit == 0
    assert SurpriseGate.calibrated(Measured()).settings.arm_limit == 0


@pytest.mark.parametrize(
    "bad", [{"hold_after": 0}, {"release_looks": 0}, {"slow_factor": math.nan}, {"arm_limit": -1.0}]
)
def test_nonsense_is_refused(bad):
    with pytest.raises(JepaError, match=next(iter(bad))):
        make_gate(**bad)


# The episode: what a look is compared with.

BLOCK = np.full((K, A), 0.1, np.float32)


class Drive:
    """An episode with a gate that sees latents and joints as told, one block after the other."""

    def __init__(self, **settings):
        planner = Planner(SPEC, PlannerConfig(samples=16, iterations=1, horizon=2))
        self.episode = PlanningEpisode(planner, ShortTermMemory(SPEC, 2), make_gate(**settings))
        self.joints, self.stamp = np.zeros(A), 0.0

    def look(self, seen, moved=None):
        """moved: rad of every joint since the last look; None is what the block asks."""
        self.joints = self.joints + (BLOCK.sum(0) if moved is None else moved)
        self.stamp += 1
        return self.episode.look(latent(seen), self.joints, self.stamp)

    def execute(self, predicted, block=BLOCK):
        self.episode.execute(block, latent(predicted))


def test_a_look_is_compared_with_what_was_predicted_for_the_block_before():
    drive = Drive()
    assert math.isnan(drive.look(0).surprise)
    drive.execute(predicted=1)
    assert drive.look(1.2).surprise == pytest.approx(0.2)


def test_in_the_place_of_a_strange_look_what_was_expected_is_remembered():
    drive = Drive()
    drive.look(0)
    drive.execute(predicted=1)
    assert drive.look(5).strange
    assert drive.episode.context.latents[:, 0].tolist() == [0, 1]
    np.testing.assert_array_equal(drive.episode.context.actions[0], BLOCK.reshape(-1))
    drive.execute(predicted=2)
    assert not drive.look(2.1).strange
    assert drive.episode.context.latents[:, 0] == pytest.approx([1, 2.1])


def test_a_changed_scene_is_remembered_and_planned_from():
    drive = Drive()
    drive.episode.gate = sighted(arm_limit=10.0)
    drive.look(0)
    drive.execute(predicted=1)
    assert drive.look(5).believed
    assert drive.episode.context.latents[:, 0].tolist() == [0, 5]
    drive.execute(predicted=6)
    found = drive.look(6.1)
    assert (found.surprise, found.level) == (pytest.approx(0.1), OK)


def test_a_doubtful_look_is_not_remembered_either():
    drive = Drive(doubt_factor=0.5)
    drive.look(0)
    drive.execute(predicted=1)
    assert not drive.look(1.4).strange
    assert drive.episode.context.latents[:, 0].tolist() == [0, 1]
    drive.execute(predicted=2)
    drive.look(2.4)
    assert drive.episode.context.latents[:, 0] == pytest.approx([1, 2.4])


def test_strange_from_the_beginning_means_that_nothing_can_be_expected():
    drive = Drive()
    assert drive.look(11).strange  # far from the training data
    drive.execute(predicted=12)
    found = drive.look(2)
    assert math.isnan(found.surprise) and not found.strange
    assert drive.episode.context.real == 1 and drive.episode.context.latents[-1, 0] == 2
    drive.execute(predicted=3)
    assert drive.look(3.1).surprise == pytest.approx(0.1)


@pytest.mark.parametrize("moved", [0.0, 0.5 * STILL])
def test_where_the_arm_ignored_the_block_nothing_should_have_changed(moved):
    assert BLOCK.sum(0).max() >= ASKED
    drive = Drive()
    drive.look(0)
    drive.execute(predicted=3)
    found = drive.look(0.1, moved)
    assert found.surprise == pytest.approx(0.1) and drive.episode.ignored
    assert not drive.episode.context.actions.any()


@pytest.mark.parametrize("short_by, judged", [(0.9 * OFF_PLAN, True), (1.1 * OFF_PLAN, False)])
def test_a_block_stopped_halfway_predicts_nothing(short_by, judged):
    drive = Drive()
    drive.look(0)
    drive.execute(predicted=3)
    assert math.isfinite(drive.look(3, BLOCK.sum(0) - short_by).surprise) == judged


def test_held_the_last_belief_is_expected_until_it_is_seen_again():
    drive = Drive(hold_after=1, release_looks=2)
    drive.look(0)
    drive.execute(predicted=1)
    assert drive.look(5).level == HOLD
    for seen, strange, level in [(5, True, HOLD), (7, True, HOLD), (1.1, False, HOLD), (1.2, False, OK)]:
        assert not drive.episode.hold().any()
        found = drive.look(seen, moved=0.0)
        assert (found.strange, found.level) == (strange, level)


def test_after_a_frozen_image_the_first_new_one_is_the_ground():
    drive = Drive(release_looks=1)
    drive.look(0)
    drive.execute(predicted=0.4)
    assert not drive.look(0.1).strange  # frozen already, and believed
    drive.execute(predicted=0.8)
    assert drive.look(0.1).frozen
    drive.episode.hold()
    new = drive.look(1.5, moved=0.0)
    assert (math.isnan(new.surprise), new.level) == (True, HOLD)
    drive.episode.hold()
    assert drive.look(1.5, moved=0.0).level == OK


def test_a_look_without_a_block_before_it_compares_with_the_last_one():
    drive = Drive()
    drive.look(0)  # then no costs came, and no plan was sent
    assert drive.look(0.2, moved=0.0).surprise == pytest.approx(0.2)
    assert math.isnan(drive.look(0.2, moved=0.1).surprise)


def costs(actions):
    return -actions.sum((1, 2))


@pytest.mark.parametrize("seen, kept", [(1.0, True), (5.0, False)])
def test_from_a_strange_look_the_search_begins_anew(seen, kept):
    drive = Drive()
    drive.look(0)
    solution, actions = drive.episode.plan(costs, latent(9))
    drive.execute(predicted=1, block=actions[:K])
    assert drive.look(seen, actions[:K].sum(0)).strange != kept
    space, tried = drive.episode.planner.space, []
    drive.episode.plan(lambda actions: tried.append(actions) or costs(actions), latent(9))
    rest = space.decode(space.shift(solution.theta)[None])
    assert rest.any() and np.isclose(tried[0], rest).all((1, 2)).any() == kept


def test_slowed_plans_move_less():
    drive = Drive(slow_factor=0.25)
    for stamp, seen in enumerate([0, 5, 6]):
        drive.look(seen)
        drive.execute(predicted=stamp + 1)
    assert drive.episode.judgement.level == SLOW
    solution, slowed = drive.episode.plan(costs, latent(9))
    np.testing.assert_allclose(slowed, 0.25 * solution.actions.reshape(-1, A), rtol=1e-6)
    assert slowed.any() and slowed.dtype == np.float32


def test_without_a_gate_everything_passes():
    planner = Planner(SPEC, PlannerConfig(samples=16, iterations=1))
    episode = PlanningEpisode(planner, ShortTermMemory(SPEC, 2))
    for stamp in range(4):
        found = episode.look(latent(1e6 * stamp), np.full(A, 0.3 * stamp), float(stamp))
        assert found.level == OK
        episode.execute(BLOCK, latent(0))
