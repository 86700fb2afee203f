"""What `benchmarks/bars.py` measures on: which checkpoints, which episodes, from where."""

import json

import bars
import numpy as np
import pytest
from bench_command import command_line, origin, planner_config

from jepa_ros.errors import JepaError
from jepa_ros.simulation.tasks import Goal, make_task


def checkpoint(folder, seed: int, **training):
    folder.mkdir()
    config = {"training": {"seed": seed, "steps": 60, "threads": seed, **training}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_checkpoints_of_one_row_differ_in_their_training_seed_alone(tmp_path):
    found = {path: bars.training(path) for path in (checkpoint(tmp_path / f"seed_{s}", s) for s in (2, 0, 1))}
    ordered = bars.same_but_for_the_seed(found)
    assert [training["seed"] for training in ordered.values()] == [0, 1, 2]
    longer = checkpoint(tmp_path / "longer", 3, steps=90)
    with pytest.raises(JepaError, match="longer was trained with another steps"):
        bars.same_but_for_the_seed(found | {longer: bars.training(longer)})
    again = checkpoint(tmp_path / "again", 2)
    with pytest.raises(JepaError, match="same training seed"):
        bars.same_but_for_the_seed(found | {again: bars.training(again)})


def test_what_is_no_checkpoint_is_refused(tmp_path, capsys):
    assert bars.main(["--checkpoints", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "tells no training seed" in capsys.readouterr().err


def test_only_far_goals_are_counted_in_raw_actions():
    away = bars.raw_actions_away(make_task("far"), range(1000, 1003))
    assert len(away) == 3 and min(away) >= 100
    assert bars.raw_actions_away(make_task("reach"), range(1000, 1003)) is None


@pytest.mark.parametrize("gripper, behind", [((0.0, 0.0), True), ((0.1, 0.1), False), ((0.25, 0.02), False)])
def test_behind_the_cube_is_where_the_way_to_it_leads_on_to_its_goal(gripper, behind):
    start = Goal(np.zeros(6), np.array([*gripper, 0.2]), np.array([0.1, 0.0, 0.01]))
    goal = Goal(np.zeros(6), np.zeros(3), np.array([0.2, 0.0, 0.01]))
    assert bars.is_behind(start, goal) == behind


def test_every_push_start_is_one_or_the_other_and_reach_has_none():
    found = bars.starts(make_task("push"), range(1000, 1004))
    assert sorted(seed for seeds in found.values() for seed in seeds) == [1000, 1001, 1002, 1003]
    assert bars.starts(make_task("reach"), range(1000, 1001)) == {}


def test_a_result_file_names_no_folder_of_this_machine():
    words = [
        "--bags",
        "/home/me/bags/reach",
        "bags/push",
        "--train",
        "--mixture /a/b/reach=1 push=2",
        "--as=/x/y",
    ]
    assert command_line("benchmarks/bars.py", words) == (
        "python benchmarks/bars.py --bags reach bags/push --train '--mixture reach=1 push=2' --as=y"
    )
    assert set(origin("x")["machine"]) == {"processor", "cores", "memory_gib", "python"}


def test_planner_settings_are_numbers_or_words():
    config = planner_config(["iterations=2", "mode=search", "hybrid_left=0.5"])
    assert (config.iterations, config.mode, config.hybrid_left) == (2, "search", 0.5)
    for word, told in (("iterations", "KEY=VALUE"), ("hope=1", "unknown keys"), ("mode=guess", "mode is")):
        with pytest.raises(JepaError, match=told):
            planner_config([word])
