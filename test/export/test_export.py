"""Exports equal torch, carry the contract of the robot, and are refused where they are not whole."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from jepa_ros.cli.main import main
from jepa_ros.costs.energy import DEFAULT_WEIGHTS, PLAIN_TERMS, Energy
from jepa_ros.costs.evaluator import LatentEvaluator
from jepa_ros.errors import JepaError
from jepa_ros.export import verify, writer
from jepa_ros.export.runtime import GRAPHS, OnnxModel
from jepa_ros.export.verify import TOLERANCE, random_images
from jepa_ros.export.writer import export_checkpoint
from jepa_ros.planning.memory import Context
from jepa_ros.planning.protocols import REDUCTIONS
from jepa_ros.planning.receding_horizon import Planner, PlannerConfig
from jepa_ros.world_model.checkpoint import load_checkpoint
from jepa_ros.world_model.model import ModelConfig, WorldModel

ROOT = Path(__file__).parents[2]


def near(ours, theirs):
    np.testing.assert_allclose(ours, np.asarray(theirs), rtol=TOLERANCE, atol=TOLERANCE)


def context(checkpoint, samples, horizon, seed=1):
    """(latents, proprio, past_actions, goal), actions; within the ActionSpec's bounds."""
    rng, model, spec = np.random.default_rng(seed), checkpoint.model, checkpoint.spec

    def draw(lower, upper, *shape):
        values = rng.uniform(
            np.tile(lower, shape[-1] // spec.dim), np.tile(upper, shape[-1] // spec.dim), shape
        )
        return values.astype(np.float32)

    latents = rng.normal(size=(model.context + 1, model.latent_dim)).astype(np.float32)
    return (
        latents[:-1],
        draw(spec.position_lower, spec.position_upper, model.context, spec.dim),
        draw(spec.lower, spec.upper, model.context - 1, spec.block_dim),
        latents[-1],
    ), draw(spec.lower, spec.upper, samples, horizon, spec.block_dim)


@pytest.mark.parametrize("samples", [1, 2, 33, 300])
@pytest.mark.parametrize("horizon", [1, 4, 6])
def test_rollout_and_energy_equal_the_live_evaluator_for_any_number_of_candidates(
    small, small_export, samples, horizon
):
    loaded = OnnxModel(small_export)
    (latents, proprio, past, goal), actions = context(small, samples, horizon)
    for reduction in REDUCTIONS:
        seen = Context(latents, proprio, past, len(latents), 0.0)
        evaluator = LatentEvaluator(small.model, Energy(small.spec), seen, goal, reduction)
        totals = evaluator.evaluate(actions)
        ours, terms = loaded.costs(*loaded.rollout(latents, proprio, past, actions), actions, goal, reduction)
        near(ours, totals)
        near(sum(terms.values()), ours)
        for name, share in evaluator.result.terms.items():
            near(terms[name], share)


def test_costs_take_weights_and_a_term_left_out_weighs_nothing(small, small_export):
    (latents, proprio, past, goal), actions = context(small, 5, 4)
    loaded = OnnxModel(small_export)
    futures = loaded.rollout(latents, proprio, past, actions)
    totals, terms = loaded.costs(*futures, actions, goal, "last", {"effort": 2.0})
    share = (actions[:, -1] / np.tile([0.1, 0.2], 2)) ** 2
    near(totals, 2 * share.mean(-1))
    assert not terms["goal_distance"].any() and set(terms) == set(PLAIN_TERMS)
    with pytest.raises(JepaError, match="known: sum, min, last; goal_distance"):
        loaded.costs(*futures, actions, goal, "sum", {"speed": 1.0})


def test_one_block_and_images_equal_torch(small, small_export):
    loaded, images = OnnxModel(small_export), random_images((32, 16), 5)
    with torch.inference_mode():
        near(loaded.encode(images), small.model.encode(torch.tensor(images)))
    camera = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    near(loaded.embed(camera), small.model.embed(camera))
    (latents, proprio, past, _), actions = context(small, 1, 1)
    latent, joints = loaded.predict(latents[None], proprio[None], np.concatenate([past, actions[0]])[None])
    future, positions = small.model.rollout(*map(torch.tensor, (latents, proprio, past, actions)))
    near(latent, future[:, 0])
    near(joints, positions[:, 0])


def test_a_transformer_encoder_exports(small):
    torch.manual_seed(1)
    config = ModelConfig("vit_tiny", image_size=(32, 48), latent_dim=8, predictor_width=16)
    model = WorldModel(config, small.spec).eval()
    proto = writer.trace(*writer.traces(replace(small, model=model), horizon=1)["encoder"])
    images = random_images((32, 48), 3)
    (latents,) = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"images": images})
    with torch.inference_mode():
        near(latents, model.encode(torch.tensor(images)))


def test_the_shipped_checkpoint_by_the_command(tmp_path, capsys):
    out = tmp_path / "new" / "onnx"
    assert main(["export", "--checkpoint", str(ROOT / "models/reach"), "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "equal to torch within 0.0001" in told and "actions(S, 5, 24)" in told
    checkpoint, loaded = load_checkpoint(ROOT / "models/reach"), OnnxModel(out)
    near(loaded.embed(checkpoint.reference_view), checkpoint.model.embed(checkpoint.reference_view))
    manifest = json.loads((out / "export.json").read_text())
    assert set(manifest["verified"]["reached"]) == {*GRAPHS, "plan"}
    assert all(value <= TOLERANCE for value in manifest["verified"]["reached"].values())
    assert manifest["verified"]["images"]["reference_view"] == 1
    assert manifest["opset"] == writer.OPSET and {p.name for p in out.iterdir()} == {
        "export.json",
        *(f"{name}.onnx" for name in GRAPHS),
    }
    assert main(["export", "--checkpoint", str(ROOT / "models/reach"), "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_every_file_says_what_it_is_of(small, small_export):
    loaded = OnnxModel(small_export)
    assert (loaded.spec, loaded.model_id) == (small.spec, small.model_id)
    assert (loaded.image_size, loaded.latent_dim, loaded.context, loaded.horizon) == ((32, 16), 8, 3, 4)
    assert loaded.goal_tolerance == 0.2
    assert loaded.weights == {name: DEFAULT_WEIGHTS[name] for name in PLAIN_TERMS}
    for name in GRAPHS:
        proto = onnx.load(small_export / f"{name}.onnx")
        metadata = {p.key: json.loads(p.value) for p in proto.metadata_props}
        assert metadata.pop("jepa_ros.graph") == name
        assert metadata["jepa_ros.action_spec"] == small.spec.to_dict()
        assert metadata["jepa_ros.normalisation"]["proprio_std"] == small.model.proprio_std.tolist()
        assert metadata["jepa_ros.context"] == 3 and metadata["jepa_ros.model_id"] == small.model_id
        assert str(ROOT).encode() not in proto.SerializeToString()


BOARD = """
import sys
sys.modules["torch"] = None  # importing it is an error
import numpy as np
from jepa_ros.export.runtime import OnnxModel
from jepa_ros.planning.receding_horizon import Planner, PlannerConfig

model = OnnxModel(sys.argv[1])
picture = np.full((20, 20, 3), 90, np.uint8)
latents = np.repeat(model.embed(picture)[None], model.context, 0)
proprio = np.full((model.context, model.spec.dim), 0.1)
past = np.zeros((model.context - 1, model.spec.block_dim))
goal = model.embed(255 - picture)
planner = Planner(model.spec, PlannerConfig(horizon=model.horizon))

def energies(actions):
    futures = model.rollout(latents, proprio, past, actions)
    return model.costs(*futures, actions, goal, planner.reduction)[0]

solution = planner.plan(energies, proprio[-1])
print(repr(float(solution.cost)), solution.actions.shape)
"""


def test_a_whole_plan_without_torch_is_as_good_as_with_it(small, small_export):
    run = subprocess.run(
        [sys.executable, "-c", BOARD, str(small_export)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert run.returncode == 0, run.stderr
    picture = np.full((20, 20, 3), 90, np.uint8)
    latents = np.repeat(small.model.embed(picture)[None], 3, 0)
    goal = small.model.embed(255 - picture)
    planner = Planner(small.spec, PlannerConfig(horizon=4))
    seen = Context(latents, np.full((3, 2), 0.1), np.zeros((2, 4)), 3, 0.0)
    evaluator = LatentEvaluator(small.model, Energy(small.spec), seen, goal, planner.reduction)
    solution = planner.plan(evaluator.evaluate, np.full(2, 0.1))
    cost, _, shape = run.stdout.partition(" ")
    near(float(cost), solution.cost)
    assert shape.strip() == str(solution.actions.shape)


@pytest.fixture
def traced_before(small_export, monkeypatch):
    """Exports write the files of the one that was made already: tracing takes most of their time."""

    def write(onnx, checkpoint, folder, horizon, weights=None):
        shutil.copytree(small_export, folder, dirs_exist_ok=True)
        return json.loads((folder / "export.json").read_text())

    monkeypatch.setattr(writer, "_write", write)


def test_an_empty_folder_is_filled(small, traced_before, tmp_path):
    (tmp_path / "empty").mkdir()
    export_checkpoint(small, tmp_path / "empty", horizon=4)
    assert OnnxModel(tmp_path / "empty").model_id == small.model_id


def test_what_is_not_near_enough_to_torch_is_not_left_behind(small, traced_before, tmp_path):
    with pytest.raises(JepaError, match="differ by more than 1e-12 in .*encoder"):
        export_checkpoint(small, tmp_path / "onnx", horizon=4, tolerance=1e-12)
    assert not list(tmp_path.iterdir())


def test_a_graph_that_differs_from_torch_is_not_left_behind(small, tmp_path, monkeypatch):
    def wrong(self, latents, proprio, past_actions, actions):
        future, joints = WorldModel.rollout.__wrapped__(self.model, latents, proprio, past_actions, actions)
        return future * 1.001, joints

    monkeypatch.setattr(writer.graphs.RolloutGraph, "forward", wrong)
    with pytest.raises(JepaError, match="differ by more than 0.0001 in rollout, plan"):
        export_checkpoint(small, tmp_path / "onnx", horizon=1)
    assert not list(tmp_path.iterdir())


def test_numbers_that_are_none_count_as_different():
    with pytest.raises(JepaError, match="in costs"):
        verify.require_equal({"encoder": 0.0, "costs": float("nan")}, 1.0, "x")


@pytest.mark.parametrize(
    "option, value, word",
    [("horizon", 0, "at least 1 block"), ("tolerance", float("nan"), "positive number")],
)
def test_settings_that_make_no_sense_are_refused(small, tmp_path, option, value, word):
    with pytest.raises(JepaError, match=word):
        export_checkpoint(small, tmp_path / "onnx", **{option: value})


def test_a_folder_with_content_is_kept(small, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    with pytest.raises(JepaError, match="exists already"):
        export_checkpoint(small, tmp_path / "full")
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(JepaError, match="file"):
            export_checkpoint(small, out)
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["mine"]


def damaged(source, folder):
    shutil.copytree(source, folder)
    return folder


def test_damaged_and_foreign_exports_are_refused(small_export, tmp_path):
    cases = {
        "no such folder": (lambda f: shutil.rmtree(f), "export.json: not readable"),
        "truncated": (lambda f: os.truncate(f / "rollout.onnx", 100), "rollout.onnx: not the file"),
        "missing": (lambda f: (f / "costs.onnx").unlink(), "costs.onnx: No such file"),
        "swapped": (
            lambda f: shutil.copy(f / "costs.onnx", f / "encoder.onnx"),
            "encoder.onnx: not the file",
        ),
        "no JSON": (lambda f: (f / "export.json").write_text("{"), "not readable"),
        "a list": (lambda f: (f / "export.json").write_text("[]"), "format is None"),
    }
    for index, (damage, word) in enumerate(cases.values()):
        folder = damaged(small_export, tmp_path / str(index))
        damage(folder)
        with pytest.raises(JepaError, match=word):
            OnnxModel(folder)


@pytest.mark.parametrize(
    "change, word",
    [
        (lambda m: m["model"].update(model_id="0" * 12), "encoder.onnx: its metadata"),
        (lambda m: m["model"].pop("action_spec"), "encoder.onnx: its metadata"),
        (lambda m: m.pop("model"), "encoder.onnx: its metadata"),
        (lambda m: m["files"].update(predictor="x"), "predictor.onnx: not the file"),
        (lambda m: m.update(format=2), "format is 2"),
    ],
)
def test_a_changed_manifest_is_refused(small_export, tmp_path, change, word):
    folder = damaged(small_export, tmp_path / "export")
    manifest = json.loads((folder / "export.json").read_text())
    change(manifest)
    (folder / "export.json").write_text(json.dumps(manifest))
    with pytest.raises(JepaError, match=word):
        OnnxModel(folder)


def test_a_file_that_is_no_onnx_is_refused_even_where_its_digest_is_right(small_export, tmp_path):
    import hashlib

    folder = damaged(small_export, tmp_path / "export")
    (folder / "encoder.onnx").write_bytes(b"no protobuf")
    manifest = json.loads((folder / "export.json").read_text())
    manifest["files"]["encoder"]["sha256"] = hashlib.sha256(b"no protobuf").hexdigest()
    (folder / "export.json").write_text(json.dumps(manifest))
    with pytest.raises(JepaError, match="encoder.onnx: ONNX Runtime .* cannot read it"):
        OnnxModel(folder)


def test_inputs_of_wrong_shape_and_unknown_providers_are_named(small, small_export):
    loaded = OnnxModel(small_export)
    with pytest.raises(JepaError, match=r"encoder.onnx: inputs .*\(1, 8, 8, 3\).*it takes .*32, 16, 3"):
        loaded.encode(np.zeros((1, 8, 8, 3), np.uint8))
    with pytest.raises(JepaError, match="has no NoSuchProvider; it has .*CPUExecutionProvider"):
        OnnxModel(small_export, providers=["NoSuchProvider"])


@pytest.mark.parametrize(
    "module, word", [("onnxscript", "writing ONNX"), ("onnxruntime", "ONNX Runtime is not")]
)
def test_missing_libraries_are_named(small, tmp_path, monkeypatch, module, word):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(JepaError, match=f"{word}.*pip install"):
        export_checkpoint(small, tmp_path / "onnx")
