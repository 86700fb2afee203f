"""The table of ablations: every part has a row, with figures only where there are some."""

import json

import ablation_tables
import pytest
from ablation_parts import WHOLE, variants

WEIGHTS = {"goal_distance": 1.0, "temporal_distance": 0.5}


def written(folder, **outcomes: dict[int, str]) -> list[list[str]]:
    """The table's rows for these variants: training seed -> outcomes."""
    content = {
        "command": "python benchmarks/ablations.py",
        "tasks": {"reach": {"blocks": 30}},
        "seeds": list(range(1000, 1010)),
        "planner": {"mode": "hybrid", "levels": 2},
        "weights": WEIGHTS,
        "training": {"steps": 60},
        "date": "2026-11-21",
        "variants": {
            name: {
                "runs": [
                    {"training_seed": seed, "tasks": {"reach": {"outcomes": found}}}
                    for seed, found in runs.items()
                ]
            }
            for name, runs in outcomes.items()
        },
    }
    (folder / ablation_tables.FILE).write_text(json.dumps(content))
    table = ablation_tables.table(folder)
    assert "60 steps, training seeds 0" in table and "weights goal_distance 1, temporal_distance 0.5" in table
    return [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")][2:]


def test_without_a_file_every_part_is_not_measured(tmp_path):
    lines = ablation_tables.table(tmp_path).splitlines()
    assert len(lines) == 2 + len(variants(WEIGHTS, 2))
    assert all(line.count("not measured") == 3 for line in lines[2:])
    assert not any("/" in line.partition("not measured")[2] for line in lines[2:])


def test_a_variant_stands_beside_the_whole_on_the_same_episodes(tmp_path):
    rows = written(tmp_path, whole={0: "1111111110"}, multi_step={0: "1111100000"})
    by_part = {row[0]: row for row in rows}
    assert by_part["nothing"][3] == "9/10 (60 - 98 %)"
    assert by_part["multi-step loss"][3] == "5/10 (24 - 76 %)"
    assert by_part["multi-step loss"][4].startswith("x 0.56 (")
    assert by_part["proprioception"][3] == "not measured"


def test_only_training_seeds_that_both_have_are_compared(tmp_path):
    rows = written(tmp_path, whole={0: "11", 1: "00"}, ema={1: "11", 0: "11", 2: "00"})
    ema = next(row for row in rows if "EMA" in row[1])
    assert ema[3].startswith("4/6 (") and ema[4].startswith("x 2.00 (")
    alone = next(row for row in written(tmp_path, whole={}, ema={0: "10"}) if "EMA" in row[1])
    assert alone[3].startswith("1/2 (") and len(alone) == 4


@pytest.mark.parametrize("levels, weight", [(2, 0.5), (1, 0.0)])
def test_a_part_that_the_whole_lacks_is_put_in_and_called_so(levels, weight):
    found = variants({"goal_distance": 1.0, "temporal_distance": weight}, levels)
    temporal, hierarchy = found["temporal_distance"], found["hierarchy"]
    has_it = levels == 2
    assert (temporal.part == "temporal distance") == (hierarchy.part == "hierarchy") == has_it
    assert temporal.weights["temporal_distance"] == (0.0 if has_it else 1.0)
    assert temporal.weights["goal_distance"] == (1.0 if has_it else 0.0)
    assert hierarchy.planner == {"levels": 1 if has_it else 2}
    assert next(iter(found)) == WHOLE and not found[WHOLE].train
