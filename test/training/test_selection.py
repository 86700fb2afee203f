"""Of all weights on the way those become the checkpoint that did best, in a run that was stopped as well."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from dot_world import DATA, EPISODES, SPEC, config, logged

from jepa_ros.costs.energy import DEFAULT_WEIGHTS
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.closed_loop import EpisodeResult
from jepa_ros.evaluation.runner import PLANNER, Bench, Settings
from jepa_ros.evaluation.trial import ClosedLoopTrial
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.training import trainer
from jepa_ros.training.pace import Pace
from jepa_ros.training.selection import Candidates, Selection, merit
from jepa_ros.world_model.checkpoint import load_checkpoint
from jepa_ros.world_model.model import WorldModel

SHIPPED = Path(__file__).parents[2] / "models" / "reach"
CHOSEN = Selection(tasks=("reach",), every=2, episodes=3)


def episodes(successes: int, error: float = 0.1, of: int = 3) -> list[EpisodeResult]:
    return [EpisodeResult("planner", 3000 + i, i < successes, 1, 1.0, 0.3, error, error) for i in range(of)]


class Script:
    """A trial with its outcomes written down, one a candidate; keeps the weights it was shown."""

    def __init__(self, *successes: int):
        self.left, self.seen = list(successes), []

    def __call__(self, model: WorldModel) -> dict[str, list[EpisodeResult]]:
        assert not model.training and not any(p.requires_grad for p in model.parameters())
        torch.rand(7)  # a trial may draw what it likes
        self.seen.append(model.state_dict())
        return {"reach": episodes(self.left.pop(0))}


@pytest.fixture
def scripted(monkeypatch):
    """Puts a script in the simulator's place."""

    def use(script: Script) -> Script:
        @contextmanager
        def trial_of(selection, model, ranks):
            yield script if selection.tasks and ranks.first else None

        monkeypatch.setattr(trainer, "trial_of", trial_of)
        return script

    return use


def same(a: dict, b: dict) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_the_best_candidate_becomes_the_checkpoint_and_training_is_what_it_is_without(tmp_path, scripted):
    script = scripted(Script(1, 3, 2))
    metrics = trainer.train(EPISODES, SPEC, tmp_path / "chosen", config(selection=CHOSEN), DATA)
    checkpoint = load_checkpoint(tmp_path / "chosen")
    assert metrics["chosen_step"] == 4 and same(checkpoint.model.state_dict(), script.seen[1])
    assert [found["step"] for found in checkpoint.config["candidates"]] == [2, 4, 6]
    assert checkpoint.config["training"]["selection"]["seed"] == 3000
    assert checkpoint.calibration is not None

    trainer.train(EPISODES, SPEC, tmp_path / "last", config(), DATA)
    last = load_checkpoint(tmp_path / "last")
    assert same(last.model.state_dict(), script.seen[2]) and not same(script.seen[1], script.seen[2])
    assert "candidates" not in last.config
    rows = logged(tmp_path / "chosen")
    assert [row["step"] for row in rows if "tasks" in row] == [2, 4, 6]
    assert [row for row in rows if "tasks" not in row] == logged(tmp_path / "last")


def test_the_last_weights_are_a_candidate_whatever_the_interval_is(tmp_path, scripted):
    script = scripted(Script(2, 3))
    how = Selection(tasks=("reach",), every=5, episodes=3)
    assert trainer.train(EPISODES, SPEC, tmp_path, config(selection=how), DATA)["chosen_step"] == 6
    assert len(script.seen) == 2


def test_a_stopped_run_goes_on_with_the_candidates_it_had(tmp_path, scripted, monkeypatch):
    before = scripted(Script(1, 3))
    real, calls = trainer.jepa_loss, 0

    def stop_at_sixth(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(trainer, "jepa_loss", stop_at_sixth)
    with pytest.raises(KeyboardInterrupt):
        trainer.train(EPISODES, SPEC, tmp_path, config(selection=CHOSEN), DATA)
    monkeypatch.setattr(trainer, "jepa_loss", real)

    after = scripted(Script(2))
    assert trainer.train(EPISODES, SPEC, tmp_path, config(selection=CHOSEN), DATA)["chosen_step"] == 4
    assert len(after.seen) == 1 and same(load_checkpoint(tmp_path).model.state_dict(), before.seen[1])
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["tasks"]["reach"]["successes"] for row in rows if "tasks" in row] == [1, 3, 2]


def test_a_run_stopped_after_its_last_step_still_chooses(tmp_path, scripted, monkeypatch):
    script = scripted(Script(3, 1, 2))
    with monkeypatch.context() as stopped:
        stopped.setattr(trainer, "validate", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            trainer.train(EPISODES, SPEC, tmp_path, config(selection=CHOSEN), DATA)
    scripted(Script())
    assert trainer.train(EPISODES, SPEC, tmp_path, config(selection=CHOSEN), DATA)["chosen_step"] == 2
    assert same(load_checkpoint(tmp_path).model.state_dict(), script.seen[0])


def tried(**tasks: list[EpisodeResult]) -> float:
    candidates = Candidates(1, lambda model: tasks)
    return merit(candidates.consider(1, WorldModel(config().model, SPEC)))


def test_most_successes_win_then_the_worst_task_then_the_error():
    order = [
        tried(reach=episodes(3), push=episodes(0, 0.01)),
        tried(reach=episodes(1), push=episodes(2, 0.3)),
        tried(reach=episodes(1), push=episodes(2, 0.2)),
        tried(reach=episodes(3, 0.5), push=episodes(1, 0.5)),
    ]
    assert order == sorted(order) and len(set(order)) == 4


def test_of_equals_the_longer_trained_is_kept():
    candidates = Candidates(1, Script(2, 2))
    for step in (1, 2):
        torch.manual_seed(step)
        candidates.consider(step, WorldModel(config().model, SPEC))
    torch.manual_seed(2)
    assert candidates.best["step"] == 2
    assert same(candidates.weights, WorldModel(config().model, SPEC).state_dict())


@pytest.fixture(scope="module")
def shipped_model() -> WorldModel:
    return load_checkpoint(SHIPPED).model


@pytest.fixture(scope="module")
def reach(shipped_model):
    """A short trial in the simulator."""
    trial = ClosedLoopTrial(
        ["reach"], range(3000, 3003), shipped_model.spec, shipped_model.image_size, blocks=8
    )
    yield trial
    trial.close()


def test_in_the_simulator_weights_that_reach_goals_win_over_weights_that_do_not(shipped_model, reach):
    torch.manual_seed(0)
    untrained = WorldModel(shipped_model.config, shipped_model.spec)
    candidates = Candidates(1, reach)
    for step, model in enumerate((untrained, shipped_model, untrained), 1):
        candidates.consider(step, model)
    worse, better, again = (found["tasks"]["reach"] for found in candidates.tried)
    assert worse == again and worse["successes"] < better["successes"]
    assert candidates.best["step"] == 2 and same(candidates.weights, shipped_model.state_dict())


def test_a_trial_is_what_evaluation_finds_for_the_same_weights(shipped_model, reach):
    planner = PlannerConfig(mode="search")
    bench = Bench(Settings("reach", str(SHIPPED), "checkpoint", planner, DEFAULT_WEIGHTS, 8, runtime="torch"))
    evaluated = [bench.run(PLANNER, seed) for seed in range(3000, 3003)]
    bench.simulator.close()
    found = reach(shipped_model)["reach"]
    assert [(r.success, r.blocks, r.final_error_m) for r in found] == [
        (r.success, r.blocks, r.final_error_m) for r in evaluated
    ]


def test_another_robot_than_the_simulated_one_is_refused_before_training(tmp_path):
    with pytest.raises(JepaError, match="give --select-tasks without a task"):
        trainer.train(EPISODES, SPEC, tmp_path, config(selection=CHOSEN), DATA)
    assert not (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    "bad, words",
    [
        ({"seed": 1000}, "seed is 1000; it must be at least 3000"),
        ({"seed": 2999}, "reported evaluations"),
        ({"seed": 0}, "demos"),
        ({"episodes": 0}, "episodes is 0"),
        ({"every": 0}, "every is 0"),
        ({"tasks": ("fly",)}, "unknown task 'fly'"),
    ],
)
def test_what_cannot_be_chosen_by_is_named(bad, words):
    with pytest.raises(JepaError, match=words):
        Selection(**bad)
    assert Selection(seed=4000, episodes=2).seeds == range(4000, 4002)


def test_a_world_model_is_chosen_by_the_tasks_that_need_no_heads():
    every = Selection(tasks=("push", "far", "reach", "curtain"), every=7)
    assert every.without_heads == Selection(tasks=("far", "reach", "curtain"), every=7)
    assert Selection(tasks=("push",)).without_heads == Selection()


def test_the_time_of_a_trial_is_not_the_training_s(monkeypatch):
    now = 0.0
    monkeypatch.setattr("jepa_ros.training.pace.time.perf_counter", lambda: now)
    pace = Pace(images=10)
    pace.next(iter([None]))
    now = 2.0
    with pace.stopped():
        now = 50.0
    assert pace.seconds == 2.0 and pace.row()["images_per_second"] == 5.0
