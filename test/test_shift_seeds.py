"""The table over training seeds: pooled figures, the least seed, bars computed and never claimed."""

import importlib
import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SAME = {
    "task": "reach",
    "seeds": [1000, 1009],
    "goals": "shifted",
    "shifts": {"blur": {}, "noise": {}},
    "success_means": {},
    "budget": {},
    "planner": {},
    "weights": {},
}


@pytest.fixture
def shift_seeds(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("shift_seeds")


def run(folder: Path, name: str, agent: str = "planner", **successes: int) -> Path:
    """A shifts.json of ten episodes, of which so many succeed in each condition."""
    rows = [
        {
            "agent": agent,
            "seed": 1000 + i,
            "success": i < count,
            "shift": None if shift == "clean" else shift,
            "strength": None if shift == "clean" else "medium",
        }
        for shift, count in successes.items()
        for i in range(10)
    ]
    file = folder / f"{name}.json"
    file.write_text(json.dumps({**SAME, "checkpoint": {"model_id": name}, "rows": rows}))
    return file


def test_seeds_are_pooled_and_the_least_stands_beside(shift_seeds, tmp_path, capsys):
    first, second = (
        run(tmp_path, "a", clean=10, blur=9, noise=8),
        run(tmp_path, "b", clean=10, blur=7, noise=2),
    )
    plain = run(tmp_path, "c", clean=10, blur=10, noise=10)
    out = tmp_path / "table"
    assert (
        shift_seeds.main(["--runs", f"new={first},{second}", "--runs", f"old={plain}", "--out", str(out)])
        == 0
    )
    page = out.with_suffix(".md").read_text()
    assert "| clean | 20/20 (84 - 100 %) | 10/10 (72 - 100 %) |" in page
    assert "| blur | 16/20 (58 - 92 %) x 0.80 (" in page and "least 0.70" in page
    assert (
        "new: mean 0.65 of clean, bar 0.8: **not met**; worst shift noise 0.50, bar 0.6: **not met**" in page
    )
    assert "old: mean 1.00 of clean, bar 0.8: **met**; worst shift blur 1.00, bar 0.6: **met**" in page
    outcomes = json.loads(out.with_suffix(".json").read_text())["models"]["new"][1]["outcomes"]
    assert outcomes == {"clean": "1111111111", "blur medium": "1111111000", "noise medium": "1100000000"}


def test_a_summary_names_the_worst_shift(shift_seeds, tmp_path):
    runs = [run(tmp_path, "a", clean=10, blur=9, noise=8), run(tmp_path, "b", clean=10, blur=7, noise=2)]
    content = shift_seeds.combine({"new": [json.loads(file.read_text()) for file in runs]})
    clean, mean, worst = shift_seeds.summary(content)["new"]
    assert clean == "20/20 (84 - 100 %)"
    assert mean.startswith("x 0.65 (") and mean.endswith("least 0.45")
    assert worst.startswith("noise x 0.50 (") and worst.endswith("least 0.20")


def test_runs_that_differ_are_not_mixed(shift_seeds, tmp_path, capsys):
    one, other = run(tmp_path, "a", clean=10, blur=9), run(tmp_path, "b", clean=10, blur=9)
    other.write_text(other.read_text().replace('"goals": "shifted"', '"goals": "clean"'))
    assert shift_seeds.main(["--runs", f"x={one},{other}", "--out", str(tmp_path / "t")]) == 2
    assert "cannot stand in one table" in capsys.readouterr().err


@pytest.mark.parametrize("text, reason", [("nothing", "NAME=FILE"), ("x=absent.json", "absent.json")])
def test_bad_arguments_say_what_to_write(shift_seeds, tmp_path, capsys, text, reason):
    assert shift_seeds.main(["--runs", text, "--out", str(tmp_path / "t")]) == 2
    assert reason in capsys.readouterr().err
