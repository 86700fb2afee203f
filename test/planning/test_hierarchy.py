"""Two levels: around a wall that a short look ahead does not see past, the slow level finds the way."""

import numpy as np
import pytest

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.episode import PlanningEpisode
from jepa_ros.planning.hierarchy import REACHED, Hierarchy
from jepa_ros.planning.memory import Context, ShortTermMemory
from jepa_ros.planning.protocols import EvaluationTimeout
from jepa_ros.planning.receding_horizon import Planner
from jepa_ros.planning.trigger import Cause

K, A, H, STRIDE, TOLERANCE = 2, 2, 3, 5, 0.05
SPEC = ActionSpec(
    joint_names=("x", "y"),
    lower=(-0.1,) * A,
    upper=(0.1,) * A,
    position_lower=(-3.0,) * A,
    position_upper=(3.0,) * A,
    block=K,
)
START, GOAL = np.zeros(2), np.array([2.0, 0.0])
SETTINGS = {"samples": 64, "elites": 8, "space": "free_blocks", "macros": 4, "near_blocks": 4.0}


class Plane:
    """A point (x, y) that latents tell as it is, and a wall across the straight way: x = 1, |y| < 0.7.

    It is its own world model, of a block and of STRIDE blocks; both levels judge by the straight distance, which knows
    nothing of the wall.
    """

    def __init__(self, goal=GOAL):
        self.goal, self.at, self.foreseen = goal, START.copy(), 0

    def moved(self, points, steps):
        """points (S, 2) by steps (S, 2); who would go through the wall stays."""
        after = points + steps
        share = (1 - points[:, 0]) / np.where(steps[:, 0] == 0, 1e-9, steps[:, 0])
        through = (0 <= share) & (share <= 1) & (np.abs(points[:, 1] + share * steps[:, 1]) < 0.7)
        return np.where(through[:, None], points, after)

    def futures(self, actions):
        """(S, H, KA) -> (S, H, 2)."""
        points, seen = np.tile(self.at, (len(actions), 1)), []
        for step in actions.reshape(len(actions), -1, A).swapaxes(0, 1):
            points = self.moved(points, step)
            seen.append(points)
        return np.stack(seen[K - 1 :: K], 1)

    def __call__(self, actions):
        return np.linalg.norm(self.futures(actions) - self.aim, axis=-1).sum(1)

    def foresee(self, context, goal, macros):
        np.testing.assert_array_equal(context.latents[-1], self.at.astype(np.float32))
        self.foreseen += 1
        points, path = np.tile(self.at, (len(macros), 1)), []
        for macro in macros.swapaxes(0, 1):
            path.append(points)
            points = self.moved(points, 0.5 * macro)
        path = np.stack([*path, points], 1)
        return path[:, 1].astype(np.float32), np.linalg.norm(path - goal, axis=-1) / (K * 0.1)


def drive(levels, blocks=40, seed=0, world=None, **changed):
    """Looks, plans and blocks; the world at the end, and the episode."""
    config = PlannerConfig(**SETTINGS | {"levels": levels, "seed": seed} | changed)
    hierarchy = Hierarchy(A, config) if levels == 2 else None
    episode = PlanningEpisode(Planner(SPEC, config), ShortTermMemory(SPEC, 2), hierarchy=hierarchy)
    episode.reset(seed)
    world, way = world or Plane(), []
    for block in range(blocks):
        episode.look(world.at, world.at, float(block))
        world.aim = episode.aim(world.goal, world.foresee, TOLERANCE)
        _, actions = episode.plan(world, world.aim, tolerance=TOLERANCE)
        episode.execute(actions)
        world.at = world.futures(actions[None, :K])[0, 0]
        way.append((world.at, world.aim))
    return world, episode, way


@pytest.mark.parametrize("seed", range(3))
def test_two_levels_come_around_the_wall_that_one_level_stops_at(seed):
    flat, *_ = drive(1, seed=seed)
    assert flat.at[0] < 1 and np.linalg.norm(flat.at - GOAL) > 0.9
    world, episode, way = drive(2, seed=seed)
    assert np.linalg.norm(world.at - GOAL) < 0.1
    assert max(abs(at[1]) for at, _ in way) > 0.7  # around, not through
    np.testing.assert_array_equal(way[-1][1], GOAL)  # the last steps are planned for the goal itself
    assert episode.hierarchy.target is None and episode.hierarchy.blocks < 4


def test_targets_lie_on_the_way_and_are_new_after_so_many_looks():
    world, episode, way = drive(2, blocks=6, target_looks=3, near_blocks=0.0)
    aims = np.array([aim for _, aim in way])
    assert (
        np.all(aims[0] == aims[:3]) and np.all(aims[3] == aims[3:]) and not np.array_equal(aims[0], aims[3])
    )
    assert episode.hierarchy.asked == 2
    assert world.foreseen == 2 * (1 + episode.planner.config.macro_iterations)
    # A new target is planned for anew: nothing is kept, no warm start.
    assert episode.causes[Cause.NO_PLAN] >= 2


def context(at):
    return Context(np.tile(np.float32(at), (2, 1)), np.zeros((2, A)), np.zeros((1, K * A)), 2, 0.0)


def test_a_target_that_is_reached_is_followed_by_the_next_at_once():
    world, hierarchy = Plane(), Hierarchy(A, PlannerConfig(**SETTINGS | {"target_looks": 100}))
    target = hierarchy.aim(world.foresee, context(world.at), GOAL, TOLERANCE)
    world.at = target + [0.0, 1.5 * REACHED * TOLERANCE * np.sqrt(2)]
    np.testing.assert_array_equal(hierarchy.aim(world.foresee, context(world.at), GOAL, TOLERANCE), target)
    world.at = target + [0.0, 0.5 * REACHED * TOLERANCE * np.sqrt(2)]
    assert not np.array_equal(hierarchy.aim(world.foresee, context(world.at), GOAL, TOLERANCE), target)
    assert hierarchy.asked == 2


def test_another_goal_ends_a_target_and_a_reset_all():
    world, hierarchy = Plane(), Hierarchy(A, PlannerConfig(**SETTINGS | {"target_looks": 100}))
    first = hierarchy.aim(world.foresee, context(START), GOAL, TOLERANCE)
    other = hierarchy.aim(world.foresee, context(START), -GOAL, TOLERANCE)
    assert hierarchy.asked == 2 and other[0] < 0 < first[0]
    hierarchy.reset()
    assert hierarchy.target is None and hierarchy.asked == 0 and np.isnan(hierarchy.blocks)
    np.testing.assert_array_equal(hierarchy.aim(world.foresee, context(START), GOAL, TOLERANCE), first)


def test_near_the_goal_nothing_is_searched():
    world, hierarchy = Plane(), Hierarchy(A, PlannerConfig(**SETTINGS | {"near_blocks": 10.0}))
    assert hierarchy.aim(world.foresee, context(START), GOAL, TOLERANCE) is GOAL
    assert world.foreseen == hierarchy.asked == 1 and hierarchy.blocks == pytest.approx(10)


def test_where_no_macro_action_leads_nearer_the_goal_is_pursued():
    class Stuck(Plane):
        def moved(self, points, steps):
            return points

    world, hierarchy = Stuck(), Hierarchy(A, PlannerConfig(**SETTINGS))
    assert hierarchy.aim(world.foresee, context(START), GOAL, TOLERANCE) is GOAL


def test_that_the_start_is_told_a_little_nearer_in_another_batch_makes_no_target():
    """As rounding does."""

    class Rounded(Plane):
        def moved(self, points, steps):
            return points

        def foresee(self, context, goal, macros):
            firsts, ways = super().foresee(context, goal, macros)
            return firsts, ways - 1e-6 * (len(macros) > 1) * (np.arange(ways.shape[1]) == 0)

    world, hierarchy = Rounded(), Hierarchy(A, PlannerConfig(**SETTINGS))
    assert hierarchy.aim(world.foresee, context(START), GOAL, TOLERANCE) is GOAL


def test_after_a_timeout_the_slow_level_is_asked_again():
    world, hierarchy = Plane(), Hierarchy(A, PlannerConfig(**SETTINGS))

    def silent(*_):
        raise EvaluationTimeout("nothing came")

    for _ in range(2):
        with pytest.raises(EvaluationTimeout):
            hierarchy.aim(silent, context(START), GOAL, TOLERANCE)
    found = hierarchy.aim(world.foresee, context(START), GOAL, TOLERANCE)
    assert found is not GOAL and hierarchy.asked == 3


def test_the_slow_level_answers_with_the_best_it_found_in_time():
    now = 0.0

    def foresee_slowly(*asked):
        nonlocal now
        now += 0.3
        return Plane().foresee(*asked)

    asked = {}
    for deadline in (None, 1.0, 0.1):
        now, hierarchy = 0.0, Hierarchy(A, PlannerConfig(**SETTINGS | {"macro_iterations": 9}), lambda: now)
        assert hierarchy.aim(foresee_slowly, context(START), GOAL, TOLERANCE, deadline) is not GOAL
        asked[deadline] = round(now / 0.3)
    assert asked[None] == 10 and asked[1.0] <= 5 and asked[0.1] == 2  # one asks how far the goal is


def test_same_seed_same_targets_and_another_seed_others():
    first, again, other = (drive(2, blocks=8, seed=seed)[2] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_without_a_slow_level_nothing_is_asked():
    world, episode, way = drive(1, blocks=3)
    assert world.foreseen == 0 and episode.hierarchy is None
    assert all(aim is world.goal for _, aim in way)


@pytest.mark.parametrize("bad", [{"levels": 3}, {"macros": 0}, {"target_looks": 0}, {"speed": 0.0}])
def test_settings_that_make_no_sense_are_refused_by_name(bad):
    with pytest.raises(JepaError, match=next(iter(bad))):
        PlannerConfig(**bad)
    with pytest.raises(JepaError, match="macro-actions are 0 wide"):
        Hierarchy(0, PlannerConfig())


def test_a_slow_planner_stays_within_its_share_of_the_bounds():
    fast, slow = (Planner(SPEC, PlannerConfig(speed=speed, seed=1)) for speed in (1.0, 0.25))
    assert fast.spec is SPEC
    for planner, most in ((fast, 0.1), (slow, 0.025)):
        actions = planner.plan(Far(), START).actions
        assert np.abs(actions).max() == pytest.approx(most)
        policy = Planner(SPEC, PlannerConfig(speed=planner.config.speed, mode="policy"))
        found = policy.plan(Far(), START, propose=lambda: (np.full((1, 5, K * A), 0.1), False)).actions
        np.testing.assert_allclose(found, most)


class Far:
    """All that goes far is good."""

    def __call__(self, actions):
        self.costs = -actions.sum((1, 2))
        return self.costs

    def ends(self):
        return self.costs
