"""`jepa evaluate` of a model with several futures: each option reaches the planner, is told, and is refused where it is wrong."""

import json

import pytest
import torch

from jepa_ros.cli.main import main
from jepa_ros.costs.risk import Risk
from jepa_ros.data.collect import arm_spec
from jepa_ros.evaluation.closed_loop import run_episode
from jepa_ros.evaluation.runner import PLANNER, Bench, Settings
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.world_model.checkpoint import save_checkpoint
from jepa_ros.world_model.futures import Futures
from jepa_ros.world_model.model import ModelConfig, WorldModel

SMALL = {"image_size": (32, 32), "latent_dim": 8, "predictor_width": 16, "predictor_depth": 1}
PLANS = PlannerConfig(mode="search", samples=16, iterations=2, horizon=2, elites=4)


def checkpoint(folder, codes: int) -> str:
    """One of random weights."""
    torch.manual_seed(0)
    save_checkpoint(
        folder, WorldModel(ModelConfig(**SMALL, codes=codes), arm_spec()), {"goal_tolerance": 0.05}
    )
    return str(folder)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("several"), 3)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("one"), 0)


def words(folder, *options: str) -> list[str]:
    quick = (
        "--episodes 1 --blocks 1 --processes 1 --baselines none --samples 16 --elites 4 --horizon 2".split()
    )
    return ["evaluate", "--checkpoint", folder, *quick, *options]


def test_options_are_told_and_kept_in_the_result(several, tmp_path, capsys):
    out = tmp_path / "out.json"
    options = "--futures 5 --risk mix --risk-weight 0.75 --risk-tail 0.4".split()
    assert main(words(several, *options, "--json", str(out))) == 0
    told = "5 of every candidate; what counts is 0.25 of their mean and 0.75 of the mean of the worst 0.4 of them"
    assert told in capsys.readouterr().out
    settings = json.loads(out.read_text())["settings"]
    assert settings["risk"] == {"kind": "mix", "weight": 0.75, "tail": 0.4}
    assert settings["futures"] == {"count": 5, "seed": 0}


@pytest.mark.parametrize(
    "options, told",
    [((), "8 of every candidate; what counts is their mean"), (("--risk", "worst"), "the worst of them")],
)
def test_what_is_left_out_is_as_in_the_nodes(several, options, told, capsys):
    assert main(words(several, *options)) == 0
    assert told in capsys.readouterr().out


@pytest.mark.parametrize(
    "risk, futures",
    [
        (Risk("worst"), Futures(6)),
        (Risk("mix"), Futures(6)),
        (Risk("mix", weight=0.9), Futures(6)),
        (Risk("mix", weight=0.9, tail=0.6), Futures(6)),
        (Risk("mean"), Futures(2)),
    ],
)
def test_each_changes_what_a_plan_is_judged_by(several, risk, futures):
    def cost(**given) -> float:
        bench = Bench(
            Settings("reach", several, "checkpoint", PLANS, {"goal_distance": 1.0}, blocks=1, **given)
        )
        try:
            agent = bench.agent(PLANNER)
            run_episode(bench.simulator, bench.task, agent, 1000, 1, PLANNER)
            return agent.episode.solution.cost
        finally:
            bench.close()

    assert cost(risk=risk, futures=futures) != pytest.approx(
        cost(risk=Risk("mean"), futures=Futures(6)), rel=1e-6
    )


@pytest.mark.parametrize(
    "options, told",
    [
        (("--risk", "bold"), "risk is 'bold'"),
        (("--risk-weight", "2"), "risk_weight is 2"),
        (("--risk-tail", "0"), "risk_tail is 0"),
        (("--futures", "0"), "futures count is 0"),
    ],
)
def test_what_cannot_be_is_refused(several, options, told, capsys):
    assert main(words(several, *options)) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--risk", "mean"), ("--risk-weight", "0.5"), ("--futures", "4")])
def test_they_are_refused_where_they_would_change_nothing(one, option, capsys):
    assert main(words(one, *option)) == 2
    captured = capsys.readouterr()
    assert option[0] in captured.err and "--codes" in captured.err
    assert main(["evaluate", "--model", "oracle", *option]) == 2
