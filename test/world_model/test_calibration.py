import json
from pathlib import Path

import numpy as np
import pytest
import torch

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.planning.surprise import DEFAULT_ARM_MARGIN
from jepa_ros.world_model.calibration import Calibration
from jepa_ros.world_model.checkpoint import load_checkpoint, save_calibration, save_checkpoint
from jepa_ros.world_model.joint_readout import JointReadout
from jepa_ros.world_model.model import ModelConfig, WorldModel
from jepa_ros.world_model.quantiles import QUANTILES, quantiles_of

ROOT = Path(__file__).resolve().parents[2]
SPEC = ActionSpec(("a", "b"), (-0.1,) * 2, (0.1,) * 2, (-1.0,) * 2, (1.0,) * 2)
SPREAD = np.geomspace(10.0, 0.1, 8)


def readout(width: int = 8, joints: int = 2) -> JointReadout:
    """Reads zero from every latent."""
    return JointReadout(
        np.zeros((width, joints)), np.zeros(joints), np.ones(joints), dict.fromkeys(QUANTILES, 1.0)
    )


def gaussian(count: int, seed: int) -> np.ndarray:
    """Latents (count, 8) whose deviations are SPREAD along rotated axes, around (3, ..., 3)."""
    axes = np.linalg.qr(np.random.default_rng(9).normal(size=(8, 8)))[0]
    return 3.0 + np.random.default_rng(seed).normal(size=(count, 8)) * SPREAD @ axes.T


def calibration(latents: np.ndarray | None = None, **changes) -> Calibration:
    latents = gaussian(5000, 0) if latents is None else latents
    return Calibration(
        **(
            {
                "latent_mean": latents.mean(0),
                "latent_covariance": np.cov(latents.T),
                "effective_rank": 3.0,
                "ood_quantiles": quantiles_of(np.linspace(0, 2, 101)),
                "surprise_quantiles": quantiles_of(np.linspace(0, 1, 101)),
                "frames": len(latents),
                "data_digest": "sha256:00",
            }
            | changes
        )
    )


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    model = WorldModel(ModelConfig(latent_dim=8, predictor_width=16), SPEC).eval()
    save_checkpoint(tmp_path, model, {"goal_tolerance": 0.2})
    return tmp_path


def rewrite(checkpoint: Path, **changes) -> None:
    file = checkpoint / "calibration.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_gaussian_latents_like_those_of_training_score_one():
    scores = calibration().ood_score(gaussian(5000, 1))
    assert np.sqrt(np.mean(scores**2)) == pytest.approx(1, rel=0.03)
    assert np.median(scores) == pytest.approx(
        np.sqrt(7.344 / 8), rel=0.03
    )  # 7.344: chi-squared median, 8 degrees


def test_a_step_along_an_axis_counts_in_deviations_of_that_axis():
    axes = np.linalg.qr(np.random.default_rng(9).normal(size=(8, 8)))[0]
    known = calibration(latent_mean=np.zeros(8), latent_covariance=axes * SPREAD**2 @ axes.T)
    for axis, deviation in zip(axes.T, SPREAD, strict=True):
        score = known.ood_score(3 * deviation * axis[None])
        assert score == pytest.approx(3 / np.sqrt(8), rel=0.01)


def test_a_direction_the_training_data_never_used_gives_large_and_finite_scores():
    flat = gaussian(500, 0)
    flat[:, 3] = 3.0
    scores = calibration(flat).ood_score(flat[0] + np.eye(8)[[3]])
    assert np.isfinite(scores).all() and scores > 10


def test_collapsed_latents_still_give_a_calibration():
    same = np.ones((100, 8))
    assert (
        calibration(same).ood_score(same[:1]) == 0
        and np.isfinite(calibration(same).ood_score(same + 1)).all()
    )


def test_round_trip_keeps_seven_digits(checkpoint):
    assert load_checkpoint(checkpoint).calibration is None
    before = calibration()
    save_calibration(checkpoint, before)
    after = load_checkpoint(checkpoint).calibration
    np.testing.assert_allclose(after.latent_mean, before.latent_mean, rtol=1e-6)
    np.testing.assert_allclose(after.latent_covariance, before.latent_covariance, rtol=1e-6)
    latents = gaussian(100, 2)
    np.testing.assert_allclose(after.ood_score(latents), before.ood_score(latents), rtol=1e-3)
    assert after.ood_quantiles == pytest.approx(before.ood_quantiles)
    assert after.surprise_quantiles == pytest.approx(before.surprise_quantiles)
    assert (after.frames, after.data_digest, after.effective_rank) == (5000, "sha256:00", 3.0)


def test_new_weights_drop_the_calibration_of_the_old(checkpoint):
    save_calibration(checkpoint, calibration())
    save_checkpoint(checkpoint, load_checkpoint(checkpoint).model, {"goal_tolerance": 0.2})
    assert load_checkpoint(checkpoint).calibration is None


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"model_id": "another"}, "made for model another"),
        ({"format": 2}, "format is 2"),
        ({"latent_mean": [0.0] * 7}, r"shape \(8, 8\) for a latent_mean of 7"),
        ({"latent_mean": [float("nan")] * 8}, "NaN or Inf"),
        ({"latent_covariance": np.triu(np.ones((8, 8))).tolist()}, "not symmetric"),
        ({"latent_covariance": (-np.eye(8)).tolist()}, "lowest eigenvalue is -1"),
        ({"latent_covariance": [[1.0], [1.0, 2.0]]}, "calibration"),
        ({"ood_quantiles": {"0.5": 1.0}}, "ood_quantiles lacks"),
        ({"surprise_quantiles": None}, "calibration"),
        ({"surprise_quantiles": dict.fromkeys(("0.5", "0.95", "0.99", "0.999"), -1)}, "not negative"),
        ({"effective_rank": float("inf")}, "effective_rank is inf"),
        ({"frames": "many"}, "calibration"),
        ({"joint_readout": {"weight": [[0.0]]}}, "calibration: 'bias' is missing"),
        ({"joint_readout": readout().to_dict() | {"spread": [1.0, 0.0]}}, "spread must be positive"),
        ({"joint_readout": readout(width=7).to_dict()}, "reads latents of 7"),
        ({"joint_readout": readout(joints=3).to_dict()}, "reads 3 joints"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_when_asked_for(checkpoint, changes, words):
    save_calibration(checkpoint, calibration())
    rewrite(checkpoint, **changes)
    loaded = load_checkpoint(checkpoint)
    with pytest.raises(JepaError, match=f"(?s)calibration.json.*{words}"):
        _ = loaded.calibration


def test_a_calibration_of_another_width_is_refused(checkpoint):
    save_calibration(checkpoint, calibration(np.random.default_rng(0).normal(size=(50, 4))))
    with pytest.raises(JepaError, match="4 wide for latents of 8; make it again: `jepa calibrate`"):
        _ = load_checkpoint(checkpoint).calibration


def test_the_joint_readout_is_kept_and_one_from_before_it_has_none(checkpoint):
    save_calibration(checkpoint, calibration(joint_readout=readout()))
    assert load_checkpoint(checkpoint).calibration.joint_readout.to_dict() == readout().to_dict()
    save_calibration(checkpoint, calibration())
    assert load_checkpoint(checkpoint).calibration.joint_readout is None


def test_missing_fields_and_broken_json_are_named(checkpoint):
    save_calibration(checkpoint, calibration())
    file = checkpoint / "calibration.json"
    content = json.loads(file.read_text())
    del content["frames"]
    file.write_text(json.dumps(content))
    with pytest.raises(JepaError, match="'frames' is missing"):
        _ = load_checkpoint(checkpoint).calibration
    file.write_text("{")
    with pytest.raises(JepaError, match="not readable JSON"):
        _ = load_checkpoint(checkpoint).calibration


@pytest.mark.parametrize("name", ["reach", "reach_push"])
def test_a_shipped_checkpoint_is_calibrated_on_the_data_it_was_trained_on(name):
    shipped = load_checkpoint(ROOT / "models" / name)
    found = shipped.calibration
    assert found.latent_dim == shipped.model.latent_dim
    assert found.data_digest == shipped.config["data"]["digest"]
    assert 0 < found.surprise_quantiles["0.5"] < found.surprise_quantiles["0.999"]
    noise = np.random.default_rng(0).integers(0, 256, (4, *shipped.model.image_size, 3), dtype=np.uint8)
    latents = shipped.model.encode(torch.from_numpy(noise)).numpy()
    assert np.median(found.ood_score(latents)) > found.ood_quantiles["0.5"]
    arm = found.joint_readout
    limit = DEFAULT_ARM_MARGIN * arm.quantiles["0.5"]  # the gate's: noise is not taken for the arm
    assert arm.error(latents, np.zeros((4, shipped.spec.dim))).min() > limit


def test_calibration_is_read_beside_the_model_it_was_made_for(tmp_path):
    from jepa_ros.world_model.calibration import CALIBRATION, read_calibration

    assert read_calibration(tmp_path) is None
    made = Calibration(
        np.zeros(2), np.eye(2), 1.0, dict.fromkeys(QUANTILES, 3.0), dict.fromkeys(QUANTILES, 0.5), 9, ""
    )
    (tmp_path / CALIBRATION).write_text(json.dumps({"model_id": "abc"} | made.to_dict()))
    model_id, found = read_calibration(tmp_path)
    assert (model_id, found.to_dict()) == ("abc", made.to_dict())
    (tmp_path / CALIBRATION).write_text('{"model_id": "abc"}')
    with pytest.raises(JepaError, match="calibration.json.*jepa calibrate"):
        read_calibration(tmp_path)
