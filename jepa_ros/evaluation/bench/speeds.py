"""Two speeds: what the policy, the search and both cost a plan, what they reach, and how often the policy was enough."""

from __future__ import annotations

import time
from dataclasses import replace

from jepa_ros.costs.energy import Energy
from jepa_ros.data.collect import arm_spec
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.agents import PlannerAgent
from jepa_ros.evaluation.bench.bench import Bench, NotHere
from jepa_ros.evaluation.closed_loop import EpisodeResult, run_episode
from jepa_ros.evaluation.statistics import percentile, wilson_interval
from jepa_ros.export.choose import with_runtime
from jepa_ros.planning.config import MODES
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task
from jepa_ros.world_model.checkpoint import load_checkpoint

FIRST_SEED, BLOCKS, TASK = 1000, 30, "reach"


def measure(bench: Bench) -> dict:
    """rows: per mode, over the same episodes of `reach`, closed loop without ROS; episodes of the modes take turns.

    plan_ms_...: wall time of a look without its encoding.  processor_ms_per_episode: processor time of all looks, encoding
    included.
    policy_share: of the plans that were made anew, those without a search. NotHere without heads.
    """
    settings = bench.settings
    runtime = "onnx" if "onnx" in bench.subjects else next(iter(bench.subjects))
    checkpoint = with_runtime(
        load_checkpoint(settings.checkpoint, settings.device),
        bench.asked[runtime],
        settings.exported,
        settings.threads,
    )
    if checkpoint.heads is None:
        raise NotHere("the checkpoint has no heads, so there is one speed only; train them: `jepa heads`")
    try:
        checkpoint.spec.require_match(arm_spec(), "the checkpoint", "the simulated SO-101")
    except JepaError as error:
        raise NotHere(str(error)) from error
    agents = {
        mode: _Timed(checkpoint, replace(bench.planner, mode=mode), Energy.of(checkpoint)) for mode in MODES
    }
    task, found = make_task(TASK), {mode: [] for mode in MODES}
    with Simulator(TASK, checkpoint.model.image_size) as simulator:
        for episode in range(bench.effort.episodes):
            first = episode % len(MODES)
            for mode in MODES[first:] + MODES[:first]:
                found[mode].append(
                    run_episode(simulator, task, agents[mode], FIRST_SEED + episode, BLOCKS, mode)
                )
    return {
        "runtime": runtime,
        "episodes": bench.effort.episodes,
        "seeds": [FIRST_SEED, FIRST_SEED + bench.effort.episodes - 1],
        "hybrid_left": bench.planner.hybrid_left,
        "hybrid_arrived": bench.planner.hybrid_arrived,
        "rows": [_row(mode, found[mode], agents[mode].processor_ms) for mode in MODES],
    }


class _Timed(PlannerAgent):
    """processor_ms: of all looks so far, encoding included."""

    processor_ms = 0.0

    def act(self, image, proprio):
        began = time.thread_time()
        actions = super().act(image, proprio)
        self.processor_ms += 1e3 * (time.thread_time() - began)
        return actions


def _row(mode: str, results: list[EpisodeResult], processor_ms: float) -> dict:
    count, successes = len(results), sum(result.success for result in results)
    makers = [maker for result in results for maker in result.made_by]
    plan_ms = [ms for result in results for ms in result.plan_ms]
    anew = makers.count("policy") + makers.count("search")
    return {
        "mode": mode,
        "successes": successes,
        "wilson_95": list(wilson_interval(successes, count)),
        "seconds_per_episode": round(sum(result.seconds for result in results) / count, 2),
        "looks_per_episode": round(len(makers) / count, 1),
        "policy_share": round(makers.count("policy") / anew, 3),
        "candidates_per_episode": round(sum(sum(result.candidates) for result in results) / count, 1),
        "plan_ms_p50": round(percentile(plan_ms, 50), 2),
        "plan_ms_p95": round(percentile(plan_ms, 95), 2),
        "plan_ms_per_episode": round(sum(plan_ms) / count, 2),
        "processor_ms_per_episode": round(processor_ms / count, 2),
    }
