"""Episodes are run once, whatever stops the run in between."""

import json
from dataclasses import replace

import episode_log
import pytest
from result_files import made_by

from jepa_ros.errors import JepaError
from jepa_ros.evaluation.runner import Settings
from jepa_ros.planning.config import PlannerConfig

SETTINGS = Settings("reach", None, "checkpoint", PlannerConfig(), blocks=1)
AGENTS = ["no_op", "random"]


@pytest.fixture
def ran(monkeypatch):
    """The jobs that are really run."""
    jobs, real = [], episode_log.run_jobs

    def noted(settings, wanted, processes):
        for job, result in real(settings, wanted, processes):
            jobs.append(job)
            yield job, result

    monkeypatch.setattr(episode_log, "run_jobs", noted)
    return jobs


def test_agents_take_turns_and_so_does_who_begins():
    assert list(episode_log.turns(["a", "b", "c"], [7, 8])) == [
        *(("a", 7), ("b", 7), ("c", 7)),
        *(("b", 8), ("c", 8), ("a", 8)),
    ]


def test_a_killed_run_goes_on_after_its_last_whole_episode(tmp_path, ran):
    file = tmp_path / "run" / "reach.jsonl"
    first = episode_log.complete(file, SETTINGS, AGENTS, [1000])
    assert not episode_log.is_complete(file, SETTINGS, AGENTS, [1000, 1001])
    with open(file, "a") as log:
        log.write('{"agent": "no_op", "seed": 10')
    del ran[:]
    both = episode_log.complete(file, SETTINGS, AGENTS, [1000, 1001])
    assert ran == [("random", 1001), ("no_op", 1001)]
    assert [both[agent][0] for agent in AGENTS] == [first[agent][0] for agent in AGENTS]
    assert [result.seed for result in both["no_op"]] == [1000, 1001]
    assert episode_log.is_complete(file, SETTINGS, AGENTS, [1000, 1001])
    assert episode_log.complete(file, SETTINGS, AGENTS, [1001])["random"] == both["random"][1:]
    assert len(ran) == 2 and len([json.loads(line) for line in file.read_text().splitlines()]) == 5


def test_a_result_of_several_commits_names_them_all(tmp_path, monkeypatch):
    file = tmp_path / "reach.jsonl"

    def content(commit: str, seeds: list[int]) -> dict:
        monkeypatch.setattr(episode_log, "COMMIT", commit)
        found = episode_log.complete(file, SETTINGS, AGENTS, seeds)
        return episode_log.made_with([episode_log.figures(episodes) for episodes in found.values()])

    one = content("1" * 40, [1000])
    assert one == {"commit": "1" * 40, "runtime": ""} and made_by(one) == "commit 1111111"
    two = content("2" * 40 + "+", [1000, 1001])
    assert two["commit"] == ["1" * 40, "2" * 40 + "+"]
    assert made_by(two) == "mixed commits 1111111 and 2222222+"
    assert content("3" * 40, [1000]) == one

    header, *rows = episode_log.read_lines(file)
    untold = [{key: row[key] for key in row if key not in ("commit", "runtime")} for row in rows[:2]]
    episode_log.write_lines(file, [header, *untold, *rows[2:]])  # a file from before they were told
    old = content("3" * 40, [1000, 1001])
    assert old["commit"] == ["2" * 40 + "+", "unknown"] and old["runtime"] == ["", "unknown"]


def test_episodes_know_what_computed_the_model(small_checkpoint, tmp_path):
    settings = replace(SETTINGS, checkpoint=str(small_checkpoint))
    found = episode_log.complete(tmp_path / "reach.jsonl", settings, ["no_op"], [1000])
    assert episode_log.figures(found["no_op"])["runtimes"] == ["torch"]  # it is not exported


def test_episodes_of_other_settings_are_not_mixed_in(tmp_path, ran):
    file = tmp_path / "reach.jsonl"
    file.write_text(json.dumps(episode_log.header(SETTINGS)) + "\n")
    with pytest.raises(JepaError, match="blocks, weights differ"):
        episode_log.complete(file, replace(SETTINGS, blocks=2, weights={"effort": 1.0}), AGENTS, [1000])
    assert not ran


def test_a_checkpoint_is_known_by_its_content(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"weights")
    one, other = (replace(SETTINGS, checkpoint=str(tmp_path / name)) for name in ("one", "other"))
    assert episode_log.header(one) == episode_log.header(other)
    assert str(tmp_path) not in json.dumps(episode_log.header(one))
    (tmp_path / "other" / "heads.safetensors").write_bytes(b"heads")
    assert episode_log.header(one) != episode_log.header(other)


def test_who_lacks_something_is_left_out_and_the_planner_is_not(capsys):
    assert episode_log.available(SETTINGS, ["no_op", "behaviour_cloning"]) == ["no_op"]
    assert "behaviour_cloning is left out: it needs networks" in capsys.readouterr().err
