"""auto is ONNX Runtime where a checkpoint has an export of its own weights; else torch, and a line says why."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from jepa_ros.costs.energy import Energy
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.errors import JepaError
from jepa_ros.export.choose import with_runtime
from jepa_ros.export.runtime import GRAPHS, OnnxModel
from jepa_ros.export.verify import TOLERANCE
from jepa_ros.export.writer import export_checkpoint
from jepa_ros.planning.memory import Context
from jepa_ros.planning.receding_horizon import Planner, PlannerConfig
from jepa_ros.world_model.checkpoint import load_checkpoint, save_checkpoint

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def beside(small, tmp_path_factory):
    """A copy of the small checkpoint with its export beside the weights."""
    folder = tmp_path_factory.mktemp("beside")
    shutil.copytree(small.path, folder, dirs_exist_ok=True)
    export_checkpoint(load_checkpoint(folder), horizon=4)
    return folder


@pytest.fixture
def copy(beside, tmp_path):
    """The same, to be spoilt."""
    return Path(shutil.copytree(beside, tmp_path / "copy"))


def choose(folder, runtime="auto"):
    said = []
    return with_runtime(load_checkpoint(folder), runtime, say=said.append).model, "".join(said)


def test_auto_takes_the_export_beside_the_weights_and_says_nothing(beside):
    model, said = choose(beside)
    assert isinstance(model, OnnxModel) and model.runtime == "onnx" and said == ""
    assert choose(beside, "torch")[0].runtime == "torch"


def test_an_export_beside_the_weights_keeps_no_copy_of_them(beside, small_export):
    """The graphs of a random checkpoint, whose weights do not repeat, are smaller than those that hold them."""
    assert (beside / "encoder.onnx").stat().st_size < (small_export / "encoder.onnx").stat().st_size / 10
    assert sorted(p.name for p in beside.glob("*.onnx")) == sorted(f"{name}.onnx" for name in GRAPHS)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 16, 3), np.uint8)
    inside, outside = OnnxModel(small_export), OnnxModel(beside)
    np.testing.assert_array_equal(inside.encode(images), outside.encode(images))


def test_weights_outlive_the_reading_of_the_files(beside):
    model = OnnxModel(beside)
    images = np.zeros((1, 32, 16, 3), np.uint8)
    before = model.encode(images)
    for _ in range(50):
        np.ones((beside / "model.safetensors").stat().st_size, np.uint8)
    np.testing.assert_array_equal(before, model.encode(images))


def test_an_installed_checkpoint_whose_files_are_links(beside, tmp_path):
    for file in beside.iterdir():
        (tmp_path / file.name).symlink_to(file)
    assert choose(tmp_path)[0].runtime == "onnx"


@pytest.mark.parametrize("words", ["export.json", "other weights", "differ", "not installed"])
def test_without_a_fitting_export_torch_computes_and_a_line_says_why(copy, monkeypatch, words):
    if words == "export.json":
        (copy / "export.json").unlink()
    elif words == "not installed":
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    elif words == "other weights":
        _retrain(copy, keep_export=True)
    else:
        monkeypatch.setattr("jepa_ros.export.choose.TOLERANCE", 0.0)
    model, said = choose(copy)
    assert model.runtime == "torch" and words in said and "\n" not in said
    with pytest.raises(JepaError, match=words):
        choose(copy, "onnx")


def test_an_export_of_other_weights_goes_with_the_weights(copy):
    _retrain(copy)
    assert not (copy / "export.json").exists()
    export_checkpoint(load_checkpoint(copy), horizon=2)  # over the graphs that are left
    model, said = choose(copy)
    assert said == "" and model.horizon == 2 and model.model_id == load_checkpoint(copy).model_id


def test_a_pinned_checkpoint_is_not_computed_by_an_export_that_is_not(beside):
    said = []
    assert with_runtime(load_checkpoint(beside), say=said.append, pinned=True).model.runtime == "torch"
    assert len(said) == 1 and "pinned" in said[0]
    assert with_runtime(load_checkpoint(beside), "onnx", pinned=True).model.runtime == "onnx"


def test_an_unknown_runtime_and_a_device_that_onnx_does_not_run_on_are_refused(beside):
    with pytest.raises(JepaError, match="choose one of auto, torch, onnx"):
        choose(beside, "tensorrt")
    checkpoint = load_checkpoint(beside, "meta")
    with pytest.raises(JepaError, match="'meta'.*cpu"):
        with_runtime(checkpoint, "onnx")
    assert with_runtime(checkpoint).model is checkpoint.model


def test_the_shipped_checkpoint_is_computed_by_onnx_and_plans_as_torch_does():
    checkpoint = load_checkpoint(ROOT / "models/reach")
    said = []
    chosen = with_runtime(checkpoint, say=said.append)
    assert chosen.model.runtime == "onnx", said
    assert sum(p.stat().st_size for p in checkpoint.path.iterdir()) < 20e6
    spec, rng = checkpoint.spec, np.random.default_rng(0)
    solutions = []
    for model in (checkpoint.model, chosen.model):
        rng = np.random.default_rng(0)
        latents, proprio = rng.standard_normal((2, 64)), rng.uniform(-1, 1, (2, 6))
        context = Context(latents, proprio, np.zeros((1, spec.block_dim)), 2, 0.0)
        evaluator = LatentEvaluator(model, Energy(spec), context, rng.standard_normal(64), "sum")
        solutions.append(Planner(spec, PlannerConfig()).plan(evaluator.evaluate, proprio[-1]))
    ours, theirs = solutions
    assert ours.cost == pytest.approx(theirs.cost, abs=TOLERANCE, rel=TOLERANCE)


def _retrain(folder: Path, keep_export: bool = False) -> None:
    """Other weights, in the same places of the file."""
    checkpoint = load_checkpoint(folder)
    with torch.no_grad():
        for weight in checkpoint.model.parameters():
            weight.add_(0.01)
    manifest = (folder / "export.json").read_text()
    save_checkpoint(folder, checkpoint.model, {"goal_tolerance": 0.2})
    if keep_export:
        (folder / "export.json").write_text(manifest)
