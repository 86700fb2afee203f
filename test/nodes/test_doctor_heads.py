"""What the doctor says of a checkpoint's heads."""

import shutil

import pytest
from node_bench import add_heads
from test_doctor_checks import bad, expected, heard

from jepa_ros.nodes.doctor.contract import check_contract


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
