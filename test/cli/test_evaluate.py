"""`jepa evaluate`: what it prints and writes, and what it refuses before the first episode."""

import json

import pytest

from jepa_ros.cli.main import main

QUICK = [
    "--model",
    "oracle",
    "--episodes",
    "2",
    "--processes",
    "1",
    "--blocks",
    "12",
    "--samples",
    "24",
    "--iterations",
    "4",
    "--horizon",
    "4",
]


def test_oracle_run_prints_a_table_and_writes_all_it_takes_to_repeat_it(tmp_path, capsys):
    out = tmp_path / "out.json"
    assert (
        main(
            [
                "evaluate",
                *QUICK,
                "--seed",
                "1001",
                "--json",
                str(out),
                "--baselines",
                "no_op,behaviour_cloning,no_op",
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out
    for told in (
        "within 2 cm for 0.5 s",
        "12 blocks",
        "seeds 1001 to 1002",
        "2/2",
        "0/2",
        "Wilson",
        "behaviour_cloning was not run",
    ):
        assert told in printed
    content = json.loads(out.read_text())
    figures = {"episodes", "successes", "wilson_95", "median_error_m", "plan_ms_p50", "plan_ms_p95"}
    repeat = {
        "task",
        "seeds",
        "success_means",
        "budget",
        "model",
        "checkpoint",
        "planner",
        "weights",
        "action_spec",
        "settings",
        "arguments",
        "command",
        "version",
        "commit",
        "date",
        "libraries",
        "machine",
        "rows",
    }
    assert figures | repeat | {"baselines"} <= set(content)
    assert content["successes"] == content["episodes"] == 2 and content["seeds"] == [1001, 1002]
    assert content["planner"]["samples"] == 24 and content["arguments"]["seed"] == 1001
    assert set(content["baselines"]) == {"no_op", "behaviour_cloning"}
    assert all(figures <= set(baseline) for baseline in content["baselines"].values())
    assert content["baselines"]["no_op"]["successes"] == 0
    assert content["baselines"]["no_op"]["episodes"] == content["episodes"]
    assert content["baselines"]["behaviour_cloning"]["successes"] is None
    assert "checkpoint" in content["baselines"]["behaviour_cloning"]["unavailable"]
    assert [(row["agent"], row["seed"]) for row in content["rows"]] == [
        ("oracle", 1001),
        ("oracle", 1002),
        ("no_op", 1001),
        ("no_op", 1002),
    ]


@pytest.mark.parametrize(
    "words, told",
    [
        ([], "--checkpoint"),
        (["--checkpoint", "nowhere"], "nowhere"),
        ([*QUICK, "--task", "juggle"], "juggle"),
        ([*QUICK, "--episodes", "0"], "--episodes is 0"),
        ([*QUICK, "--blocks", "-1"], "--blocks is -1"),
        ([*QUICK, "--processes", "0"], "--processes is 0"),
        ([*QUICK, "--seed", "-1"], "--seed is -1"),
        ([*QUICK, "--samples", "1"], "samples is 1"),
        ([*QUICK, "--latency", "7"], "latency_s is 7"),
        ([*QUICK, "--baselines", "magic"], "magic"),
        ([*QUICK, "--weight", "beauty=1"], "beauty"),
        ([*QUICK, "--weight", "effort=much"], "much"),
    ],
)
def test_what_cannot_work_is_refused_at_once(words, told, capsys):
    assert main(["evaluate", *words]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and told in captured.err
    assert "episodes" not in captured.out, "it began to run"


@pytest.mark.parametrize("place", ["folder", "file/out.json", "/proc/out.json"])
def test_a_place_that_cannot_be_written_is_refused_at_once(place, tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    assert main(["evaluate", *QUICK, "--baselines", "none", "--json", str(tmp_path / place)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: cannot write {tmp_path / place}: ")
    assert "episodes" not in captured.out, "it began to run"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]
