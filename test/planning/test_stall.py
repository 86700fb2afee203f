"""Where plans lead nowhere, any of the policy's proposals is taken: small worlds in which the best one is to wait."""

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

A, K, H = 2, 3, 5
SPEC = ActionSpec(("a", "b"), (-0.1,) * A, (0.1,) * A, (-9.0,) * A, (9.0,) * A, block=K)
SETTINGS = {"samples": 12, "iterations": 2, "horizon": H, "elites": 4, "replan": "always", "stall_plans": 3}
SETTINGS |= {"hybrid_left": 1.0}  # to wait is good enough: without a stall nothing is searched
TOLERANCE = 0.1
WAIT = 2
"""Which of ``ways`` is to wait."""


def ways():
    """(N, H, KA) actions: four directions at full speed, and between them to wait."""
    slopes = np.array([[0.1, 0.02], [-0.1, 0.03], [0.0, 0.0], [0.04, 0.1], [0.05, -0.1]])
    return np.tile(slopes, (1, H * K)).reshape(len(slopes), H, K * A)


def propose():
    """``ways``, as a policy proposes them."""
    return ways(), False


class World:
    """Joints that do what they are told; the energy is the distance to the goal."""

    def __init__(self):
        self.joints, self.goal, self.calls, self.energies, self.refined = np.zeros(A), [1.5, 0.3], [], [], 0

    def energy(self, joints, moves):
        """Of joints (S, H, A) that are that far from here, (S, H)."""
        return np.linalg.norm(joints - self.goal, axis=-1)

    def __call__(self, actions):
        moves = actions.reshape(len(actions), H, K, A).sum(2).cumsum(1)
        self.calls.append(np.array(actions))
        self.energies.append(self.energy(self.joints + moves, moves))
        return self.energies[-1].sum(1)

    def ends(self):
        return self.energies[-1][:, -1]

    def steps(self, at):
        return self.energies[at[0]][at[1]].tolist()

    def refine(self, actions, *how):
        self.refined += 1
        return np.array(actions)


class Ridge(World):
    """The first block of the way to the goal ends on a ridge, so that to wait costs least, for the search too."""

    def energy(self, joints, moves):
        on_the_ridge = (joints[..., 0] > 0.01) & (joints[..., 0] < 0.31)
        return super().energy(joints, moves) + 10 * on_the_ridge


class Flat(World):
    """To stay has the energy ``here``, whatever was done; what moves, a little more."""

    here = 1.0

    def energy(self, joints, moves):
        return self.here + 0.01 * np.linalg.norm(moves, axis=-1)


def make(mode="policy", **changed):
    return Planner(SPEC, PlannerConfig(**SETTINGS | {"mode": mode} | changed))


def chosen(planner, world, heres, tolerance=TOLERANCE, propose=propose):
    """Which of ``ways`` each plan takes, where the energies of staying are ``heres`` one after the other; None for others."""
    found = []
    for world.here in heres:
        plan = planner.plan(world, world.joints, propose=propose, tolerance=tolerance)
        same = np.flatnonzero(np.isclose(ways(), plan.actions).all((1, 2)))
        found.append(int(same[0]) if len(same) else None)
    return found


def drive(world, planner, blocks):
    """Executes the first block of every plan."""
    for _ in range(blocks):
        plan = planner.plan(world, world.joints, propose=propose, tolerance=TOLERANCE)
        world.joints = world.joints + plan.actions[0].reshape(K, A).sum(0)
    return np.linalg.norm(world.joints - world.goal)


@pytest.mark.parametrize("mode", ["policy", "hybrid"])
def test_it_breaks_out_of_a_stall(mode):
    world = Ridge()
    drive(world, make(mode, stall_plans=0), 40)
    np.testing.assert_array_equal(world.joints, [0, 0])
    assert drive(Ridge(), make(mode), 40) < 3 * TOLERANCE


def test_after_so_many_plans_without_progress_any_proposal_is_taken_twice_and_then_the_best_again():
    for stall_plans in (1, 3):
        taken = set()
        for seed in range(20):
            found = chosen(make(seed=seed, stall_plans=stall_plans), Flat(), [1.0] * 2 * (stall_plans + 2))
            for cycle in np.split(np.array(found), 2):
                assert set(cycle[:stall_plans]) == {WAIT}
                taken |= {(n, int(way)) for n, way in enumerate(cycle[stall_plans:])}
        assert taken == {(n, way) for n in range(2) for way in range(len(ways()))}


def strays(heres, mode="policy", tolerance=TOLERANCE, **changed):
    """Numbers of the plans that do not wait, with some seed."""
    found = set()
    for seed in range(12):
        planner = make(mode, seed=seed, **changed)
        found |= set(np.flatnonzero(np.array(chosen(planner, Flat(), heres, tolerance)) != WAIT).tolist())
    return found


@pytest.mark.parametrize("falls_to, stalls", [(0.94, False), (0.98, False), (0.99, True), (1.1, True)])
def test_a_fall_of_a_twentieth_over_the_plans_is_progress_however_it_comes(falls_to, stalls):
    assert strays(falls_to ** np.arange(5)) == ({3, 4} if stalls else set())


def test_as_soon_as_the_energy_falls_the_best_is_taken_again():
    assert strays([1.0] * 4 + [0.9] * 5) == {3, 7, 8}


def test_progress_is_asked_for_from_where_the_other_ways_led():
    assert strays([1.0] * 5 + [2.0, 1.8, 1.6, 1.5, 1.4, 1.3]) == {3, 4}


@pytest.mark.parametrize("tolerance, far", [(0.0, False), (0.33, True), (0.34, False)])
def test_near_the_goal_it_waits_and_where_near_is_not_known(tolerance, far):
    assert strays([1.0] * 5, tolerance=tolerance) == ({3, 4} if far else set())
    assert strays([1.0] * 5, tolerance=tolerance / 2, hybrid_arrived=2.0) == ({3, 4} if far else set())


def test_from_near_the_goal_on_the_count_begins_anew():
    assert strays([1.0, 1.0, 1.0, 0.2, 1.0, 1.0, 1.0, 1.0]) == {7}


@pytest.mark.parametrize(
    "mode, stall_plans, found", [("search", 3, set()), ("hybrid", 0, set()), ("hybrid", 3, {3, 4})]
)
def test_it_is_for_the_modes_with_a_policy_and_can_be_switched_off(mode, stall_plans, found):
    assert strays([1.0] * 5, mode, stall_plans=stall_plans) == found


@pytest.mark.parametrize("unknown", [math.inf, math.nan, -1.0, 0.0])
def test_where_to_stay_has_no_energy_to_judge_by_nothing_is_a_stall(unknown):
    world = Flat()
    world.energy = lambda joints, moves: np.where(np.any(moves, axis=-1), 1.0, world.here)
    moving = ways()[[0, 1, 3, 4]]
    found = [chosen(make(seed=n), world, [unknown] * 5, propose=lambda: (moving, False)) for n in range(12)]
    assert found == [[0] * 5] * 12


def test_where_no_proposal_is_of_use_it_searches_on():
    world = Flat()
    world.energy = lambda joints, moves: np.where(moves[..., :1, 0] > 0.29, math.nan, world.here)
    assert chosen(make("hybrid"), world, [1.0] * 5, propose=lambda: (ways()[:1], False)) == [WAIT] * 5


@pytest.mark.parametrize("forget", [Planner.forget, Planner.reset])
def test_another_aim_begins_the_count_anew(forget):
    for done in range(1, 6):
        planner = make()
        chosen(planner, Flat(), [1.0] * done)
        forget(planner)
        assert chosen(planner, Flat(), [1.0] * 3) == [WAIT] * 3


def test_another_sub_goal_begins_the_count_anew():
    def episode_with(turns):
        world, episode = Flat(), PlanningEpisode(make(), ShortTermMemory(SPEC, 2))
        for block in range(8):
            episode.look(world.joints, world.joints, float(block))
            if block in turns:
                episode.turn()
            _, actions = episode.plan(world, world.goal, propose=lambda *_: propose(), tolerance=TOLERANCE)
            yield bool(np.any(actions))
            episode.execute(actions)

    assert any(episode_with(())) and not any(episode_with((3, 6)))


def test_a_plan_that_was_not_made_and_one_that_is_kept_do_not_count():
    class Silent(Flat):
        def __call__(self, actions):
            if self.calls:
                raise EvaluationTimeout("no costs")
            return super().__call__(actions)

    for seed in range(12):
        planner = make("hybrid", hybrid_left=0.0, seed=seed)
        assert chosen(planner, Flat(), [1.0] * 2) == [WAIT] * 2
        for _ in range(3):
            with pytest.raises(EvaluationTimeout):
                chosen(planner, Silent(), [1.0])
            planner.keep(Flat(), np.zeros(A), math.inf)
        assert chosen(planner, Flat(), [1.0]) == [WAIT]


def test_the_same_seed_gives_the_same_plans():
    planner = make(seed=5)
    found = chosen(planner, Flat(), [1.0] * 20)
    assert chosen(make(seed=5), Flat(), [1.0] * 20) == found
    planner.reset()
    assert chosen(planner, Flat(), [1.0] * 20) == found
    planner.reset(6)
    assert chosen(planner, Flat(), [1.0] * 20) != found


@pytest.mark.parametrize("mode", ["policy", "hybrid"])
@pytest.mark.parametrize("tried", [0, 1])
def test_what_is_told_of_the_plan_is_of_the_proposal_that_was_taken(mode, tried):
    """One of them is of no use, so that their order is not that of the call, and there are fewer."""

    class Broken(Flat):
        def energy(self, joints, moves):
            return np.where(moves[..., :1, 0] < -0.2, math.nan, super().energy(joints, moves))

    seen = set()
    for seed in range(20):
        planner = make(mode, seed=seed, refine_steps=2, stall_plans=1)
        chosen(planner, Broken(), [1.0])
        world = Broken()
        if tried:
            world(ways()[:1])
        plan = planner.plan(world, world.joints, propose=propose, tolerance=TOLERANCE, tried=tried)
        call, index = plan.best_at
        assert call == tried and len(world.calls) == tried + 1 and world.refined == 0
        np.testing.assert_allclose(plan.actions, world.calls[call][index], atol=1e-12)
        assert plan.cost == pytest.approx(sum(world.steps(plan.best_at))) and plan.leads == (index == WAIT)
        assert plan.made_by == "policy" and plan.theta is None and plan.proposal_left == pytest.approx(1.0)
        assert plan.iterations == tried + 1 and plan.evaluations == tried + len(ways()) + 1
        seen.add(index)
    assert seen == {0, WAIT, 3, 4}


def test_in_place_of_a_search_that_leads_nowhere_the_only_proposal_is_taken():
    planner, world = make("hybrid"), Flat()
    makers = []
    for _ in range(6):
        plan = planner.plan(world, world.joints, propose=lambda: (ways()[:1], False), tolerance=TOLERANCE)
        makers.append(plan.made_by)
        assert bool(np.any(plan.actions)) == (plan.made_by == "policy")
    assert makers == ["search"] * 3 + ["policy"] * 2 + ["search"]


def test_settings_that_make_no_sense_are_refused():
    for bad in (-1, 1.5, 1001):
        with pytest.raises(JepaError, match="stall_plans"):
            PlannerConfig(stall_plans=bad)
