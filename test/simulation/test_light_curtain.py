"""The scene with a random outcome: who passes through the curtain is stopped or not, by the luck of the episode."""

from dataclasses import replace

import numpy as np
import pytest

from jepa_ros.simulation.light_curtain import CHANCE, HEIGHT, is_inside
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import Goal, make_task

TASK = make_task("curtain")


@pytest.fixture(scope="module")
def simulator():
    with Simulator("curtain", (32, 32)) as made:
        yield made


def go_straight(simulator, start: Goal, goal: Goal, seconds: float = 1.2) -> None:
    simulator.reset(start)
    begin, way = simulator.target, goal.joints - start.joints
    for tick in range(round(seconds / 0.02)):
        simulator.set_target(begin + way * min(1.0, tick / 40))
        simulator.advance(0.02)


def lucks(simulator, start: Goal, goal: Goal) -> dict[bool, int]:
    """For either outcome of the straight way a luck that brings it."""
    found: dict[bool, int] = {}
    for luck in range(64):
        go_straight(simulator, replace(start, luck=luck), goal)
        found.setdefault(simulator.stopped, luck)
        if len(found) == 2:
            return found
    raise AssertionError(f"one outcome in 64 tries: {found}")


def test_a_stop_holds_the_arm_where_it_is_and_shows(simulator):
    start, goal = TASK.episode(0)
    luck = lucks(simulator, start, goal)
    go_straight(simulator, replace(start, luck=luck[False]), goal)
    assert TASK.error(simulator, goal) < 0.02
    passed = simulator.render()
    go_straight(simulator, replace(start, luck=luck[True]), goal)
    stopped, there = simulator.render(), simulator.end_effector
    assert abs(there[1]) < 0.06 and TASK.error(simulator, goal) > TASK.tolerance

    def red(image):
        return np.mean((image[..., 0] > 150) & (image[..., 1] < 80) & (image[..., 2] < 80))

    assert red(stopped) > red(passed) + 0.03
    simulator.set_target(start.joints)
    simulator.advance(1.0)
    assert np.linalg.norm(simulator.end_effector - there) < 0.01
    simulator.reset(start)
    assert not simulator.stopped


def test_chance_is_what_it_says_and_depends_on_luck_alone(simulator):
    start, goal = TASK.episode(1)
    outcomes = []
    for luck in range(40):
        go_straight(simulator, replace(start, luck=luck), goal, 0.9)
        outcomes.append(simulator.stopped)
    assert abs(np.mean(outcomes) - CHANCE) < 0.25  # three standard deviations
    again = []
    for luck in range(5):
        go_straight(simulator, replace(start, luck=luck), goal, 0.9)
        again.append(simulator.stopped)
    assert again == outcomes[:5]


def test_above_the_curtain_the_way_is_free(simulator):
    start, goal = TASK.episode(0)
    luck = lucks(simulator, start, goal)[True]
    above = np.array([0.0, -0.5, 0.2, 0.4, 0.0, 0.2])
    assert simulator.forward_kinematics(above)[2] > HEIGHT
    simulator.reset(replace(start, luck=luck))
    places = [start.joints, [start.joints[0], *above[1:]], [goal.joints[0], *above[1:]], goal.joints]
    for begin, end in zip(np.array(places[:-1]), np.array(places[1:]), strict=True):
        for part in np.linspace(0, 1, 40):
            simulator.set_target(begin + part * (end - begin))
            simulator.advance(0.02)
    simulator.advance(0.5)
    assert not simulator.stopped and TASK.error(simulator, goal) < TASK.tolerance


def test_a_state_holds_the_curtain_too(simulator):
    start, goal = TASK.episode(0)
    luck = lucks(simulator, start, goal)[True]
    go_straight(simulator, replace(start, luck=luck), goal, 0.1)
    before = simulator.get_state()
    begin, way = simulator.target, goal.joints - start.joints
    pictures = []
    for _ in range(2):
        simulator.set_state(before)
        for tick in range(60):
            simulator.set_target(begin + way * min(1.0, tick / 40))
            simulator.advance(0.02)
        assert simulator.stopped
        pictures.append(simulator.render())
    np.testing.assert_array_equal(*pictures)
    simulator.set_state(before)
    assert not simulator.stopped


def test_episodes_are_the_same_for_a_seed_and_lead_through_the_curtain():
    for seed in range(5):
        start, goal = TASK.episode(seed)
        again, _ = TASK.episode(seed)
        np.testing.assert_array_equal(start.joints, again.joints)
        assert start.luck == again.luck and start.end_effector[1] * goal.end_effector[1] < 0
        assert not is_inside(start.end_effector) and not is_inside(goal.end_effector)
        assert Goal.from_dict(start.to_dict()).luck == start.luck
    assert len({TASK.episode(seed)[0].luck for seed in range(5)}) == 5


def test_a_recorded_arm_comes_to_the_curtain_often():
    task, rng = make_task("curtain"), np.random.default_rng(0)
    begun, crossed, above = 0, 0, 0
    for _ in range(12):
        start = task.sample_start(rng)
        for goal in (task.sample_goal(rng) for _ in range(5)):
            begun += 1
            above += goal.end_effector[2] > HEIGHT
            crossed += goal.end_effector[2] < HEIGHT and start.end_effector[1] * goal.end_effector[1] < 0
    assert abs(above / begun - task.above) < 0.2
    assert abs(crossed / (begun - above) - task.across) < 0.2
