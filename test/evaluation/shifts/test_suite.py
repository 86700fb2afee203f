"""Every shift changes the picture, more with strength, the same for the same seed, and nothing but the picture."""

import numpy as np
import pytest

from jepa_ros.errors import JepaError
from jepa_ros.evaluation.shifts.condition import GOALS, STRENGTHS, Condition
from jepa_ros.evaluation.shifts.suite import SHIFTS, chosen_shifts, chosen_strengths
from jepa_ros.evaluation.shifts.view import ShiftedView
from jepa_ros.simulation.held_out import HELD_OUT_SEEDS
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task

SEEDS = [HELD_OUT_SEEDS[i] for i in range(4)]


@pytest.fixture(scope="module")
def simulator():
    with Simulator("push") as simulator:
        yield simulator


@pytest.fixture
def goal(simulator):
    start, goal = make_task("push").episode(1000)
    simulator.reset(start)
    return goal


def picture(simulator, name, strength, seed):
    with ShiftedView(simulator, Condition(name, strength), seed) as view:
        return view.render()


def difference(a, b):
    return float(np.abs(a.astype(int) - b).mean())


@pytest.mark.parametrize("name", SHIFTS)
def test_the_picture_changes_more_with_strength_and_is_back_without_it(simulator, goal, name):
    clean = simulator.render()
    found = [
        [difference(picture(simulator, name, strength, seed), clean) for strength in STRENGTHS]
        for seed in SEEDS
    ]
    assert np.min(found) > 0
    weak, medium, strong = np.mean(found, axis=0)
    assert 0 < weak < medium < strong
    np.testing.assert_array_equal(simulator.render(), clean)


@pytest.mark.parametrize("name", SHIFTS)
def test_the_seed_decides(simulator, goal, name):
    first, again, *others = (picture(simulator, name, "strong", seed) for seed in (SEEDS[0], *SEEDS))
    np.testing.assert_array_equal(first, again)
    assert any((first != other).any() for other in others)


@pytest.mark.parametrize("name", SHIFTS)
def test_physics_never_knows(simulator, goal, name):
    start = simulator.get_state()

    def trajectory(view):
        simulator.set_state(start)
        simulator.set_target(np.zeros(6))
        states = []
        for _ in range(5):
            simulator.advance(0.1)
            view.render()
            states.append(simulator.get_state()["physics"])
        return np.array(states)

    clean = trajectory(simulator)
    assert np.ptp(clean, axis=0).max() > 0.1
    with ShiftedView(simulator, Condition(name, "strong"), SEEDS[0]) as view:
        np.testing.assert_array_equal(trajectory(view), clean)


def test_distractors_stand_in_the_same_physics():
    """The second model, which the camera sees, would move the arm alike: nothing touches the objects."""
    shift = SHIFTS["distractors"]
    with (
        Simulator("push") as plain,
        Simulator("push", edit=lambda spec: shift.edit(spec, shift.rng(SEEDS[0]), 12)) as full,
    ):
        assert full.model.ngeom == plain.model.ngeom + 12
        for simulator in (plain, full):
            simulator.set_target(np.array([1.2, 1.2, 0.3, 0.5, 0, 0]))
            simulator.advance(2.0)
        np.testing.assert_array_equal(full.joint_positions, plain.joint_positions)


@pytest.mark.parametrize("name", ["table_colour", "noise"])
@pytest.mark.parametrize("goals", GOALS)
def test_goal_pictures_are_clean_where_asked_for(simulator, goal, name, goals):
    with ShiftedView(simulator, Condition(name, "strong", goals), SEEDS[0]) as view:
        changed = difference(view.goal_image(goal), simulator.goal_image(goal))
        assert difference(view.render(), simulator.render()) > 5
    assert (changed == 0) == (goals == "clean")


def test_the_shifted_view_follows_the_arm(simulator, goal):
    with ShiftedView(simulator, Condition("table_colour", "weak"), SEEDS[0]) as view:
        before = view.render()
        simulator.set_target(np.zeros(6))
        simulator.advance(1.0)
        assert difference(view.render(), before) > 1


def test_noise_is_new_in_every_frame_and_an_occlusion_stays(simulator, goal):
    for name, same in (("noise", False), ("occlusion", True)):
        with ShiftedView(simulator, Condition(name, "medium"), SEEDS[0]) as view:
            assert (view.render() == view.render()).all() == same


def test_seeds_of_training_are_refused(simulator, goal):
    with pytest.raises(JepaError, match="held out"):
        ShiftedView(simulator, Condition("noise", "weak"), 1000)


def test_names_are_chosen_and_what_the_task_lacks_is_told():
    shifts, useless = chosen_shifts("all", "reach")
    assert len(shifts) == len(SHIFTS) - 1 and useless == ["cube_colour"]
    assert chosen_shifts("all", "push") == (list(SHIFTS.values()), [])
    assert [s.name for s in chosen_shifts("noise, camera-pan,noise", "reach")[0]] == ["noise", "camera_pan"]
    assert chosen_strengths("strong,weak") == ["weak", "strong"]


@pytest.mark.parametrize(
    "text, told", [("fog", "unknown fog"), ("", "names none"), ("cube_colour", "task reach")]
)
def test_shifts_that_cannot_be_are_refused(text, told):
    with pytest.raises(JepaError, match=told):
        chosen_shifts(text, "reach")
