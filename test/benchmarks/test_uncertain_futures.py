"""The figures of the benchmark of uncertain futures, from known predictions and episodes."""

import json

import numpy as np
import pytest
import torch
import uncertain_futures
from uncertain_passages import find_passages, separation_figures, straight_block
from uncertain_tables import (
    FILE,
    REFERENCE,
    all_driving_figures,
    driving_table,
    separation_table,
    tables,
)

from jepa_ros.data.collect import arm_spec
from jepa_ros.data.episodes import Episode
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task
from jepa_ros.world_model.checkpoint import load_checkpoint, save_checkpoint
from jepa_ros.world_model.model import ModelConfig, WorldModel


def test_where_predictions_lie_between_the_outcomes():
    found = separation_figures(
        {"place": np.array([[0.0, 1.0, 0.9, 0.5], [0.1, 0.2, -0.2, 0.0]]), "off": np.full((2, 4), 0.1)}
    )
    assert (found["passed"], found["stopped"], found["between"]) == (5 / 8, 2 / 8, 1 / 8)
    assert found["both_found"] == 0.5 and found["median_off"] == pytest.approx(0.1)
    mean = separation_figures({"place": np.full((6, 1), 0.5), "off": np.full((6, 1), 0.5)})
    assert mean["between"] == 1 and mean["both_found"] == 0
    table = separation_table({"one_future": mean, "several_futures": found})
    assert "| one future | 0.50 | 0.50, 0.50 | 0 % | 100 % | 0 % | 0 % |" in table


def driven_by(agent: str, stopped: list[int], episodes: int = 10) -> list[dict]:
    """Rows of one agent that was stopped in the given episodes and arrived from the fifth on."""
    return [
        {
            "agent": agent,
            "seed": seed,
            "stopped": seed in stopped,
            "success": seed > 3,
            "seconds": float(seed),
        }
        for seed in range(episodes)
    ]


def test_how_often_the_arm_was_stopped_and_arrived():
    rows = driven_by(REFERENCE, [0, 1, 2, 3, 4, 5, 6]) + driven_by("careful", [6, 9])
    found = all_driving_figures(rows, (REFERENCE, "careful"))
    careful = found["careful"]
    assert (careful["stopped"], careful["success"], careful["median_seconds"]) == (2, 6, 6.5)
    assert careful["stopped_wilson_95"][0] < 0.2 < careful["stopped_wilson_95"][1]
    assert (careful["stopped_only_reference"], careful["stopped_only_here"]) == (6, 1)
    assert careful["mcnemar_p"] == pytest.approx(2 * 8 / 2**7)
    table = driving_table(found)
    assert "| careful | 2 / 10 | 6 - 51 % | 6 fewer, 1 more | 0.125 | 6 / 10 |" in table
    assert f"| {REFERENCE} | 7 / 10 | 40 - 89 % | - | - |" in table
    never = driven_by(REFERENCE, [0], episodes=1)
    assert "| 0 / 1 | 0 - 79 % | - |" in driving_table(all_driving_figures(never, [REFERENCE]))
    sure = all_driving_figures(
        driven_by(REFERENCE, [*range(12)], 12) + driven_by("b", [], 12), (REFERENCE, "b")
    )
    assert "| b | 0 / 12 | 0 - 24 % | 12 fewer, 0 more | < 0.001 |" in driving_table(sure)


def test_the_straight_block_is_as_fast_as_the_bounds_allow_and_leads_to_the_goal():
    spec, (start, goal) = arm_spec(), make_task("curtain").episode(0)
    block = straight_block(start, goal, spec)
    assert block.shape == (spec.block, spec.dim)
    assert np.all(block <= np.array(spec.upper) + 1e-9) and np.all(block >= np.array(spec.lower) - 1e-9)
    way = goal.joints - start.joints
    np.testing.assert_allclose(
        block.sum(0) / np.linalg.norm(block.sum(0)), way / np.linalg.norm(way), atol=1e-9
    )


def test_a_passage_has_one_beginning_and_both_ends():
    with Simulator("curtain", (32, 32)) as simulator:
        (passage,) = find_passages(simulator, arm_spec(), first_seed=0, count=1)
        for stopped, end in passage["ends"].items():
            simulator.reset(end)
            assert simulator.stopped == stopped
            np.testing.assert_array_equal(simulator.render(), passage["after"][stopped])
        simulator.reset(passage["start"])
        np.testing.assert_array_equal(simulator.render(), passage["before"])
    assert np.any(passage["after"][True] != passage["after"][False])


def test_the_page_says_what_was_measured_or_that_nothing_was(tmp_path):
    assert set(tables(tmp_path).values()) == {"Not measured."}
    row = separation_figures({"place": np.full((6, 1), 0.5), "off": np.full((6, 1), 0.5)})
    drives = all_driving_figures(driven_by(REFERENCE, [], episodes=1), [REFERENCE])[REFERENCE]
    content = {
        "command": "python it",
        "date": "2026-11-21",
        "separation": {"a": row},
        "driven": {REFERENCE: drives},
    }
    (tmp_path / FILE).write_text(json.dumps(content))
    found = tables(tmp_path)
    assert "`python it`; 2026-11-21" in found["the passages"] and "| a | 0.50 |" in found["the passages"]
    assert f"| {REFERENCE} | 0 / 1 |" in found["the drives"]


def models(args) -> dict:
    """Both checkpoints, of random weights."""
    size = {"image_size": (args.image_size,) * 2, "latent_dim": 8, "predictor_width": 16}
    made = {}
    for name, codes in ((uncertain_futures.ONE, 0), (uncertain_futures.SEVERAL, args.codes)):
        torch.manual_seed(0)
        model = WorldModel(ModelConfig(**size, predictor_depth=1, codes=codes), arm_spec())
        save_checkpoint(args.work / name, model, {"goal_tolerance": 0.05, "predictor": {"codes": codes}})
        made[name] = load_checkpoint(args.work / name)
    return made


def test_every_agent_drives_once_whatever_stops_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(uncertain_futures, "make_models", models)
    driven, real = [], uncertain_futures.run_episode

    def noted(simulator, task, agent, seed, blocks, name):
        result = real(simulator, task, agent, seed, blocks, name)
        driven.append((name, seed, set(result.made_by)))
        return result

    monkeypatch.setattr(uncertain_futures, "run_episode", noted)

    def run(episodes: int) -> dict:
        out, quick = tmp_path / "out.json", "--blocks 5 --passages 1 --futures 2 --horizon 2 --seed 3"
        words = ["--work", str(tmp_path), "--json", str(out), "--episodes", str(episodes)]
        assert uncertain_futures.main([*words, *quick.split()]) == 0
        return json.loads(out.read_text())

    first = run(episodes=1)
    assert driven == [(name, 3, {"policy"}) for name in uncertain_futures.PLANS]
    assert first["planner"]["stall_plans"] == 0 and first["commit"] == uncertain_futures.COMMIT
    assert [row["agent"] for row in first["rows"]] == [*first["driven"]] == [*uncertain_futures.PLANS]

    with open(tmp_path / "driven.jsonl", "a") as log:
        log.write('{"agent": "one fut')
    del driven[:]
    second = run(episodes=2)
    assert [(name, seed) for name, seed, _ in driven] == [(name, 4) for name in uncertain_futures.PLANS]
    assert second["rows"][:4] == first["rows"] and run(episodes=2)["rows"] == second["rows"]
    assert len((tmp_path / "driven.jsonl").read_text().splitlines()) == 8 and len(driven) == 4


def test_an_episode_begins_with_a_block_of_standing_still():
    spec = arm_spec()
    frames = np.arange(6)
    episode = Episode(
        images=np.repeat(frames.astype(np.uint8), 12).reshape(6, 2, 2, 3),
        joint_positions=np.repeat(frames.astype(np.float32), spec.dim).reshape(6, spec.dim),
        actions=np.full((6, spec.dim), 0.1, np.float32),
        stamps=5.0 + spec.dt * frames,
        metadata={"task": "curtain"},
    )
    longer = uncertain_futures.from_rest(episode, spec)
    block = spec.block
    assert len(longer) == 6 + block and longer.metadata == episode.metadata
    for name in ("images", "joint_positions", "actions", "stamps"):
        np.testing.assert_array_equal(getattr(longer, name)[block:], getattr(episode, name))
        assert getattr(longer, name).dtype == getattr(episode, name).dtype
    assert not longer.images[:block].any() and not longer.joint_positions[:block].any()
    assert not longer.actions[:block].any()
    np.testing.assert_allclose(np.diff(longer.stamps), spec.dt)
