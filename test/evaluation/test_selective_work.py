"""The shipped model in the closed loop: event-triggered planning reaches what planning at every look reaches."""

import pytest

from jepa_ros.costs.energy import DEFAULT_WEIGHTS
from jepa_ros.evaluation.report import summarise
from jepa_ros.evaluation.runner import PLANNER, Bench, Settings
from jepa_ros.nodes.bringup.graph import find_checkpoint
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.trigger import Cause

SEEDS = (1000, 1001, 1003, 1008)


@pytest.fixture(scope="module")
def runs():
    """replan -> results and the causes of every episode."""
    found = {}
    for replan in ("always", "event"):
        bench = Bench(
            Settings(
                "reach",
                str(find_checkpoint("reach")),
                "checkpoint",
                PlannerConfig(replan=replan, replan_left=1, iterations=5),
                dict(DEFAULT_WEIGHTS),
            )
        )
        results, causes = [], []
        for seed in SEEDS:
            results.append(bench.run(PLANNER, seed))
            causes.append(dict(bench.agent(PLANNER).episode.causes))
        found[replan] = results, causes
    return found


def test_it_succeeds_as_soon_with_fewer_candidates(runs):
    always, event = (summarise(runs[replan][0]) for replan in ("always", "event"))
    assert event["successes"] == always["successes"] == len(SEEDS)
    assert sum(r.blocks for r in runs["event"][0]) <= sum(r.blocks for r in runs["always"][0]) + 2
    assert event["candidates_per_episode"] < 0.85 * always["candidates_per_episode"]
    assert event["searches_per_episode"] < always["searches_per_episode"]
    looks = sum(r.blocks for r in runs["always"][0]) / len(SEEDS)
    assert always["searches_per_episode"] == looks
    assert always["candidates_per_episode"] == PlannerConfig().samples * 5 * looks


def test_kept_looks_imagine_one_candidate_and_others_tell_why_they_searched(runs):
    for result, causes in zip(*runs["event"], strict=True):
        assert result.candidates.count(1) == causes.get(Cause.NONE, 0)
        assert causes[Cause.NO_PLAN] == 1 and sum(causes.values()) == result.blocks
    assert sum(causes.get(Cause.NONE, 0) for causes in runs["event"][1]) >= len(SEEDS)
    assert all(causes == {Cause.ALWAYS: r.blocks} for r, causes in zip(*runs["always"], strict=True))
