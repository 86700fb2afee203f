import json

import numpy as np
import pytest
import torch

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.world_model.baselines import Baselines, load_baselines, save_baselines
from jepa_ros.world_model.checkpoint import halved, load_checkpoint, save_checkpoint, save_tensors
from jepa_ros.world_model.model import ModelConfig, WorldModel

SPEC = ActionSpec(
    joint_names=("a", "b"),
    lower=(-0.1,) * 2,
    upper=(0.1,) * 2,
    position_lower=(-1.0,) * 2,
    position_upper=(1.0,) * 2,
    block=2,
    mean=(0.01, 0.0),
    std=(0.05, 0.04),
)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = WorldModel(ModelConfig(latent_dim=8, predictor_width=16), SPEC).eval()
    model.proprio_mean.copy_(torch.tensor([0.5, -0.5]))
    view = np.full((64, 64, 3), (200, 30, 10), np.uint8)
    save_checkpoint(tmp_path / "ckpt", model, {"goal_tolerance": 0.2, "metrics": {"x": 1.0}}, view)
    return model, tmp_path / "ckpt"


def test_round_trip_keeps_weights_spec_statistics_and_view(saved):
    model, path = saved
    loaded = load_checkpoint(path)
    image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(loaded.model.encode(image), model.encode(image), rtol=0, atol=0)
    assert loaded.spec == SPEC
    assert loaded.model.proprio_mean.tolist() == [0.5, -0.5]
    assert loaded.goal_tolerance == 0.2 and loaded.config["metrics"] == {"x": 1.0}
    assert loaded.reference_view.shape == (64, 64, 3) and loaded.reference_view[0, 0].tolist() == [
        200,
        30,
        10,
    ]
    assert len(loaded.model_id) == 12 and loaded.model_id == load_checkpoint(path).model_id
    assert not any(p.requires_grad for p in loaded.model.parameters())


def test_weights_that_cannot_be_written_leave_all_as_it_was(saved, monkeypatch):
    model, path = saved
    (path / "heads.safetensors").write_bytes(b"of these weights")

    def full(*_):
        raise OSError(28, "No space left on device")

    before = {file.name: file.read_bytes() for file in path.iterdir()}
    monkeypatch.setattr("jepa_ros.world_model.checkpoint.save_file", full)
    with pytest.raises(JepaError, match="model.safetensors: cannot be written"):
        save_checkpoint(path, model, {"goal_tolerance": 0.3})
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


def test_missing_directory_and_files_are_named(saved, tmp_path):
    with pytest.raises(JepaError, match="nowhere.*config.json"):
        load_checkpoint(tmp_path / "nowhere")
    _, path = saved
    (path / "model.safetensors").unlink()
    with pytest.raises(JepaError, match="no model.safetensors"):
        load_checkpoint(path)


def test_damaged_weights_are_refused(saved):
    _, path = saved
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(JepaError, match="not a readable safetensors"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"format": 99}, "format is 99"),
        ({"model": {"latent_dim": 16, "predictor_width": 16}}, "tensors are not those that config.json"),
        ({"model": {"depth": 3}}, "not one `jepa train` wrote"),
        ({"action_spec": {"joint_names": ["a"]}}, "missing keys"),
    ],
)
def test_config_that_does_not_fit_is_refused(saved, change, words):
    _, path = saved
    config = json.loads((path / "config.json").read_text()) | change
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(JepaError, match=words):
        load_checkpoint(path)


def test_config_that_is_not_json_is_refused(saved):
    (saved[1] / "config.json").write_text("{")
    with pytest.raises(JepaError, match="not readable JSON"):
        load_checkpoint(saved[1])


@pytest.mark.parametrize("taken", ["partial", "safetensors"])
def test_tensors_that_cannot_be_written_are_named(tmp_path, taken):
    (tmp_path / f"some.{taken}").mkdir()
    with pytest.raises(JepaError, match="some.safetensors: cannot be written"):
        save_tensors(tmp_path / "some.safetensors", {"a": torch.zeros(1)})


def test_diverged_weights_are_refused(saved, tmp_path):
    model, _ = saved
    with torch.no_grad():
        model.joint_head.bias[0] = float("nan")
    save_checkpoint(tmp_path / "nan", model, {"goal_tolerance": 0.2})
    with pytest.raises(JepaError, match="NaN or Inf in joint_head.bias"):
        load_checkpoint(tmp_path / "nan")


def test_baselines_live_beside_the_model_in_physical_units_and_half_precision(saved):
    _, path = saved
    with pytest.raises(JepaError, match="no baselines.safetensors"):
        load_baselines(path)
    torch.manual_seed(1)
    baselines = Baselines(ModelConfig(latent_dim=8), SPEC).eval()
    save_baselines(path, baselines)
    baselines.load_state_dict(halved(baselines))
    loaded = load_baselines(path)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(loaded.joints_from_image(image), baselines.joints_from_image(image))
    block = loaded.policy_block(image, image, np.zeros(2))
    assert block.shape == (2, 2)
    assert np.all(np.abs(block) <= 0.1)


def test_baselines_of_the_weights_before_are_not_taken_for_those_of_the_new(saved):
    model, path = saved
    save_baselines(path, Baselines(ModelConfig(latent_dim=8), SPEC))
    save_checkpoint(path, model, {"goal_tolerance": 0.1})
    with pytest.raises(JepaError, match="no baselines.safetensors"):
        load_baselines(path)
