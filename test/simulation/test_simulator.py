"""The simulator: repeatable, complete in its state, and free of side effects where it says so."""

import threading

import numpy as np
import pytest

from jepa_ros.errors import JepaError
from jepa_ros.simulation.arm import HOME, JOINT_NAMES, POSITION_LOWER, POSITION_UPPER
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import Goal, make_task

A = len(JOINT_NAMES)


@pytest.fixture(scope="module")
def shared():
    """One simulator for tests that begin with a reset."""
    with Simulator() as sim:
        yield sim


@pytest.fixture
def sim(shared):
    shared.reset()
    return shared


def drive(sim, seed=0, steps=6):
    """Random 10 Hz targets; returns what was measured and seen at every step."""
    rng = np.random.default_rng(seed)
    seen = []
    for _ in range(steps):
        sim.set_target(sim.target + rng.uniform(-0.12, 0.12, A))
        sim.advance(0.1)
        seen.append((sim.joint_positions, sim.joint_velocities, sim.end_effector, sim.render(), sim.time))
    return seen


def assert_same(a, b):
    for first, second in zip(a, b, strict=True):
        for x, y in zip(first, second, strict=True):
            np.testing.assert_array_equal(x, y)


def test_the_same_inputs_give_the_same_motion_and_images(sim):
    first = drive(sim)
    sim.reset()
    assert_same(first, drive(sim))
    with Simulator() as other:
        assert_same(first, drive(other))


def test_reset_starts_at_rest_where_asked_and_stays_there(sim):
    start, _ = make_task("reach").episode(3)
    drive(sim, steps=2)
    sim.reset(start)
    assert sim.time == 0.0
    np.testing.assert_array_equal(sim.joint_positions, start.joints)
    np.testing.assert_allclose(sim.end_effector, start.end_effector, atol=1e-9)
    sim.advance(1.0)
    np.testing.assert_allclose(sim.joint_positions, start.joints, atol=1e-6)


def test_the_arm_settles_near_its_target(sim):
    sim.set_target(sim.target + 0.12)
    sim.advance(0.35)
    at_035 = sim.joint_positions
    sim.advance(2.0)
    settled = sim.joint_positions
    np.testing.assert_allclose(at_035, settled, atol=0.01)
    np.testing.assert_allclose(settled, sim.target, atol=0.05)  # a little sag under the arm's weight
    np.testing.assert_allclose(sim.joint_velocities, 0.0, atol=1e-3)


def test_targets_are_clipped_to_the_position_limits(sim):
    sim.set_target(np.full(A, 99.0))
    np.testing.assert_array_equal(sim.target, POSITION_UPPER)
    sim.set_target(np.full(A, -99.0))
    np.testing.assert_array_equal(sim.target, POSITION_LOWER)


@pytest.mark.parametrize("bad", [np.zeros(A - 1), np.full(A, np.nan), np.zeros((1, A))])
def test_bad_targets_are_refused_and_change_nothing(sim, bad):
    before = sim.target
    with pytest.raises(JepaError, match="shoulder_pan"):
        sim.set_target(bad)
    np.testing.assert_array_equal(sim.target, before)


def test_time_adds_up_exactly_over_steps_that_do_not_divide_it(sim):
    for _ in range(300):
        sim.advance(1 / 30)
    assert sim.time == pytest.approx(10.0, abs=0.0026)


@pytest.mark.parametrize("task", ["reach", "push"])
def test_a_saved_state_continues_bit_for_bit(task):
    with Simulator(task) as sim, Simulator(task) as other:
        sim.reset(make_task(task).episode(0)[0])
        drive(sim, steps=3)
        sim.advance(0.0123)  # leave a rest below one physics step
        sim.set_target(sim.target + 0.1)  # a target not yet acted on is part of the state
        state = sim.get_state()
        ahead = drive(sim, seed=1)
        sim.set_state(state)
        assert_same(ahead, drive(sim, seed=1))
        other.reset(state)
        assert_same(ahead, drive(other, seed=1))


def test_a_saved_state_is_a_copy(sim):
    state = sim.get_state()
    before = state["physics"].copy()
    drive(sim, steps=1)
    np.testing.assert_array_equal(state["physics"], before)


def test_states_of_other_tasks_are_refused(sim):
    with Simulator("push") as push:
        with pytest.raises(JepaError, match="push"):
            sim.set_state(push.get_state())


def test_forward_kinematics_is_where_the_gripper_is(sim):
    task = make_task("reach")
    rng = np.random.default_rng(5)
    for _ in range(20):
        pose = task.sample_start(rng)
        sim.reset(pose)
        sim.advance(0.05)
        np.testing.assert_allclose(sim.forward_kinematics(sim.joint_positions), sim.end_effector, atol=1e-12)
        np.testing.assert_allclose(sim.forward_kinematics(pose.joints), pose.end_effector, atol=1e-12)


@pytest.mark.parametrize("task", ["reach", "push"])
def test_queries_leave_the_running_simulation_alone(task):
    start, goal = make_task(task).episode(1)
    with Simulator(task) as asked, Simulator(task) as quiet:
        for sim in (asked, quiet):
            sim.reset(start)
            sim.set_target(goal.joints)
        for _ in range(5):
            asked.goal_image(goal)
            asked.forward_kinematics(goal.joints)
            asked.camera_info()
            asked.render(size=(32, 48))
            for sim in (asked, quiet):
                sim.advance(0.1)
        np.testing.assert_array_equal(asked.get_state()["physics"], quiet.get_state()["physics"])
        np.testing.assert_array_equal(asked.render(), quiet.render())


@pytest.mark.parametrize("task", ["reach", "push"])
def test_the_goal_image_is_what_the_camera_sees_at_the_goal(task):
    with Simulator(task) as sim:
        _, goal = make_task(task).episode(2)
        image = sim.goal_image(goal)
        sim.reset(goal)
        np.testing.assert_array_equal(sim.render(), image)
        assert make_task(task).error(sim, goal) < 1e-9


def test_a_goal_without_a_cube_is_refused_by_push():
    with Simulator("push") as sim, pytest.raises(JepaError, match="cube"):
        sim.goal_image(Goal(HOME, np.zeros(3)))


def test_images_have_the_size_asked_for(sim):
    assert sim.render().shape == (64, 64, 3) and sim.render().dtype == np.uint8
    assert sim.render(size=(48, 80)).shape == (48, 80, 3)
    assert sim.render(size=(480, 640)).shape == (480, 640, 3)


def test_small_images_are_averages_of_large_ones(sim):
    large = sim.render(size=(512, 512)).astype(float)  # above the size that is averaged itself
    small = sim.render(size=(64, 64)).astype(float)
    mean = large.reshape(64, 8, 64, 8, 3).mean(axis=(1, 3))
    assert np.abs(mean - small).mean() < 1.5


@pytest.mark.parametrize("size", [(0, 64), (64,), "64", (64, 100_000), None])
def test_impossible_image_sizes_are_refused(size):
    with pytest.raises(JepaError, match="image size"):
        Simulator(image_size=size)


def test_an_unknown_camera_is_refused_by_name(sim):
    with pytest.raises(JepaError, match="front"):
        sim.render(camera="back")


def test_closing_one_simulator_leaves_the_images_of_others_alone(sim):
    small, large = sim.render(), sim.render(size=(300, 300))
    other = Simulator()
    other.render()
    other.close()
    other.close()
    np.testing.assert_array_equal(sim.render(), small)
    np.testing.assert_array_equal(sim.render(size=(300, 300)), large)
    np.testing.assert_array_equal(other.render(), small)  # opens again
    del other
    np.testing.assert_array_equal(sim.render(size=(300, 300)), large)


def test_rendering_from_a_second_thread_is_refused_and_from_a_first_one_works(sim):
    sim.render()
    caught = []

    def work():
        with Simulator() as own:
            caught.append(own.render().mean())
        try:
            sim.render()
        except JepaError as error:
            caught.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert caught[0] == sim.render().mean()
    assert "thread" in caught[1]


def test_camera_info_projects_the_gripper_onto_its_pixels():
    size = (128, 192)
    with Simulator() as sim:
        info = sim.camera_info(size)
        assert (info["height"], info["width"]) == size
        camera = sim.model.camera("front")
        for seed in range(5):
            goal = make_task("reach").sample_goal(np.random.default_rng(seed))
            local = (goal.end_effector - camera.pos) @ _axes(camera.quat)
            u, v, w = info["k"] @ (local * [1, -1, -1])  # OpenGL's axes to those of an optical frame
            column, row = u / w, v / w
            opened = Goal(goal.joints + np.eye(A)[-1] * 0.3, goal.end_effector)
            shut = Goal(np.where(np.arange(A) == A - 1, -0.1, goal.joints), goal.end_effector)
            change = np.abs(sim.goal_image(opened, size).astype(int) - sim.goal_image(shut, size)).sum(axis=2)
            rows, columns = np.nonzero(change > 60)  # the moving jaw: beside the gripper frame
            distance = np.hypot(rows - row, columns - column).min()
            assert distance < 12


def _axes(quat):
    w, x, y, z = quat
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def test_the_cube_rests_until_it_is_pushed():
    task = make_task("push")
    with Simulator("push") as sim:
        _, goal = task.episode(0)
        sim.reset(goal)
        sim.advance(2.0)
        np.testing.assert_allclose(sim.cube, goal.cube, atol=5e-4)
        # Swing the gripper, which is close to the cube, both ways: one of them hits it.
        moved = []
        for swing in (-0.5, 0.5):
            sim.reset(goal)
            sim.set_target(sim.target + np.eye(A)[0] * swing)
            sim.advance(1.0)
            moved.append(task.error(sim, goal))
        assert max(moved) > 0.01
        assert sim.cube[2] > 0.01


def test_the_table_stops_the_arm(sim):
    start, _ = make_task("push").episode(0)
    sim.reset(start)
    sim.set_target(np.array([0.0, 1.7, 0.5, 0.5, 0.0, 0.0]))
    sim.advance(2.0)
    assert sim.end_effector[2] > -0.01
    assert sim.forward_kinematics(sim.target)[2] < -0.05
