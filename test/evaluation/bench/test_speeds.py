"""`jepa bench --parts speeds` with a small model and heads of random weights."""

import json

import pytest
import torch

from jepa_ros.cli.main import main
from jepa_ros.data.collect import arm_spec
from jepa_ros.evaluation.bench import speeds
from jepa_ros.planning.config import MODES
from jepa_ros.world_model.checkpoint import load_checkpoint, save_checkpoint, save_heads
from jepa_ros.world_model.heads import Heads, HeadsConfig
from jepa_ros.world_model.model import ModelConfig, WorldModel

BLOCKS, N = 3, 4


@pytest.fixture
def small(tmp_path, monkeypatch):
    torch.manual_seed(0)
    model = WorldModel(ModelConfig(latent_dim=8, predictor_width=16, predictor_depth=1), arm_spec()).eval()
    save_checkpoint(tmp_path / "small", model, {"goal_tolerance": 1e-6})
    monkeypatch.setattr(speeds, "BLOCKS", BLOCKS)
    return tmp_path / "small"


def bench(folder):
    out = folder.parent / "out"
    words = ["--quick", "--parts", "speeds", "--runtime", "torch", "--episodes", "2"]
    assert main(["bench", "--checkpoint", str(folder), "--out", str(out), *words]) == 0
    return json.loads((out / "bench.json").read_text()), (out / "bench.md").read_text()


def test_every_mode_drives_the_same_episodes(small):
    checkpoint = load_checkpoint(small)
    config = HeadsConfig(width=16, depth=1, hypotheses=N, horizon=3)
    save_heads(small, Heads(config, checkpoint.model.latent_dim, checkpoint.model.context, checkpoint.spec))
    content, page = bench(small)
    part = content["parts"]["speeds"]
    assert part["runtime"] == "torch" and part["seeds"] == [speeds.FIRST_SEED, speeds.FIRST_SEED + 1]
    rows = {row["mode"]: row for row in part["rows"]}
    assert set(rows) == set(MODES) and part["episodes"] == 2
    for mode, row in rows.items():
        assert row["looks_per_episode"] == BLOCKS and row["successes"] == 0, mode
        assert 0 < row["plan_ms_p50"] <= row["plan_ms_p95"]
        assert row["plan_ms_per_episode"] > 0 and row["processor_ms_per_episode"] > 0
        assert f"| {mode}" in page.replace("`", "")
    assert (rows["search"]["policy_share"], rows["policy"]["policy_share"]) == (0.0, 1.0)
    assert rows["policy"]["candidates_per_episode"] <= BLOCKS * (N + 1)
    assert rows["search"]["candidates_per_episode"] > rows["policy"]["candidates_per_episode"]


def test_the_energy_is_the_one_that_the_graph_plans_with(small, monkeypatch):
    """Heads that have found objects propose by them, and are to be judged by them."""
    checkpoint, energies, timed = load_checkpoint(small), [], speeds._Timed
    config = HeadsConfig(width=16, depth=1, hypotheses=N, horizon=3, objects=2)
    save_heads(small, Heads(config, checkpoint.model.latent_dim, checkpoint.model.context, checkpoint.spec))
    monkeypatch.setattr(speeds, "_Timed", lambda *args: energies.append(args[2]) or timed(*args))
    bench(small)
    assert [[term.name for _, term in e.terms][-1] for e in energies] == ["objects"] * len(MODES)


def test_without_heads_the_part_is_left_out_with_a_word(small):
    content, page = bench(small)
    assert "speeds" not in content["parts"] and "`jepa heads`" in content["left_out"]["speeds"]
    assert "speeds was left out" in page
