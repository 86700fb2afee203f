"""Of all weights of the heads on the way those are kept that did best, by planning with them in the simulator."""

import json
from dataclasses import replace

import pytest
import torch
from dot_world import DATA, EPISODES, SPEC, config
from test_selection import episodes

from jepa_ros.costs.energy import DEFAULT_WEIGHTS
from jepa_ros.data.collect import arm_spec
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.runner import PLANNER, Bench, Settings
from jepa_ros.evaluation.trial import ClosedLoopTrial
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.training import trainer
from jepa_ros.training.heads import HeadTraining, train_heads, untrained
from jepa_ros.training.selection import Candidates, Selection
from jepa_ros.world_model.checkpoint import load_checkpoint, save_checkpoint, save_heads
from jepa_ros.world_model.heads import Heads, HeadsConfig
from jepa_ros.world_model.heads_file import heads_metadata
from jepa_ros.world_model.model import ModelConfig, WorldModel

STEPS, TOLERANCE, SEEDS = 6, 0.2, range(3000, 3002)
HOW = HeadTraining(steps=STEPS, batch=16, objects=2, stride=2)


class Script:
    """A trial with its outcomes written down, that does all that a trial may do; keeps the weights it was shown."""

    def __init__(self, *successes: int):
        self.left, self.seen = list(successes), []

    def __call__(self, heads: Heads) -> dict:
        assert not heads.training and not any(p.requires_grad for p in heads.parameters())
        self.seen.append({name: tensor.clone() for name, tensor in heads.state_dict().items()})
        torch.rand(7)
        heads.train().requires_grad_(True)
        return {"push": episodes(self.left.pop(0))}


@pytest.fixture(scope="module")
def world():
    """An untrained model of the dot world, with its clips."""
    settings = config()
    split = trainer.split_episodes(EPISODES, SPEC, settings)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return WorldModel(settings.model, split.spec).eval(), split


def fitted(world, candidates: Candidates | None = None) -> tuple[Heads, dict]:
    model, split = world
    return train_heads(model, split.train, split.validation, HOW, progress=False, candidates=candidates)


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def kept(weights: dict) -> dict:
    """As they come back from a file."""
    return {name: tensor.half().float() for name, tensor in weights.items()}


def test_the_best_weights_on_the_way_become_the_heads_and_training_goes_on_as_without(world):
    script = Script(1, 3, 2)
    candidates = Candidates(2, script)
    heads, metrics = fitted(world, candidates)
    assert [found["step"] for found in candidates.tried] == [2, 4, 6] and metrics["heads_chosen_step"] == 4
    assert same(heads.state_dict(), kept(script.seen[1])) and not heads.training
    assert not same(script.seen[0], script.seen[1]) and not same(script.seen[1], script.seen[2])

    last, without = fitted(world)
    assert same(last.state_dict(), kept(script.seen[2])) and "heads_chosen_step" not in without
    # Figures are of the weights that are kept.
    _, longest = fitted(world, Candidates(2, Script(1, 2, 3)))
    assert {name: longest[name] for name in without} == without
    assert metrics["heads_value_loss"] != without["heads_value_loss"]
    assert metrics["heads_rank_value_recorded_near"] != without["heads_rank_value_recorded_near"]


def test_with_more_steps_from_one_to_the_next_than_there_are_only_the_last_is_tried(world):
    script = Script(0)
    candidates = Candidates(STEPS + 1, script)
    heads, metrics = fitted(world, candidates)
    assert len(script.seen) == 1 and metrics["heads_chosen_step"] == STEPS
    assert same(heads.state_dict(), kept(script.seen[0]))


def test_a_candidate_is_tried_without_a_trace(world):
    heads = untrained(HeadsConfig(objects=2, stride=2), world[0], seed=0).train()
    before = {name: tensor.clone() for name, tensor in heads.state_dict().items()}
    state = torch.get_rng_state()
    Candidates(1, Script(1)).consider(1, heads)
    assert torch.equal(torch.get_rng_state(), state)
    assert heads.training and all(p.requires_grad for p in heads.parameters())
    assert same(heads.state_dict(), before)


@pytest.fixture(scope="module")
def arm() -> WorldModel:
    """An untrained tiny model of the simulated arm."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return WorldModel(ModelConfig(latent_dim=8, image_size=(16, 16), predictor_width=16), arm_spec()).eval()


@pytest.fixture(scope="module")
def trial(arm):
    """Two episodes of either task, of three blocks each."""
    made = ClosedLoopTrial(["reach", "push"], SEEDS, arm.spec, arm.image_size, blocks=3)
    yield made
    made.close()


def tiny(arm: WorldModel, seed: int) -> Heads:
    small = {"width": 16, "policy_width": 16, "depth": 1, "object_width": 16, "object_policy_width": 16}
    return untrained(HeadsConfig(objects=2, **small), arm, seed).eval().requires_grad_(False)


def outcome(results) -> list[tuple]:
    return [(r.success, r.blocks, r.final_error_m, r.made_by) for r in results]


def test_a_model_alone_is_tried_on_tasks_that_need_no_heads_and_heads_on_all(arm, trial):
    assert list(trial(arm)) == ["reach"]
    found = trial.of_heads(arm, TOLERANCE)(tiny(arm, 0))
    assert {task: [r.seed for r in results] for task, results in found.items()} == {
        "reach": list(SEEDS),
        "push": list(SEEDS),
    }


def test_a_trial_of_heads_is_what_evaluation_finds_with_them(arm, trial, tmp_path):
    save_checkpoint(tmp_path, arm, {"goal_tolerance": TOLERANCE})
    reached = []
    for seed in (0, 1):
        save_heads(tmp_path, tiny(arm, seed))
        tried = trial.of_heads(arm, TOLERANCE)(tiny(arm, seed))
        for task, found in tried.items():
            bench = Bench(
                Settings(
                    task, str(tmp_path), "checkpoint", PlannerConfig(), DEFAULT_WEIGHTS, 3, runtime="torch"
                )
            )
            evaluated = [bench.run(PLANNER, seed) for seed in SEEDS]
            bench.close()
            assert outcome(found) == outcome(evaluated), task
        reached.append(outcome(tried["reach"]))
    assert reached[0] != reached[1]


def test_what_is_tried_in_the_simulator_is_left_as_it_was(arm, trial):
    heads, model = tiny(arm, 0), {name: tensor.clone() for name, tensor in arm.state_dict().items()}
    before = {name: tensor.clone() for name, tensor in heads.state_dict().items()}
    state = torch.get_rng_state()
    candidates = Candidates(1, trial.of_heads(arm, TOLERANCE))
    first, again = (candidates.consider(step, heads)["tasks"] for step in (1, 2))
    assert first == again and candidates.seconds > 0
    assert same(heads.state_dict(), before) and same(arm.state_dict(), model)
    assert torch.equal(torch.get_rng_state(), state)


def arm_episodes() -> list:
    """The dots with the simulated arm's contract: what they show has nothing to do with what drives it."""
    rng = torch.Generator().manual_seed(0)

    def as_arm(episode):
        joints = 0.4 * torch.rand(len(episode), 6, generator=rng).numpy()
        actions = 0.1 * (2 * torch.rand(len(episode), 6, generator=rng).numpy() - 1)
        return replace(episode, joint_positions=joints, actions=actions)

    return [as_arm(episode) for episode in EPISODES]


@pytest.mark.timeout(600)
def test_a_run_chooses_the_model_by_tasks_without_heads_and_the_heads_by_all(tmp_path):
    selection = Selection(tasks=("reach", "push"), every=6, episodes=1)
    settings = config(steps=2, head_steps=3, head_select_every=2, selection=selection)
    both = tmp_path / "both"
    metrics = trainer.train(arm_episodes(), arm_spec(), both, settings, DATA)
    found = load_checkpoint(both).config
    assert [list(tried["tasks"]) for tried in found["candidates"]] == [["reach"]]
    training = json.loads(heads_metadata(both)["training"])
    assert [tried["step"] for tried in training["candidates"]] == [2, 3]
    assert all(list(tried["tasks"]) == ["reach", "push"] for tried in training["candidates"])
    assert training["selection"] == {"tasks": ["reach", "push"], "every": 2, "episodes": 1, "seed": 3000}
    assert metrics["heads_chosen_step"] in (2, 3) and found["metrics"]["chosen_step"] == 2

    only = tmp_path / "only"
    selection = replace(selection, tasks=("push",))
    trainer.train(arm_episodes(), arm_spec(), only, replace(settings, selection=selection), DATA)
    assert "candidates" not in load_checkpoint(only).config
    training = json.loads(heads_metadata(only)["training"])
    assert [list(tried["tasks"]) for tried in training["candidates"]] == [["push"]] * 2


def test_another_robot_is_refused_before_the_model_is_trained_where_only_heads_are_chosen(tmp_path):
    settings = config(head_steps=3, selection=Selection(tasks=("push",), episodes=1))
    with pytest.raises(JepaError, match="give --select-tasks without a task"):
        trainer.train(EPISODES, SPEC, tmp_path, settings, DATA)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_heads_may_be_chosen_in_another_way_when_a_run_is_repeated(tmp_path, monkeypatch):
    """The state of a run that was stopped after the model's last step is not refused for it."""

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(trainer, "validate", stop)
        with pytest.raises(KeyboardInterrupt):
            trainer.train(EPISODES, SPEC, tmp_path, config(head_steps=3), DATA)
    again = config(head_steps=2, head_select_every=7)
    monkeypatch.setattr(trainer, "jepa_loss", stop)
    assert "heads_value_loss" in trainer.train(EPISODES, SPEC, tmp_path, again, DATA)
