"""The joint readout, with known answers: joints that a latent holds are read, and a wrong picture is told."""

import numpy as np
import pytest

from jepa_ros.errors import JepaError
from jepa_ros.world_model.joint_readout import FINEST, JointReadout
from jepa_ros.world_model.quantiles import QUANTILES

D, A, NOISE = 8, 3, (0.01, 0.05, 0.2)


def frames(count, seed, moves=(1.0, 1.0, 1.0)):
    """Joints (count, A), and latents (count, D) that hold them beside other things, with NOISE rad in each joint."""
    rng = np.random.default_rng(seed)
    joints = rng.normal(size=(count, A)) * moves
    mixed = np.linalg.qr(np.random.default_rng(9).normal(size=(D, D)))[0]
    seen = joints + rng.normal(size=joints.shape) * NOISE
    return np.c_[seen, rng.normal(size=(count, D - A))] @ mixed + 3.0, joints


@pytest.fixture(scope="module")
def readout():
    return JointReadout.fit(*frames(4000, 0), frames(1000, 1))


def test_joints_are_read_as_well_as_the_latent_holds_them(readout):
    assert readout.spread == pytest.approx(NOISE, rel=0.1)
    assert readout.error(*frames(1000, 2)).mean() == pytest.approx(0.92, abs=0.05)  # chi with three degrees
    assert readout.quantiles["0.5"] < 1 < readout.quantiles["0.95"] < readout.quantiles["0.999"] < 4


def test_an_arm_elsewhere_counts_by_how_well_its_joint_is_known(readout):
    latents, joints = frames(2000, 3)
    before = np.mean(readout.error(latents, joints) ** 2)
    for joint in range(A):
        off = joints + 0.2 * np.eye(A)[joint]
        more = np.mean(readout.error(latents, off) ** 2) - before
        assert more == pytest.approx((0.2 / NOISE[joint]) ** 2 / A, rel=0.2)


def test_a_joint_that_never_moved_has_no_infinite_say():
    known, held_out = frames(500, 0, (1, 1, 0)), frames(500, 1, (1, 1, 0))
    found = JointReadout.fit(*known, held_out)
    assert found.spread[2] == FINEST and np.isfinite(found.error(*held_out)).all()


def test_latents_that_collapsed_read_nothing_and_say_so():
    joints = frames(500, 0)[1]
    found = JointReadout.fit(np.ones((500, D)), joints, (np.ones((500, D)), joints))
    assert found.spread == pytest.approx(joints.std(0), rel=0.01) and np.abs(found.weight).max() < 1e-6


def test_written_and_read_it_is_the_same(readout):
    again = JointReadout.from_dict(readout.to_dict())
    assert again.to_dict() == readout.to_dict() and set(again.quantiles) == set(QUANTILES)
    latents, joints = frames(5, 4)
    np.testing.assert_allclose(again.error(latents, joints), readout.error(latents, joints), rtol=1e-4)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"bias": [0.0]}, r"weight \(8, 3\), bias \(1,\)"),
        ({"weight": [[float("nan")] * A] * D}, "NaN or Inf"),
        ({"spread": [1.0, 0.0, 1.0]}, "spread must be positive"),
        ({"quantiles": {"0.5": 1.0}}, "quantiles lacks"),
    ],
)
def test_what_does_not_fit_is_refused(readout, changes, words):
    with pytest.raises(JepaError, match=words):
        JointReadout.from_dict(readout.to_dict() | changes)
