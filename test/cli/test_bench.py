"""`jepa bench --quick` for real, what it writes, and what it refuses."""

import importlib
import json
import platform
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jepa_ros.cli.bench import PARTS
from jepa_ros.cli.main import main

WITHOUT_ROS = [part for part in PARTS if part != "graph"]
TIMES = {"median_ms", "p95_ms", "repetitions"}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """(folder, content of bench.json) of everything but the graph."""
    out = tmp_path_factory.mktemp("bench")
    assert main(["bench", "--quick", "--parts", ",".join(WITHOUT_ROS), "--out", str(out)]) == 0
    return out, json.loads((out / "bench.json").read_text())


@pytest.mark.timeout(600)
def test_everything_has_median_p95_and_repetitions_by_runtime(measured):
    _, content = measured
    parts = content["parts"]
    left_out = set(content["left_out"])
    assert set(parts) | left_out == set(WITHOUT_ROS) and content["runtimes"] == ["torch", "onnx"]
    assert left_out == (set() if (Path("models/reach") / "heads.safetensors").is_file() else {"speeds"})
    rows = [
        *parts["encode"]["rows"],
        *parts["rollout"]["rows"],
        *parts["plan"]["rows"],
        *parts["plan"]["image_to_command"],
    ]
    assert {row["runtime"] for row in rows} == {"torch", "onnx"}
    assert {row["solver"] for row in parts["plan"]["rows"]} == {"cem", "mppi"}
    for row in [*rows, *parts["plan"]["search_alone"]]:
        assert row.keys() >= TIMES and 0 < row["median_ms"] <= row["p95_ms"] and row["repetitions"] >= 3


def test_growth_is_fitted_over_all_four_axes(measured):
    axes = measured[1]["parts"]["growth"]["axes"]
    assert list(axes) == ["candidates", "horizon", "latent_width", "cameras"]
    for name, axis in axes.items():
        for quantities in axis["runtimes"].values():
            for row in quantities.values():
                low, high = row["interval_95"]
                assert len(row["median_ms"]) == len(axis["sizes"]) and low <= high, name
        assert {"plan", "rollout"} <= set(axis["runtimes"]["torch"])
    assert "encode" in axes["cameras"]["runtimes"]["torch"]
    plan = axes["candidates"]["runtimes"]["torch"]["plan"]["median_ms"]
    assert plan[-1] > plan[0]  # 16 times the candidates


def test_memory_is_of_processes_of_their_own(measured):
    found = measured[1]["parts"]["memory"]["runtimes"]
    assert set(found) == {"torch", "onnx"}
    for axes in found.values():
        assert set(axes) == {"candidates"}  # the others take longer than a quick run has
        row = axes["candidates"]
        assert 50 < row["loaded_mib"] < 5000 and len(row["peak_mib"]) == len(row["sizes"])
        assert min(row["peak_mib"]) > 50


def test_selective_work_stands_beside_doing_everything(measured):
    part = measured[1]["parts"]["selective"]
    ways = {(row["frame_skipping"], row["replan"]): row for row in part["rows"]}
    assert len(ways) == 4 and part["runtime"] == "onnx"
    everything = ways[False, "always"]
    assert (
        everything["compute_saved"] == everything["frames_skipped"] == 0 and everything["looks_searched"] == 1
    )
    for (skipping, replan), row in ways.items():
        assert row["frames_per_episode"] > 10 and 0 <= row["successes"] <= part["episodes"]
        assert (row["frames_skipped"] > 0) == (row["frames_skipped_at_rest"] > 0) == skipping
        assert row["candidates_per_episode"] > 0 and (replan == "always") <= (row["looks_searched"] == 1)


def test_bars_say_what_was_not_measured(measured):
    bars = {bar["name"]: bar for bar in measured[1]["bars"]}
    assert len(bars) == 5
    single = next(bar for name, bar in bars.items() if "`single`" in name)
    assert single["met"] is None and single["measured"] == "not measured"
    candidates = bars["time of a plan over candidates"]
    assert "torch" in candidates["measured"] and "onnx" in candidates["measured"]


def test_the_machine_is_named_and_no_host_and_no_path(measured):
    out, content = measured
    assert content["machine"].keys() >= {"processor", "cores", "memory_gib", "system", "python", "gpu"}
    assert content["libraries"].keys() >= {"torch", "onnxruntime", "numpy"}
    assert content["load_average"].keys() == {"before", "after"} and content["threads"] == 1
    for name in ("bench.json", "bench.md"):
        text = (out / name).read_text()
        for private in (str(out), str(Path.cwd()), str(Path.home()), sys.prefix, platform.node()):
            assert private not in text


def test_the_page_and_the_pictures_show_it(measured):
    out, content = measured
    page = (out / "bench.md").read_text()
    for told in ("## Bars", "## Encode", "## Growth", "## Memory", content["machine"]["processor"], "cem"):
        assert told in page
    for name in ("bench.png", "growth.png"):
        pixels = np.asarray(Image.open(out / name).convert("RGB"))
        assert pixels.shape[1] > 1200 and pixels.std() > 15, f"{name} is blank"


def test_the_readme_can_have_its_rows(measured, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    results_table = importlib.import_module("results_table")
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "bench.json").write_text((measured[0] / "bench.json").read_text())
    monkeypatch.setattr(results_table, "RESULTS", tmp_path)
    text = "\n".join(results_table.bench_tables())
    for told in (
        "time of a plan over horizon",
        "encode one picture of 64x64",
        "`replan: event` | ",
        "Runtime",
    ):
        assert told in text


@pytest.mark.parametrize(
    "words, told",
    [
        (["--parts", "encode,speed"], "unknown speed; choose of encode, rollout"),
        (["--parts", ","], "unknown nothing"),
        (["--threads", "0"], "--threads is 0"),
        (["--goals", "0"], "--goals is 0"),
        (["--episodes", "-3"], "--episodes is -3"),
        (["--checkpoint", "nowhere"], "nowhere"),
        (["--device", "tpu9"], "device is 'tpu9'"),
        (["--sha256", "00"], "sha256"),
    ],
)
def test_bad_options_are_refused_before_anything_is_measured(words, told, tmp_path, capsys):
    assert main(["bench", "--quick", "--out", str(tmp_path / "out"), *words]) == 2
    captured = capsys.readouterr()
    assert told in captured.err and "encode ..." not in captured.out


def test_a_place_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["bench", "--quick", "--out", str(tmp_path / "file" / "out")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_without_ros_the_graph_is_left_out_with_a_word(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rclpy", None)  # importing it is an ImportError
    for module in ("jepa_ros.nodes.bench", "jepa_ros.nodes.client"):
        package, _, name = module.rpartition(".")
        monkeypatch.setattr(importlib.import_module(package), name, None, raising=False)  # put back, too
        for loaded in [loaded for loaded in sys.modules if loaded.startswith(module)]:
            monkeypatch.delitem(sys.modules, loaded)
    words = ["--parts", "encode,graph", "--runtime", "torch", "--out", str(tmp_path)]
    assert main(["bench", "--quick", *words]) == 0
    assert "left out: `jepa bench --parts graph` needs ROS 2" in capsys.readouterr().out
    content = json.loads((tmp_path / "bench.json").read_text())
    assert "needs ROS 2" in content["left_out"]["graph"] and set(content["parts"]) == {"encode"}
    assert "graph was left out" in (tmp_path / "bench.md").read_text()
    assert content["command"] == "jepa bench --parts encode,graph --quick --runtime torch"
