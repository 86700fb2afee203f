"""Event-triggered planning in a world whose latent is the joint positions: when a plan is kept, when searched."""

import dataclasses
import math

import numpy as np
import pytest

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.episode import PlanningEpisode
from jepa_ros.planning.memory import ShortTermMemory
from jepa_ros.planning.protocols import EvaluationTimeout
from jepa_ros.planning.receding_horizon import Planner
from jepa_ros.planning.surprise import GateSettings, SurpriseGate
from jepa_ros.planning.trigger import (
    Cause,
    Outcome,
    energy_of_rest,
    is_as_predicted,
    is_nearer_as_predicted,
    most_energy,
)

A, K, H = 2, 3, 5
SPEC = ActionSpec(("a", "b"), (-0.1,) * A, (0.1,) * A, (-2.0,) * A, (2.0,) * A, block=K)
GOAL = np.array([1.05, -0.6])  # three and a half blocks away
SAMPLES, ITERATIONS = 64, 5


class Drive:
    """An arm that does what it is told, as far as ``share`` says, and a model that imagines that it does so."""

    def __init__(self, gate=None, goal=GOAL, gap_s=None, **config):
        settings = dict(replan="event", replan_left=1, samples=SAMPLES, iterations=ITERATIONS, horizon=H)
        planner = Planner(SPEC, PlannerConfig(**settings | config))
        self.episode = PlanningEpisode(planner, ShortTermMemory(SPEC, 2, gap_s), gate)
        self.goal, self.joints, self.stamp = goal, np.zeros(A), 0.0
        self.share, self.seen_off, self.extra_cost, self.silent = 1.0, 0.0, 0.0, False
        self.calls: list[np.ndarray] = []

    def futures(self, actions):
        """(S, H, KA) -> (S, H, A)"""
        start = self.episode.context.latents[-1]
        return start + actions.reshape(len(actions), -1, K, A).sum(axis=2).cumsum(axis=1)

    def evaluate(self, actions):
        if self.silent:
            raise EvaluationTimeout("no costs")
        self.calls.append(actions)
        return np.sqrt(((self.futures(actions) - self.goal) ** 2).mean(-1)).sum(-1) + self.extra_cost

    def look(self, after_s=1.0):
        self.stamp += after_s
        return self.episode.look(self.joints + self.seen_off, self.joints, self.stamp)

    def plan(self):
        """Plan from the last look, and let the arm execute it."""
        self.calls = []
        solution, actions = self.episode.plan(self.evaluate, self.goal)
        assert solution.evaluations == sum(map(len, self.calls))
        predicted = self.episode.predict(
            self.evaluate, lambda at: self.futures(self.calls[at[0]])[at[1], 0], solution, actions
        )
        np.testing.assert_allclose(
            predicted, self.episode.context.latents[-1] + actions[:K].sum(axis=0), atol=1e-6
        )
        self.episode.execute(actions, predicted)
        self.joints = self.joints + self.share * actions[:K].sum(axis=0)
        return solution, actions

    def step(self):
        self.look()
        self.plan()
        return self.episode.cause


def test_a_plan_that_goes_as_predicted_is_kept_until_the_block_before_it_arrives():
    drive = Drive()
    assert drive.step() == Cause.NO_PLAN
    assert sum(map(len, drive.calls)) == SAMPLES * ITERATIONS
    rest = drive.episode.planner.space
    theta = rest.shift(drive.episode.solution.theta)
    drive.look()
    solution, actions = drive.plan()
    assert drive.episode.cause == Cause.NONE and [len(c) for c in drive.calls] == [1]
    np.testing.assert_allclose(actions, rest.decode(theta[None])[0].reshape(-1, A), atol=1e-6)
    assert (solution.evaluations, solution.best_at) == (1, (0, 0))
    assert solution.cost == pytest.approx(drive.evaluate(actions.reshape(1, H, -1))[0], abs=1e-5)
    assert [drive.step(), drive.step()] == [Cause.NONE, Cause.ARRIVAL]
    drive.look()
    assert np.abs(drive.joints - GOAL).max() < 0.02
    assert drive.episode.causes == {Cause.NO_PLAN: 1, Cause.NONE: 2, Cause.ARRIVAL: 1}


def test_always_searches_at_every_look():
    drive = Drive(replan="always")
    assert [drive.step() for _ in range(3)] == [Cause.ALWAYS] * 3
    assert sum(map(len, drive.calls)) == SAMPLES * ITERATIONS


def test_kept_and_searched_plans_arrive_alike():
    ends = []
    for replan in ("always", "event"):
        drive = Drive(replan=replan)
        for _ in range(5):
            drive.step()
        ends.append(np.abs(drive.joints - GOAL).max())
    assert max(ends) < 0.01


def test_how_much_must_be_left_and_how_long_a_plan_is_kept_are_settings():
    drive = Drive(replan_left=0)
    assert [drive.step() for _ in range(5)] == [Cause.NO_PLAN] + [Cause.NONE] * 3 + [Cause.ARRIVAL]
    drive = Drive(replan_left=3)
    assert [drive.step() for _ in range(2)] == [Cause.NO_PLAN, Cause.ARRIVAL]
    drive = Drive(replan_after=2)
    assert [drive.step() for _ in range(3)] == [Cause.NO_PLAN, Cause.NONE, Cause.AGE]


@pytest.mark.parametrize("space", ["one_block", "free_blocks", "hold_action"])
def test_every_search_space_keeps_what_it_has_left(space):
    drive = Drive(space=space, replan_after=H + 1)
    found = [drive.step() for _ in range(4)]
    # one_block ends with its block; a held action may pass by the goal in any block
    kept = {"one_block": 0, "free_blocks": 3, "hold_action": 0}[space]
    assert found.count(Cause.NONE) <= kept and (Cause.NONE in found) == bool(kept)


@pytest.mark.parametrize("off, cause", [(0.4, Cause.NONE), (0.6, Cause.SURPRISE)])
def test_another_picture_than_predicted_triggers_a_search(off, cause):
    drive = Drive(replan_surprise=0.5, replan_progress=0.0)
    drive.step()
    moved = np.sqrt((drive.joints**2).mean())
    drive.seen_off = off * moved
    assert drive.step() == cause


@pytest.mark.parametrize("share, cause", [(0.75, Cause.NONE), (0.6, Cause.PROGRESS)])
def test_less_progress_than_predicted_triggers_a_search(share, cause):
    drive = Drive(replan_surprise=5.0, replan_progress=0.7)
    drive.share = share
    drive.step()
    assert drive.step() == cause


class Telling:
    """The evaluator of a drive that tells the energy along a plan too; every block costs ``toll`` more."""

    def __init__(self, drive):
        self.drive, self.toll, self.told = drive, 0.0, []

    def __call__(self, actions):
        distances = np.sqrt(((self.drive.futures(actions) - self.drive.goal) ** 2).mean(-1))
        self.drive.calls.append(actions)
        self.told.append(distances + self.toll)
        return self.told[-1].sum(-1)

    def steps(self, at):
        return self.told[at[0]][at[1]].tolist()


def telling_drive(**config) -> tuple[Drive, Telling]:
    drive = Drive(**config)
    drive.evaluate = Telling(drive)
    return drive, drive.evaluate


@pytest.mark.parametrize("share, cause", [(0.5, Cause.PROGRESS), (0.0, Cause.NONE)])
def test_a_plan_whose_energy_falls_less_than_predicted_is_searched_again(share, cause):
    """The latents come as predicted; the energy keeps a third of its fall."""
    drive, world = telling_drive(replan_energy=share)
    drive.step()
    energies = drive.episode.energies
    assert len(energies) == H and sum(energies) == pytest.approx(drive.episode.solution.cost)
    fall = (
        energies[0] - energies[-1]
    )  # of the sum: the first block's energy goes, the last one's comes once more
    assert fall > 0.3
    world.toll, world.told = 2 / 3 * fall / H, []
    drive.look()
    drive.plan()
    assert drive.episode.cause == cause


def test_a_plan_whose_energy_falls_as_predicted_is_kept_with_its_energies():
    drive, world = telling_drive(replan_energy=0.95)
    drive.step()
    before, world.told = drive.episode.energies, []
    assert drive.step() == Cause.NONE
    np.testing.assert_allclose(drive.episode.energies, [*before[1:], before[-1]], atol=1e-6)
    drive.episode.hold()
    assert drive.episode.energies == []


def test_the_energy_of_the_rest_is_what_follows_the_first_block_and_a_block_of_rest():
    steps = [5.0, 3.0, 1.0]
    assert energy_of_rest(9.0, steps, "sum") == 3 + 1 + 1
    assert energy_of_rest(1.0, steps, "min") == 1 and energy_of_rest(1.0, steps, "last") == 1
    assert energy_of_rest(9.0, [], "sum") == 9
    assert most_energy(9.0, 5.0, 0.5) == 7 and most_energy(9.0, 5.0, 0.0) == 9
    assert most_energy(9.0, 12.0, 0.5) == 9  # predicted to rise: it must not


def test_where_the_rest_costs_more_than_the_plan_did_it_is_searched_at_once():
    drive = Drive()
    drive.step()
    drive.extra_cost = 100.0
    drive.look()
    solution, actions = (
        drive.plan()
    )  # checks that the prediction is of this plan, not of the one that was tried
    assert drive.episode.cause == Cause.PROGRESS
    assert [len(c) for c in drive.calls][:2] == [1, SAMPLES] and solution.iterations == ITERATIONS + 1
    np.testing.assert_allclose(
        drive.calls[solution.best_at[0]][solution.best_at[1]], solution.actions, atol=1e-9
    )


def test_a_cost_that_is_no_number_is_not_kept():
    drive = Drive()
    drive.step()
    drive.look()
    tried = []

    def evaluate(actions):
        tried.append(len(actions))
        return np.full(1, np.nan) if len(tried) == 1 else drive.evaluate(actions)

    drive.episode.plan(evaluate, GOAL)
    assert tried[0] == 1 and drive.episode.cause == Cause.PROGRESS


def test_another_goal_has_no_plan_yet():
    drive = Drive()
    drive.step()
    drive.goal = -GOAL
    assert drive.step() == Cause.NO_PLAN


def test_a_block_that_the_arm_did_not_execute_as_sent_is_no_ground_for_the_next():
    for share in (0.0, 0.4):  # ignored (vetoed, held, not armed); stopped halfway
        drive = Drive(replan_surprise=9.0, replan_progress=0.0)
        drive.share = share
        drive.step()
        drive.share = 1.0
        assert drive.step() == Cause.NO_PLAN
        assert drive.step() == Cause.NONE


def test_after_a_hold_and_after_a_gap_the_plan_is_forgotten():
    drive = Drive()
    drive.step()
    drive.look()
    drive.episode.hold()
    assert drive.step() == Cause.NO_PLAN
    drive = Drive(gap_s=2.0)
    drive.step()
    drive.look(after_s=2.5)
    drive.plan()
    assert drive.episode.cause == Cause.NO_PLAN


def test_without_costs_for_it_the_plan_is_forgotten():
    drive = Drive()
    drive.step()
    drive.silent = True
    drive.look()
    with pytest.raises(EvaluationTimeout):
        drive.plan()
    drive.silent = False
    assert drive.step() == Cause.NO_PLAN


def first_tried(drive):
    """(H, KA): what a search from the last look tries first after no motion, the rest of the last plan."""
    drive.plan()
    return drive.calls[0][1]


def plan_in_space(drive):
    """(H, KA) of the last plan, and the same a block later, as its search space has it."""
    space, theta = drive.episode.planner.space, drive.episode.solution.theta
    return [np.float32(space.decode(t[None])[0]) for t in (theta, space.shift(theta))]


ALWAYS = dict(replan="always", space="free_blocks")


def test_after_a_search_without_costs_the_next_one_starts_a_block_later_in_the_plan():
    drive = Drive(**ALWAYS)
    drive.step()
    _, later = plan_in_space(drive)
    drive.silent = True
    for _ in range(2):
        drive.look()
        with pytest.raises(EvaluationTimeout):
            drive.plan()
    drive.silent = False
    drive.look()
    np.testing.assert_allclose(first_tried(drive), later, atol=1e-6)


@pytest.mark.parametrize("held", [False, True])
def test_a_plan_that_was_never_sent_is_where_the_next_search_starts_also_after_a_hold(held):
    drive = Drive(**ALWAYS)
    drive.step()
    drive.look()
    drive.episode.plan(drive.evaluate, drive.goal)  # and what it leads to was not answered in time
    same, _ = plan_in_space(drive)
    if held:
        drive.look()
        drive.episode.hold()
    drive.look()
    np.testing.assert_allclose(first_tried(drive), same, atol=1e-6)


def test_a_block_that_the_arm_ignored_is_still_to_be_tried():
    drive = Drive(**ALWAYS)
    drive.share = 0.0
    drive.step()
    same, _ = plan_in_space(drive)
    drive.look()
    assert drive.episode.ignored
    np.testing.assert_allclose(first_tried(drive), same, atol=1e-6)


@pytest.mark.parametrize("follows", [False, True])
def test_an_arm_of_small_steps_is_seen_to_follow_or_not(follows):
    slow = dataclasses.replace(SPEC, lower=(-0.01,) * A, upper=(0.01,) * A)  # 0.03 rad a block
    episode = PlanningEpisode(Planner(slow, PlannerConfig()), ShortTermMemory(slow, 2))
    episode.look(np.zeros(A), np.zeros(A), 0.0)
    block = np.full((K, A), 0.01, np.float32)
    episode.execute(block)
    joints = follows * 0.2 * block.sum(0)
    episode.look(joints, joints, 1.0)
    assert (episode.ignored, episode.moved) == (not follows, follows)


def test_what_the_gate_does_not_trust_is_searched_and_a_slowed_plan_is_not_kept():
    gate = SurpriseGate(GateSettings(0.2, 10.0, hold_after=9, release_looks=1), lambda z: 0.0)
    far = np.array([1.9, 0.0])
    drive = Drive(gate, far, replan_surprise=9.0, replan_progress=0.0, replan_left=0)
    drive.step()
    causes = []
    for off in (0.3, -0.3, 0.0, 0.0):  # strange, strange again and slowed, familiar
        drive.seen_off = off
        judgement = drive.look()
        drive.plan()
        causes.append((judgement.speed, drive.episode.cause))
    assert causes[:2] == [(1.0, Cause.SURPRISE), (0.5, Cause.SURPRISE)]
    assert causes[2] == (1.0, Cause.NO_PLAN)  # only half of the plan's block was executed
    assert causes[3][1] == Cause.NONE


def test_the_deadline_holds_for_trying_and_searching_together():
    drive = Drive()
    drive.step()
    now = [0.0]
    drive.episode.planner.clock = lambda: now[0]

    def slow(actions):
        now[0] += 1.0
        return drive.evaluate(actions) + 100.0

    drive.look()
    solution, _ = drive.episode.plan(slow, GOAL, deadline_s=3.0)
    assert drive.episode.cause == Cause.PROGRESS and solution.deadline_missed and now[0] <= 3.0


def test_shares_are_of_what_was_predicted():
    outcome = Outcome(np.zeros(4), np.full(4, 2.0), np.full(4, 1.5))
    assert is_as_predicted(outcome, 0.25) and not is_as_predicted(outcome, 0.24)
    assert is_nearer_as_predicted(outcome, np.full(4, 3.0), 0.75)
    assert not is_nearer_as_predicted(outcome, np.full(4, 3.0), 0.76)
    detour = dataclasses.replace(outcome, seen=np.full(4, 2.5))  # away from the goal as planned, and farther
    assert is_nearer_as_predicted(detour, np.full(4, -1.0), 0.75)
    assert not is_nearer_as_predicted(detour, np.full(4, -1.0), 0.76)
    unseen = dataclasses.replace(outcome, seen=np.full(4, math.nan))
    assert not is_as_predicted(unseen, 9.0) and not is_nearer_as_predicted(unseen, np.zeros(4), 0.0)


@pytest.mark.parametrize(
    "bad", [{"replan": "never"}, {"replan_surprise": -0.1}, {"replan_progress": 1.1}, {"replan_after": 0}]
)
def test_settings_that_make_no_sense_are_refused_by_name(bad):
    with pytest.raises(JepaError, match=next(iter(bad))):
        PlannerConfig(**bad)
