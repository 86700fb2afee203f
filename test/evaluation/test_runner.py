"""Many episodes: worker processes change nothing, what is missing is named, and the report is complete."""

import dataclasses
import json

import numpy as np
import pytest

from jepa_ros.data.collect import arm_spec
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.closed_loop import EpisodeResult
from jepa_ros.evaluation.report import SUMMARY_FIELDS, rows, summarise, table, unavailable, write_json
from jepa_ros.evaluation.runner import BASELINES, Bench, Settings, run_all
from jepa_ros.planning.config import PlannerConfig


def strip_times(results):
    return {
        name: [dataclasses.replace(r, plan_ms=[], encode_ms=[]) for r in found]
        for name, found in results.items()
    }


def test_two_processes_give_what_one_gives(oracle_settings):
    settings = dataclasses.replace(oracle_settings, blocks=4)
    told = []
    one = run_all(settings, ["true_joints", "random"], [1000, 1001], 1, told.append)
    two = run_all(settings, ["true_joints", "random"], [1000, 1001], 2)
    assert strip_times(one) == strip_times(two)
    assert [r.seed for r in two["random"]] == [1000, 1001] and len(told) == 4


def test_an_error_in_a_worker_reaches_the_caller(oracle_settings):
    with pytest.raises(JepaError, match="unknown baseline 'nobody'"):
        run_all(oracle_settings, ["nobody"], [1000, 1001], 2)


def test_a_worker_that_is_killed_is_told(oracle_settings, one_of_two_workers_killed):
    with pytest.raises(JepaError, match="a process that drove episodes ended unexpectedly"):
        run_all(oracle_settings, ["true_joints"], [1000, 1001], 2)


@pytest.mark.parametrize("name", ["behaviour_cloning", "decoded_joints"])
def test_networks_that_are_not_there_are_named_not_counted_as_zero(bench, name):
    with pytest.raises(JepaError, match="checkpoint"):
        bench.agent(name)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """A checkpoint of random weights, with baselines."""
    import torch

    from jepa_ros.world_model.baselines import Baselines, save_baselines
    from jepa_ros.world_model.checkpoint import save_checkpoint
    from jepa_ros.world_model.model import ModelConfig, WorldModel

    torch.manual_seed(0)
    path, spec = tmp_path_factory.mktemp("checkpoint"), arm_spec()
    save_checkpoint(path, WorldModel(ModelConfig(), spec), {"goal_tolerance": 0.05})
    save_baselines(path, Baselines(ModelConfig(), spec))
    return path


def test_a_checkpoint_with_blocks_of_its_own_drives_in_them(tmp_path):
    import torch

    from jepa_ros.world_model.checkpoint import save_checkpoint
    from jepa_ros.world_model.model import ModelConfig, WorldModel

    torch.manual_seed(0)
    save_checkpoint(tmp_path, WorldModel(ModelConfig(), arm_spec(block=2)), {"goal_tolerance": 0.05})
    bench = Bench(
        Settings(
            "reach",
            str(tmp_path),
            "checkpoint",
            PlannerConfig(samples=8, elites=2),
            {"goal_distance": 1.0},
            blocks=3,
        )
    )
    assert bench.run("planner", 1000).blocks == 3 and bench.spec.block == 2


def test_planner_and_every_baseline_drive_an_episode_from_a_checkpoint(untrained):
    from jepa_ros.costs.energy import DEFAULT_WEIGHTS

    settings = Settings(
        "reach",
        str(untrained),
        "checkpoint",
        PlannerConfig(samples=8, elites=2, iterations=2),
        dict(DEFAULT_WEIGHTS),
        blocks=3,
    )
    bench = Bench(settings)
    for name in ("planner", *BASELINES, "decoded_by_sight"):
        first, again = bench.run(name, 1000), bench.run(name, 1000)
        assert strip_times({name: [first]}) == strip_times({name: [again]})
        assert first.blocks == 3 and (len(first.encode_ms) == 3) == (name == "planner")
    bench.simulator.close()


def test_a_checkpoint_of_another_robot_is_refused_with_both_sides(untrained, tmp_path):
    config = json.loads((untrained / "config.json").read_text())
    config["action_spec"]["rate_hz"] = 20.0
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes((untrained / "model.safetensors").read_bytes())
    with pytest.raises(JepaError, match="rate_hz(.|\n)*20.0(.|\n)*10.0"):
        Bench(Settings("reach", str(tmp_path), "checkpoint", PlannerConfig())).simulator  # noqa: B018


def result(seed, success, error, plan_ms):
    return EpisodeResult("planner", seed, success, 4, 2.0, 0.2, error, error, plan_ms, [1.0])


def test_summary_figures():
    figures = summarise(
        [result(0, True, 0.01, [10.0, 20.0]), result(1, False, 0.05, [30.0]), result(2, True, 0.02, [40.0])]
    )
    assert set(figures) == set(SUMMARY_FIELDS)
    assert (figures["successes"], figures["episodes"]) == (2, 3)
    assert figures["wilson_95"] == pytest.approx([0.2077, 0.9385], abs=1e-4)
    assert figures["median_error_m"] == 0.02 and figures["plan_ms_p50"] == 25.0
    assert figures["plan_ms_p95"] == pytest.approx(np.percentile([10, 20, 30, 40], 95))


def test_table_says_what_was_not_run_and_why():
    text = table(
        {
            "planner": summarise([result(0, True, 0.01, [10.0])]),
            "behaviour_cloning": unavailable("no networks"),
        }
    )
    assert "1/1" in text and "10.0 mm" in text
    assert "not run" in text and "behaviour_cloning was not run: no networks" in text and "0/" not in text


def test_rows_are_json():
    assert json.loads(json.dumps(rows([result(7, True, 0.01, [10.12345])]), allow_nan=False))[0][
        "plan_ms"
    ] == [10.123]


def test_json_is_written_whole_and_a_bad_place_is_named(tmp_path):
    write_json(tmp_path / "new" / "out.json", {"a": 1})
    assert json.loads((tmp_path / "new" / "out.json").read_text()) == {"a": 1}
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["out.json"]
    with pytest.raises(JepaError, match="cannot write"):
        write_json(tmp_path / "new" / "out.json" / "x.json", {})
