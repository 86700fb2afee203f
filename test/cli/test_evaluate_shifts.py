"""`jepa evaluate --shifts`: the tables, the files, and what is refused at once."""

import json

import cv2
import pytest

from jepa_ros.cli.main import main

QUICK = (
    "--model oracle --episodes 2 --processes 1 --blocks 12 --samples 24 --iterations 4 --horizon 4".split()
)


def test_two_shifts_on_two_episodes_end_to_end(tmp_path, capsys):
    words = ["--shifts", "table_colour,noise,cube_colour", "--strengths", "weak,strong"]
    words += ["--seed", "1001", "--shifts-out", str(tmp_path), "--baselines", "true_joints,decoded_joints"]
    assert main(["evaluate", *QUICK, *words]) == 0
    printed = capsys.readouterr().out
    for told in (
        "cube_colour was skipped",
        "decoded_joints was not run",
        "oracle: clean 2/2",
        "true_joints: clean 2/2",
        "x 1.00",
        "mean",
        "worst",
    ):
        assert told in printed
    content = json.loads((tmp_path / "shifts.json").read_text())
    assert content["goals"] == "shifted" and content["seeds"] == [1001, 1002]
    assert set(content["shifts"]) == {"table_colour", "noise"}
    assert {"machine", "commit", "settings", "arguments", "planner", "checkpoint"} <= set(content)
    found = content["agents"]["oracle"]
    assert found["clean"]["successes"] == 2
    assert found["shifts"]["noise"]["strong"]["ratio"] == 1.0
    low, high = found["shifts"]["noise"]["strong"]["ratio_95"]
    assert low < 1 < high and set(found["mean"]) == {"weak", "strong"}
    assert "unavailable" in content["agents"]["decoded_joints"]
    assert len(content["rows"]) == 2 * 2 * (1 + 4)
    assert {(row["shift"], row["strength"]) for row in content["rows"]} == {
        (None, None),
        *((shift, strength) for shift in ("table_colour", "noise") for strength in ("weak", "strong")),
    }
    page = (tmp_path / "shifts.md").read_text()
    assert "| noise | 2/2" in page and "## true_joints" in page and "cube_colour was skipped" in page
    sheet = cv2.imread(str(tmp_path / "shifts.png"))
    assert sheet.shape[0] > 300 and sheet.std() > 20


def test_worker_processes_find_the_same(tmp_path):
    rows = []
    for processes in ("1", "2"):
        words = [
            "--shifts",
            "noise",
            "--strengths",
            "medium",
            "--goals",
            "clean",
            "--shifts-out",
            str(tmp_path),
        ]
        assert main(["evaluate", *QUICK, *words, "--episodes", "1", "--processes", processes]) == 0
        content = json.loads((tmp_path / "shifts.json").read_text())
        rows.append([(r["agent"], r["shift"], r["seed"], r["final_error_m"]) for r in content["rows"]])
    assert rows[0] == rows[1] and len(rows[0]) == 2 and content["goals"] == "clean"


@pytest.mark.parametrize(
    "words, told",
    [
        (["--shifts", "fog"], "--shifts: unknown fog; known: light_level"),
        (["--shifts", ""], "--shifts: it names none"),
        (["--shifts", "cube_colour"], "--task push"),
        (["--shifts", "--strengths", "huge"], "--strengths: unknown huge; known: weak"),
        (["--strengths", "weak"], "--strengths belongs to --shifts"),
        (["--goals", "clean"], "--goals belongs to --shifts"),
        (["--shifts-out", "x"], "--shifts-out belongs to --shifts"),
        (["--shifts", "--shifts-out", "/proc/x"], "cannot write /proc/x"),
    ],
)
def test_what_cannot_work_is_refused_at_once(words, told, capsys):
    assert main(["evaluate", *QUICK, *words]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and told in captured.err
    assert "episodes" not in captured.out, "it began to run"
