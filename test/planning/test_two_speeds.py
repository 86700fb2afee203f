"""Policy, search and both, in a linear world with hand-made proposals: perfect, useless, broken, out of bounds."""

import math

import numpy as np
import pytest

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.planning.config import SPACES, PlannerConfig
from jepa_ros.planning.episode import PlanningEpisode
from jepa_ros.planning.memory import ShortTermMemory
from jepa_ros.planning.proposals import usable
from jepa_ros.planning.protocols import EvaluationTimeout
from jepa_ros.planning.receding_horizon import Planner
from jepa_ros.planning.trigger import Cause

A, K, H, N = 2, 3, 5, 4
SPEC = ActionSpec(("a", "b"), (-0.1,) * A, (0.1,) * A, (-2.0,) * A, (2.0,) * A, block=K)
GOAL = np.array([0.75, -0.42])
SETTINGS = {"samples": 24, "iterations": 3, "horizon": H, "elites": 6, "replan": "always"}


class World:
    """Joints that do what they are told; the energy is their distance to the goal."""

    def __init__(self, joints=(0.0, 0.0), goal=GOAL, reduction="sum", extra=0.0):
        self.joints, self.goal, self.reduction, self.extra = np.asarray(joints, float), goal, reduction, extra
        self.calls, self.asked, self.refined = [], 0, []

    def futures(self, actions):
        """(S, H, KA) -> (S, H, A)"""
        return self.joints + actions.reshape(len(actions), actions.shape[1], K, A).sum(2).cumsum(1)

    def __call__(self, actions):
        self.calls.append(np.array(actions))
        steps = np.linalg.norm(self.futures(actions) - self.goal, axis=-1) + self.extra
        self._ends = steps[:, -1]
        self._steps = [*getattr(self, "_steps", []), steps]
        return steps.sum(1) if self.reduction == "sum" else steps.min(1)

    def ends(self):
        return self._ends

    def steps(self, at):
        return self._steps[at[0]][at[1]].tolist()

    def refine(self, actions, spec, steps, rate, is_late):
        self.refined.append((np.array(actions), steps, rate))
        return straight(self.goal - self.joints)[None]


def straight(way, blocks=H):
    """(H, KA): there in a straight line as fast as may be, then rest."""
    steps = max(1.0, np.abs(way).max() / 0.1)
    progress = np.minimum(np.arange(blocks * K + 1) / steps, 1.0)
    return (np.diff(progress)[:, None] * way).reshape(blocks, K * A)


def perfect(world):
    """Proposals of which the third is right."""
    wrong = [straight(np.array(w)) for w in ((-0.5, 0.5), (0.2, 0.2))]
    return np.stack([*wrong, straight(world.goal - world.joints), np.zeros((H, K * A))]).astype(np.float32)


def useless(world):
    return np.stack([straight(-c * (world.goal - world.joints)) for c in (1, 0.5, 2, 1.5)]).astype(np.float32)


def plan(world, mode, proposals=None, space="displacement", things_first=False, **changed):
    planner = Planner(SPEC, PlannerConfig(**SETTINGS | {"mode": mode, "space": space} | changed))
    world.reduction = planner.reduction

    def propose():
        world.asked += 1
        return proposals, things_first

    return planner.plan(world, world.joints, propose=None if proposals is None else propose), planner


def miss(world, solution):
    return np.linalg.norm(world.futures(solution.actions[None])[0, -1] - world.goal)


def test_the_policy_executes_its_best_proposal_by_the_energy_in_one_call():
    world = World()
    solution, _ = plan(world, "policy", perfect(world))
    np.testing.assert_allclose(solution.actions, perfect(world)[2], atol=1e-6)
    assert [len(call) for call in world.calls] == [N + 1]
    assert (solution.made_by, solution.best_at, solution.evaluations) == ("policy", (0, 2), N + 1)
    assert solution.theta is None and miss(world, solution) < 1e-6


def test_the_policy_is_taken_as_it_is_even_where_staying_would_be_better():
    world = World()
    solution, _ = plan(world, "policy", useless(world))
    np.testing.assert_allclose(solution.actions, useless(world)[1], atol=1e-6)
    assert solution.made_by == "policy" and solution.proposal_left > 1


def test_hybrid_asks_the_search_only_where_the_proposals_are_not_good_enough():
    world = World()
    solution, _ = plan(world, "hybrid", perfect(world))
    assert solution.made_by == "policy" and len(world.calls) == 1
    assert solution.proposal_left == pytest.approx(0, abs=1e-6)
    world = World()
    solution, _ = plan(world, "hybrid", useless(world))
    assert solution.made_by == "search" and len(world.calls) == 1 + 3
    assert solution.proposal_left > 1 and miss(world, solution) < 0.2


@pytest.mark.parametrize("mode, calls", [("hybrid", 1), ("policy", 1), ("search", 3)])
def test_what_brings_things_to_their_places_is_not_overruled_by_a_search(mode, calls):
    world = World()
    solution, _ = plan(world, mode, useless(world), things_first=True, hybrid_left=0.0)
    assert len(world.calls) == calls
    if mode != "search":
        np.testing.assert_allclose(solution.actions, useless(world)[1], atol=1e-6)
        assert solution.made_by == "policy" and solution.proposal_left > 1


def test_where_nothing_is_proposed_that_is_of_use_a_search_is_made_though_things_come_first():
    world = World()
    nothing = np.full((N, H, K * A), np.nan, np.float32)
    solution, _ = plan(world, "hybrid", nothing, things_first=True)
    assert solution.made_by == "search" and miss(world, solution) < 0.2


@pytest.mark.parametrize("limit, maker", [(0.29, "search"), (0.31, "policy")])
def test_good_enough_is_a_share_of_what_staying_here_has_left(limit, maker):
    world = World()
    solution, _ = plan(world, "hybrid", straight(0.7 * GOAL)[None], hybrid_left=limit)
    assert solution.proposal_left == pytest.approx(0.3, abs=1e-6) and solution.made_by == maker


@pytest.mark.parametrize("tolerance, maker", [(0.0, "search"), (0.029, "search"), (0.031, "policy")])
def test_a_proposal_that_arrives_is_good_enough_however_little_was_left_to_do(tolerance, maker):
    world = World(goal=np.array([0.05, 0.0]))
    planner = Planner(SPEC, PlannerConfig(**SETTINGS | {"hybrid_arrived": 0.5, "hybrid_left": 0.25}))
    near = straight(np.array([0.035, 0.0]))[None]  # leaves 0.015, a share of 0.3
    solution = planner.plan(world, world.joints, propose=lambda: (near, False), tolerance=tolerance)
    assert solution.made_by == maker and solution.proposal_left == pytest.approx(0.3, abs=1e-6)


class Wall(World):
    """Nothing shows progress: all that moves costs a little more than staying, as behind an obstacle."""

    def __call__(self, actions):
        World.__call__(self, actions)
        moved = np.abs(actions).sum((1, 2)) > 0
        self._steps[-1] = np.where(moved[:, None], 1.01, 1.0) * np.ones((len(actions), H))
        self._ends = self._steps[-1][:, -1]
        return self._steps[-1].sum(1)


@pytest.mark.parametrize("tolerance, maker", [(0.0, "policy"), (0.3, "policy"), (0.4, "search")])
def test_where_the_search_sees_no_way_either_it_is_the_policys_turn_if_far_from_the_goal(tolerance, maker):
    for stuck in (0.0, 0.95):
        world = Wall()
        planner = Planner(SPEC, PlannerConfig(**SETTINGS | {"hybrid_stuck": stuck}))
        solution = planner.plan(
            world,
            world.joints,
            propose=lambda world=world: (perfect(world)[:1], False),
            tolerance=tolerance,
        )
        assert solution.made_by == (maker if stuck else "search")
        assert solution.evaluations == sum(map(len, world.calls)) and len(world.calls) == 1 + 3
        moves = np.any(solution.actions)
        assert moves == (solution.made_by == "policy")
    world = World()
    solution, _ = plan(world, "hybrid", useless(world), hybrid_stuck=0.95)
    assert solution.made_by == "search", "it does see a way"


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("solver", ["cem", "mppi"])
def test_useless_proposals_do_not_harm_hybrid(space, solver):
    ends = []
    for proposals in (None, useless(World())):
        world = World(goal=GOAL / 4)
        solution, _ = plan(world, "hybrid", proposals, space, solver=solver, samples=64)
        assert solution.made_by == "search"
        ends.append(solution.cost)
    nothing = World(goal=GOAL / 4, reduction=world.reduction)(np.zeros((1, H, K * A)))[0]
    assert ends[1] <= ends[0] + 0.1 * nothing


@pytest.mark.parametrize("solver", ["cem", "mppi"])
def test_proposals_seed_the_search_and_stay_in_the_race(solver):
    world = World()
    solution, _ = plan(world, "hybrid", perfect(world), solver=solver, hybrid_left=0.0, iterations=1)
    seeded = world.calls[1]
    assert min(np.abs(c - perfect(world)[2]).max() for c in seeded) < 1e-6
    assert solution.made_by == "search" and miss(world, solution) < 1e-6
    bent = np.zeros((1, H, K * A))
    bent[0, 0] = np.tile([0.1, 0.0], K)
    bent[0, 1] = np.tile([0.0, -0.1], K)  # around a corner: no displacement says that
    world = World(goal=np.array([0.3, -0.3]))

    def around(actions):
        """Only what goes around the corner arrives."""
        costs = World.__call__(world, actions)
        corner = np.abs(world.futures(actions)[:, 0] - [0.3, 0.0]).max(-1) < 1e-6
        return np.where(corner, 0.0, 10.0 + costs)

    planner = Planner(SPEC, PlannerConfig(**SETTINGS | {"hybrid_left": 0.0, "solver": solver}))
    around.ends = lambda: world.ends()
    found = planner.plan(around, world.joints, propose=lambda: (bent, False))
    np.testing.assert_allclose(found.actions, bent[0], atol=1e-9)
    assert found.made_by == "search" and found.theta is None and found.best_at == (0, 0)


def test_at_most_so_many_of_the_first_candidates_are_proposals():
    world = World()
    many = np.concatenate([useless(world)] * 10)
    plan(world, "hybrid", many, proposal_fraction=0.25)
    kept = world.calls[1][1:]  # after no motion
    from_policy = [min(np.abs(c - p).max() for p in many) < 1e-6 for c in kept]
    assert sum(from_policy) == 0.25 * SETTINGS["samples"]


def test_proposals_that_are_not_finite_are_left_out():
    world = World()
    broken = perfect(world)
    broken[0, 1, 2], broken[1, 0, 0] = np.nan, np.inf
    solution, _ = plan(world, "hybrid", broken)
    assert [len(call) for call in world.calls] == [N - 2 + 1] and solution.made_by == "policy"
    world = World()
    nothing = np.full((N, H, K * A), np.nan, np.float32)
    found, _ = plan(world, "hybrid", nothing)
    plain, _ = plan(World(), "search")
    np.testing.assert_array_equal(found.actions, plain.actions)
    assert math.isnan(found.proposal_left)
    for proposals in (nothing, np.empty((0, H, K * A))):
        for refine_steps in (0, 3):
            with pytest.raises(
                JepaError, match="proposed nothing usable; check that its checkpoint has heads.*pin"
            ):
                plan(World(), "policy", proposals, refine_steps=refine_steps)


def test_where_no_proposal_has_a_finite_cost_hybrid_searches_and_policy_says_so():
    class Nan(World):
        def __call__(self, actions):
            costs = World.__call__(self, actions)
            return np.full(len(actions), np.nan) if len(self.calls) == 1 else costs

    world = Nan()
    found, _ = plan(world, "hybrid", perfect(world))
    assert found.made_by == "search" and np.isfinite(found.cost) and found.proposal_left == math.inf
    for refine_steps in (0, 3):
        with pytest.raises(JepaError, match="no proposal has a finite cost"):
            plan(Nan(), "policy", perfect(world), refine_steps=refine_steps)


def test_proposals_are_brought_into_the_bounds_and_the_position_limits():
    wild = np.full((1, 2 * H, K * A), 9.0)
    found = usable(wild, SPEC, H, np.array([1.9, 2.3]))
    assert found.shape == (1, H, K * A) and np.all(np.abs(found) <= 0.1)
    path = np.array([1.9, 2.3]) + found.reshape(-1, A).cumsum(0)
    assert path[:, 0].max() == pytest.approx(2.0) and np.all(path[:, 1] == pytest.approx(2.3))
    back = usable(-wild, SPEC, H, np.array([1.9, 2.3])).reshape(-1, A)
    assert np.allclose(back, -0.1)
    short = usable(wild[:, :2], SPEC, H, np.zeros(A))
    assert np.all(short[:, 2:] == 0) and np.all(short[:, :2] == 0.1)


@pytest.mark.parametrize("bad", [np.zeros((N, H, 5)), np.zeros((H, K * A)), np.zeros(3)])
def test_proposals_of_another_robot_are_refused(bad):
    with pytest.raises(JepaError, match=r"proposals must have shape \(N, H, 6\)"):
        plan(World(), "hybrid", bad)


def test_without_a_policy_hybrid_is_search_and_policy_is_refused():
    found = [plan(World(), mode)[0] for mode in ("search", "hybrid")]
    np.testing.assert_array_equal(found[0].actions, found[1].actions)
    assert found[0].cost_trace == found[1].cost_trace and found[1].made_by == "search"
    with pytest.raises(JepaError, match="mode is policy and there is no policy"):
        plan(World(), "policy")


def test_search_asks_the_policy_nothing():
    world = World()
    found, _ = plan(world, "search", perfect(world))
    np.testing.assert_array_equal(found.actions, plan(World(), "search")[0].actions)
    assert world.asked == 0


@pytest.mark.parametrize("space", SPACES)
def test_a_space_takes_back_what_it_can_say(space):
    planner = Planner(SPEC, PlannerConfig(**SETTINGS | {"space": space}))
    found = planner.space
    theta = np.random.default_rng(0).uniform(found.lower, found.upper, (20, found.size))
    np.testing.assert_allclose(found.project(found.decode(theta)), theta, atol=1e-9)
    inside = found.project(np.full((1, H, K * A), 99.0))
    assert np.all(inside <= found.upper) and found.project(np.empty((0, H, K * A))).shape == (0, found.size)


def drive(mode, propose, blocks=6, **changed):
    """Looks, plans and blocks with a policy: actions of every block, the episode, the world."""
    planner = Planner(SPEC, PlannerConfig(**SETTINGS | {"mode": mode} | changed))
    episode, world, sent = PlanningEpisode(planner, ShortTermMemory(SPEC, 2)), World(), []
    world.reduction = planner.reduction

    def policy(context, goal):
        world.asked += 1
        np.testing.assert_array_equal(context.latents[-1], world.joints.astype(np.float32))
        np.testing.assert_array_equal(goal, world.goal)
        return propose(world), False

    for block in range(blocks):
        episode.look(world.joints, world.joints, float(block))
        solution, actions = episode.plan(world, world.goal, propose=policy)
        predicted = episode.predict(
            world, lambda at: world.futures(world.calls[at[0]][at[1]][None])[0, 0], solution, actions
        )
        world.calls.clear()
        world._steps.clear()
        episode.execute(actions, predicted)
        sent.append(actions)
        world.joints = world.joints + actions[:K].sum(axis=0)
    return sent, episode, world


@pytest.mark.parametrize("mode", ["policy", "hybrid", "search"])
@pytest.mark.parametrize("propose", [perfect, useless])
def test_same_seed_same_plans(mode, propose):
    first, again = (drive(mode, propose)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_what_a_proposal_leads_to_is_imagined_by_itself_where_staying_would_cost_less():
    """The graph tells the next latent of the cheapest candidate of an iteration only."""
    world = World()
    solution, _ = plan(world, "policy", useless(world))
    assert not solution.leads and plan(World(), "policy", perfect(world))[0].leads
    sent, episode, world = drive("policy", useless, 1)
    np.testing.assert_allclose(episode._predicted, world.joints)


def test_the_share_of_fast_plans_is_counted():
    for propose, makers in ((perfect, {"policy"}), (useless, {"search"})):
        _, episode, world = drive("hybrid", propose, blocks=3)
        assert set(episode.makers) == makers and episode.makers.total() == 3 == world.asked
    assert np.linalg.norm(drive("hybrid", useless)[2].joints - GOAL) < 0.02


def test_a_kept_plan_costs_no_proposals():
    _, episode, world = drive("hybrid", perfect, 5, replan="event", replan_left=0)
    assert episode.makers == {"policy": 3, "keep": 2} and world.asked == 3
    assert episode.causes == {Cause.NO_PLAN: 1, Cause.NONE: 2, Cause.ARRIVAL: 2}
    assert np.linalg.norm(world.joints - GOAL) < 1e-3


def test_what_is_left_of_a_proposal_is_what_was_proposed():
    world = World()
    _, planner = plan(world, "policy", perfect(world))
    rest = planner.rest(np.zeros(A))
    np.testing.assert_allclose(rest[:-1], perfect(world)[2][1:], atol=1e-6)
    assert np.all(rest[-1] == 0)
    world.joints = perfect(world)[2][0].reshape(K, A).sum(0)
    kept = planner.keep(world, world.joints, math.inf)
    assert kept.made_by == "keep" and kept.theta is None and miss(world, kept) < 1e-6


def test_the_rest_of_a_proposal_warms_the_next_search():
    world = World()
    planner = Planner(SPEC, PlannerConfig(**SETTINGS | {"mode": "hybrid"}))
    planner.plan(world, world.joints, propose=lambda: (perfect(world), False))
    world.joints = perfect(world)[2][0].reshape(K, A).sum(0)
    world.calls.clear()
    planner.plan(world, world.joints)
    left = straight(GOAL - world.joints)
    assert min(np.abs(c - left).max() for c in world.calls[0]) < 1e-6


def test_a_not_good_enough_proposal_is_never_all_that_a_deadline_leaves():
    now = [0.0]
    planner = Planner(SPEC, PlannerConfig(**SETTINGS), clock=lambda: now[0])
    world = World()

    def slow(actions):
        now[0] += 1.0
        return world(actions)

    slow.ends = world.ends
    solution = planner.plan(slow, np.zeros(A), 0.5, propose=lambda: (useless(world), False))
    assert solution.made_by == "search" and solution.iterations == 2 and solution.deadline_missed


def test_without_costs_for_the_search_there_is_no_plan():
    class Silent(World):
        def __call__(self, actions):
            if self.calls:
                raise EvaluationTimeout("no costs")
            return World.__call__(self, actions)

    world = Silent()
    with pytest.raises(EvaluationTimeout):
        plan(world, "hybrid", useless(world))


@pytest.mark.parametrize("mode", ["search", "policy", "hybrid"])
def test_the_best_are_refined_and_taken_where_that_is_better(mode):
    world = World()
    proposals = useless(world) if mode != "search" else None
    plain, _ = plan(World(), mode, proposals)
    solution, _ = plan(world, mode, proposals, refine_steps=7, refine_best=3, refine_rate=0.05)
    (actions, steps, rate), *others = world.refined
    assert not others and (steps, rate) == (7, 0.05) and actions.shape == (3, H, K * A)
    np.testing.assert_allclose(actions[0], plain.actions, atol=1e-9)
    costs = World()(actions)
    assert np.all(np.diff(costs) >= 0)
    assert solution.theta is None and miss(world, solution) < 1e-6 and solution.cost < plain.cost


@pytest.mark.parametrize("mode", ["search", "policy", "hybrid"])
def test_what_is_refined_stays_within_the_position_limits(mode):
    joints = SPEC.position_upper[0] - 0.2
    world = World(
        (joints, joints), goal=np.array([joints + 0.9, joints])
    )  # out of reach, straight through the limit
    proposals = useless(world) if mode != "search" else None
    solution, _ = plan(world, mode, proposals, refine_steps=7)
    assert solution.theta is None, "the refined plan was taken"
    assert world.futures(world.refine([], SPEC, 7, 0.1, bool)).max() > SPEC.position_upper[0]
    assert world.futures(solution.actions[None]).max() == pytest.approx(SPEC.position_upper[0])


class Behind(Wall):
    """A wall from the second plan on: the proposal costs more on its way than staying, and ends halfway there."""

    blocked = False

    def __call__(self, actions):
        if not self.blocked:
            return World.__call__(self, actions)
        costs = super().__call__(actions)
        for i in np.flatnonzero(np.isclose(actions, perfect(self)[2]).all((1, 2))):
            self._steps[-1][i] = [1.5] * (H - 1) + [0.5]
            costs[i] = self._steps[-1][i].sum()
        self._ends = self._steps[-1][:, -1]
        return costs


def second_plan(world, propose, **changed):
    """The episode after a second look, where the plan of the first one, by the search, is tried and no longer good."""
    planner = Planner(SPEC, PlannerConfig(**SETTINGS | {"replan": "event", "replan_left": 0} | changed))
    episode = PlanningEpisode(planner, ShortTermMemory(SPEC, 2))
    episode.look(world.joints, world.joints, 0.0)
    solution, actions = episode.plan(world, world.goal, propose=lambda *_: (useless(world), False))
    assert solution.made_by == "search"
    episode.execute(actions, world.futures(solution.actions[None])[0, 0])
    world.joints = world.joints + actions[:K].sum(axis=0)
    world.calls, world._steps, world.blocked, world.extra = [], [], True, 9.0
    episode.look(world.joints, world.joints, 1.0)
    episode.plan(world, world.goal, propose=lambda *_: (propose(world), False))
    assert episode.cause == Cause.PROGRESS and len(world.calls[0]) == 1
    return episode


def test_after_a_plan_was_tried_in_vain_the_search_is_judged_by_its_own_plan():
    world = Behind()
    episode = second_plan(world, lambda world: perfect(world)[2:3], hybrid_stuck=0.95)
    assert episode.solution.made_by == "policy", "staying is all that the search found"
    assert episode.energies == [1.5] * (H - 1) + [0.5]
    assert episode.solution.evaluations == sum(map(len, world.calls))


def test_after_a_plan_was_tried_in_vain_the_best_may_be_any_proposal():
    world = World()
    episode = second_plan(world, perfect, hybrid_stuck=0.999, hybrid_left=0.0)
    call, index = episode.solution.best_at
    np.testing.assert_allclose(world.calls[call][index], episode.solution.actions, atol=1e-9)
    assert sum(episode.energies) == pytest.approx(episode.solution.cost)
    assert episode.solution.iterations == len(world.calls)


@pytest.mark.parametrize(
    "bad", [{"mode": "fast"}, {"hybrid_left": -0.1}, {"proposal_fraction": 1.1}, {"refine_rate": 0.0}]
)
def test_settings_that_make_no_sense_are_refused_by_name(bad):
    with pytest.raises(JepaError, match=next(iter(bad))):
        PlannerConfig(**bad)
