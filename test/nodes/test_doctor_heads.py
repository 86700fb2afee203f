"""What the doctor says of a checkpoint's heads."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from node_bench import add_heads
from test_doctor_checks import bad, expected, heard

from jepa_ros.nodes.doctor.contract import check_contract
from jepa_ros.nodes.doctor.latency import measure
from jepa_ros.world_model.checkpoint import load_checkpoint
from jepa_ros.world_model.trust import WEIGHTS, file_sha256


@pytest.fixture
def with_heads(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "with_heads")
    add_heads(folder)
    return folder


def test_heads_are_named_where_they_are(tmp_path, checkpoint, with_heads):
    for folder, told in ((checkpoint, False), (with_heads, True)):
        found, usable = check_contract(expected(tmp_path, checkpoint=str(folder)), heard(), None)
        assert usable is not None and not bad(found)
        assert any("has heads" in f.what for f in found) == told


def test_heads_with_a_weight_that_are_missing_or_damaged_are_an_error(tmp_path, checkpoint, with_heads):
    weighted = {"/**/cost": {"weights": {"temporal_distance": 1.0}}}
    file = with_heads / "heads.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    for folder, parameters, words in (
        (checkpoint, weighted, "cost term temporal_distance needs heads"),
        (with_heads, None, "not a readable safetensors file"),
    ):
        found, usable = check_contract(expected(tmp_path, parameters, checkpoint=str(folder)), heard(), None)
        assert usable is None
        assert any(words in complaint and "jepa heads" in complaint for complaint in bad(found)), found


@pytest.mark.parametrize("pinned", [False, True])
def test_a_planner_that_only_proposes_needs_heads_that_may_be_used(tmp_path, checkpoint, with_heads, pinned):
    """Not there, or there beside a pin of the weights alone."""
    folder = with_heads if pinned else Path(checkpoint)
    pin = {"checkpoint_sha256": file_sha256(folder / WEIGHTS) if pinned else ""}
    for mode in ("policy", "hybrid"):
        want = expected(tmp_path, {"/**/planner": {"mode": mode}}, checkpoint=str(folder), **pin)
        found, usable = check_contract(want, heard(), None)
        assert (usable is None) == (mode == "policy") == bool(bad(found))
        assert all("mode policy needs heads" in complaint for complaint in bad(found))


def test_a_plan_is_timed_as_a_search_whatever_the_planner_would_do(tmp_path, checkpoint, with_heads):
    look = np.zeros((64, 64, 3), np.uint8), np.zeros(6)
    for folder, settings in (
        (Path(checkpoint), {"mode": "policy"}),
        (with_heads, {"mode": "policy", "refine_steps": 3}),
    ):
        want = expected(tmp_path, {"/**/planner": settings}, checkpoint=str(folder))
        assert want.planner.param("mode") == "policy"
        assert 0 < measure(load_checkpoint(folder), *look, want).plan_s < 60


@pytest.mark.parametrize("weight", [10.0, 0.0])
def test_the_doctor_tells_whether_the_energy_has_objects_and_times_it_with_them(
    tmp_path, checkpoint, with_heads, weight
):
    look = np.zeros((64, 64, 3), np.uint8), np.zeros(6)
    with_objects = shutil.copytree(checkpoint, tmp_path / "with_objects")
    add_heads(with_objects, scale=100, objects=3)
    for folder, found_some in ((with_heads, False), (with_objects, True)):
        want = expected(tmp_path, {"/**/cost": {"weights": {"objects": weight}}}, checkpoint=str(folder))
        found, usable = check_contract(want, heard(), None)
        (told,) = (f.what for f in found if "has heads" in f.what)
        assert ("objects" in told) == found_some and ("left out" in told) == (found_some and not weight)
        assert usable is not None and 0 < measure(load_checkpoint(folder), *look, want).plan_s < 60
