"""Bars are computed from the result files: met, missed, left open, not measured."""

import json

import bars_tables
import numpy as np
import pytest


def content(bar="reach", trainings=3, episodes=100, starts=None, **agents) -> dict:
    """A bars_TASK.json. agents: successes of every training seed, the first episodes, and ms of planning in each episode."""
    return {
        "task": bar,
        "seeds": list(range(1000, 1000 + episodes)),
        "raw_actions_away": list(range(100, 100 + episodes)) if bar == "far" else None,
        "blocks": 30,
        "success_means": {"tolerance_m": 0.02 if bar == "reach" else 0.03},
        "starts": starts or {},
        "command": "python benchmarks/bars.py",
        "date": "2026-11-21",
        "commit": "0123456789abcdef",
        "machine": {"processor": "a processor", "cores": 2},
        "runs": [
            {
                "training_seed": seed,
                "unavailable": [],
                "agents": {
                    name: {
                        "outcomes": "1" * successes[seed] + "0" * (episodes - successes[seed]),
                        "errors_mm": [5.0] * successes[seed] + [50.0] * (episodes - successes[seed]),
                        "planning_ms": [ms] * episodes,
                        "seconds": [2.0 + i for i in range(episodes)],
                        "policy_share": None,
                    }
                    for name, (successes, ms) in agents.items()
                },
            }
            for seed in range(trainings)
        ],
    }


def written(folder, *contents) -> dict[str, tuple[str, str]]:
    """The bars of these results: what is asked -> measured, met."""
    for found in contents:
        (folder / f"bars_{found['task']}.json").write_text(json.dumps(found))
    rows = [line.strip("|").split(" | ") for line in bars_tables.bars(folder).splitlines()[2:]]
    return {asked.strip(): (measured.strip(), met.strip()) for asked, measured, met in rows}


def test_without_files_nothing_is_claimed(tmp_path):
    rows = written(tmp_path)
    assert len(rows) == 10 and set(rows.values()) == {("not measured", "")}


@pytest.mark.parametrize("successes, met", [((98, 98, 98), "yes"), ((100, 98, 95), "**no**")])
def test_success_is_pooled_over_training_seeds_and_held_to_its_bar(tmp_path, successes, met):
    rows = written(tmp_path, content(hybrid=(successes, 10.0)))
    measured, verdict = rows["reach, within 2 cm: at least 98%"]
    assert verdict == met and measured.startswith(f"{sum(successes)}/300 (")
    assert measured.endswith(f"least {min(successes)}/100")
    assert rows["push, the cube within 3 cm: at least 85%"] == ("not measured", "")


@pytest.mark.parametrize("size", [{"trainings": 2}, {"episodes": 99}])
def test_too_little_is_measured_and_not_judged(tmp_path, size):
    successes = [size.get("episodes", 100)] * 3
    agents = {"hybrid": (successes, 4.0), "search": (successes, 10.0), "policy": (successes, 1.0)}
    rows = written(tmp_path, content(**size, **agents))
    judged = [met for asked, (_, met) in rows.items() if asked.startswith("reach")]
    assert len(judged) == 3 and all(met.startswith("- (") for met in judged)


@pytest.mark.parametrize(
    "bar, change, told",
    [
        ("reach", {"success_means": {"tolerance_m": 0.03}}, "- (within 3 cm)"),
        ("far", {"raw_actions_away": [99] * 100}, "- (goals from 99 raw actions on)"),
        (
            "push",
            {"starts": {"behind the cube": [1000], "around the cube": []}},
            "- (no start around the cube)",
        ),
    ],
)
def test_what_is_not_what_a_bar_asks_is_not_judged(tmp_path, bar, change, told):
    found = content(bar, hybrid=((100,) * 3, 1.0)) | change
    assert told in {met for _, met in written(tmp_path, found).values()}


def test_hybrid_is_held_to_the_best_mode_and_to_half_the_planning_time(tmp_path):
    as_good = {"hybrid": ((95,) * 3, 4.9), "search": ((90,) * 3, 10.0), "policy": ((96,) * 3, 1.0)}
    rows = written(tmp_path, content(**as_good))
    good = rows["reach: `hybrid` as good as the best of `search` and `policy`, within its interval"]
    fast = rows["reach: `hybrid` plans for at most half as long as `search`"]
    assert good[1] == "yes" and "`policy` 288/300" in good[0]
    assert fast == ("0.49 (0.49 - 0.49)", "yes")
    worse = {"hybrid": ((80,) * 3, 5.1), "search": ((90,) * 3, 10.0), "policy": ((10,) * 3, 1.0)}
    rows = written(tmp_path, content(**worse))
    assert [met for asked, (_, met) in rows.items() if asked.startswith("reach: ")] == ["**no**", "**no**"]


def test_starts_behind_and_around_the_cube_stand_apart(tmp_path):
    starts = {"behind the cube": list(range(1000, 1050)), "around the cube": list(range(1050, 1100))}
    rows = written(tmp_path, content("push", starts=starts, hybrid=((60, 60, 50), 1.0)))
    measured, met = rows["push, the cube within 3 cm: at least 85%"]
    assert "starts behind the cube 150/150 (" in measured and "starts around the cube 20/150 (" in measured
    assert met == "**no**"


def test_push_says_what_the_shorter_budget_of_before_gives(tmp_path):
    starts = {"behind the cube": [1000], "around the cube": [1001]}
    found = content("push", starts=starts, hybrid=((90, 90, 90), 10.0))
    measured, _ = written(tmp_path, found)["push, the cube within 3 cm: at least 85%"]
    assert "; within 16.5 s 45/300 (" in measured  # 2 to 16 s: fifteen of each


def test_fresh_goals_have_a_table_of_their_own(tmp_path):
    assert bars_tables.fresh(tmp_path) == "Not measured."
    (tmp_path / "fresh").mkdir()
    found = content(hybrid=((98, 97, 90), 10.0)) | {"seeds": list(range(1100, 1200))}
    (tmp_path / "fresh" / "bars_reach.json").write_text(json.dumps(found))
    head, _, row = bars_tables.fresh(tmp_path).splitlines()
    assert "episodes of seeds 1100 to 1199" in head
    assert "285/300 (" in row and "least 90/100" in row and "| **no** |" in row
    assert set(written(tmp_path).values()) == {("not measured", "")}


def test_far_goals_say_how_far(tmp_path):
    measured, met = written(tmp_path, content("far", hybrid=((80, 80, 81), 1.0)))[
        "far goals, 100 raw actions away and more: at least 80%"
    ]
    assert "goals 100 to 199 raw actions away" in measured and met == "yes"


def test_a_task_table_has_every_agent_that_ran():
    found = content(hybrid=((9, 9, 8), 4.0), search=((9, 9, 9), 10.0), no_op=((0, 0, 0), 0.0), episodes=10)
    del found["runs"][1]["agents"]["no_op"], found["runs"][2]["agents"]["no_op"]
    found["runs"][0]["unavailable"] = ["behaviour_cloning"]
    table = bars_tables.task_table(found)
    assert "| hybrid (default) | 26/30 (" in table and "| least 8/10 | 5 mm |" in table
    assert "| 0.40 (0.40 - 0.40) |" in table and "| no motion | 0/10 (" in table
    assert "training seeds 0, 1, 2" in table and "seeds 1000 to 1009" in table
    assert "2026-11-21, commit 0123456, a processor, 2 cores" in table
    assert "Not run, for want of their networks: behaviour_cloning." in table


def test_a_share_of_planning_time_has_an_interval_over_pairs():
    rng = np.random.default_rng(0)
    search = rng.uniform(50, 150, 300)
    share, (low, high) = bars_tables.time_share(0.4 * search, search)
    assert low == pytest.approx(0.4) and high == pytest.approx(
        0.4
    )  # paired: what both take longer for says nothing
    share, (low, high) = bars_tables.time_share(rng.permutation(0.4 * search), search)
    assert share == pytest.approx(0.4) and 0.37 < low < 0.4 < high < 0.43
    with pytest.raises(ValueError, match="pairs"):
        bars_tables.time_share([1.0, 2.0], [1.0])


def test_training_speed_is_held_to_its_bars_in_every_case(tmp_path):
    rows = [{"images_per_second": speed, "data_share": 0.04} for speed in (900.0, 499.0)]
    bars = {"images_per_second": 500, "data_share": 0.10}
    (tmp_path / "training_speed.json").write_text(json.dumps({"rows": rows, "bars": bars}))
    measured, met = list(written(tmp_path).values())[-1]
    assert measured == "499 to 900 images/s, input pipeline at most 4.0%; 1 of 2 cases within both"
    assert met == "**no**"
