"""Tables and verdicts of closed-loop success, from the bars_TASK.json of `benchmarks/bars.py`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from result_files import NOT_MEASURED, made_by, markdown, read

from jepa_ros.evaluation.shifts.figures import rate_words
from jepa_ros.evaluation.statistics import wilson_interval

LEAST_TRAININGS, LEAST_EPISODES = 3, 100
BARS = {"reach": 0.98, "push": 0.85, "far": 0.80}
"""Least share of successes, task by task."""
WORDS = {
    "reach": "reach, within 2 cm",
    "push": "push, the cube within 3 cm",
    "far": "far goals, 100 raw actions away and more",
}
DEFAULT_MODE, MOST_PLANNING = "hybrid", 0.5
AGENTS = {
    "search": "search",
    "policy": "policy",
    "hybrid": "hybrid (default)",
    "decoded_joints": "joints decoded from the goal image, proportional control",
    "decoded_by_sight": "joints decoded from both images, the same",
    "behaviour_cloning": "goal-conditioned behaviour cloning",
    "random": "random motion",
    "no_op": "no motion",
    "true_joints": "the true goal joints, proportional control",
}
FORMER_BUDGET_S = {"push": 16.5}
"""s of robot time that a task gave an episode before; what is reached within it is told too."""
FRESH = "fresh"
"""Folder of what was measured on goals that no earlier table had."""
TOLERANCES_M = {"reach": 0.02, "push": 0.03, "far": 0.03}
FAR_ACTIONS = 100
DRAWS = 4000


def contents(results: Path) -> dict[str, dict]:
    """Of every task with a bar what was measured, those without a file in the folder ``results`` left out."""
    found = {task: read(results / f"bars_{task}.json") for task in BARS}
    return {task: content for task, content in found.items() if content}


def bars(results: Path) -> str:
    """Markdown: every bar, what was measured, whether it is met."""
    found = contents(results)
    rows = []
    for task, least in BARS.items():
        asked = f"{WORDS[task]}: at least {least:.0%}"
        rows.append((asked, *(success_verdict(found[task], least) if task in found else (NOT_MEASURED, ""))))
    for task in BARS:
        asked = f"{task}: `hybrid` as good as the best of `search` and `policy`, within its interval"
        time = f"{task}: `hybrid` plans for at most half as long as `search`"
        verdicts = hybrid_verdicts(found[task]) if task in found else [(NOT_MEASURED, "")] * 2
        rows += [(words, *verdict) for words, verdict in zip((asked, time), verdicts, strict=True)]
    speed = read(results / "training_speed.json")
    asked = "training on 2 cores: at least 500 images/s at 64x64, input pipeline under 10 % of a step"
    rows.append((asked, *(training_verdict(speed) if speed else (NOT_MEASURED, ""))))
    return markdown(("bar", "measured", "met"), rows)


def success_verdict(content: dict, least: float) -> tuple[str, str]:
    """Of the default mode: the figure in words, and yes, no, or why that cannot be said."""
    if any(DEFAULT_MODE not in run["agents"] for run in content["runs"]):
        return NOT_MEASURED, ""
    pooled = outcomes(content, DEFAULT_MODE)
    parts = [f"{rate_words(int(pooled.sum()), len(pooled))}, {least_seed(content, DEFAULT_MODE)}"]
    if away := content["raw_actions_away"]:
        parts.append(f"goals {min(away)} to {max(away)} raw actions away, median {np.median(away):.0f}")
    for where, seeds in content["starts"].items():
        chosen = at_seeds(content, DEFAULT_MODE, seeds)
        parts.append(f"starts {where} {rate_words(int(chosen.sum()), len(chosen))}")
    if (budget := FORMER_BUDGET_S.get(content["task"])) and "seconds" in content["runs"][0]["agents"][
        DEFAULT_MODE
    ]:
        early = int((pooled * (seconds(content, DEFAULT_MODE) <= budget)).sum())
        parts.append(f"within {budget:g} s {rate_words(early, len(pooled))}")
    return "; ".join(parts), left_open(content) or yes(pooled.mean() >= least)


def fresh(results: Path) -> str:
    """Markdown: the bars of success on goals that no earlier table had, in the default mode."""
    found = contents(results / FRESH)
    if not found:
        return f"{NOT_MEASURED.capitalize()}."
    rows = [
        (
            f"{WORDS[task]}: at least {BARS[task]:.0%}",
            *success_verdict(content, BARS[task]),
            f"`{content['command']}`; {made_by(content)}",
        )
        for task, content in found.items()
    ]
    first = next(iter(found.values()))["seeds"]
    return markdown((f"episodes of seeds {first[0]} to {first[-1]}", "measured", "met", "by"), rows)


def hybrid_verdicts(content: dict) -> list[tuple[str, str]]:
    """Of success, and of planning time beside `search`."""
    if any(mode not in run["agents"] for run in content["runs"] for mode in ("search", "policy", "hybrid")):
        return [(NOT_MEASURED, "")] * 2
    found = {mode: outcomes(content, mode) for mode in ("search", "policy", "hybrid")}
    best = max(("search", "policy"), key=lambda mode: found[mode].sum())
    hybrid, shown = found["hybrid"], {mode: rate_words(int(x.sum()), len(x)) for mode, x in found.items()}
    reached = interval_high(hybrid) >= found[best].mean()
    share, (low, high) = time_share(*(planning_ms(content, mode) for mode in ("hybrid", "search")))
    return [
        (f"{shown['hybrid']}; `{best}` {shown[best]}", left_open(content) or yes(reached)),
        (f"{share:.2f} ({low:.2f} - {high:.2f})", left_open(content) or yes(share <= MOST_PLANNING)),
    ]


def training_verdict(content: dict) -> tuple[str, str]:
    """Over all layouts, precisions and augmentations that were measured."""
    rows, least, most = content["rows"], content["bars"]["images_per_second"], content["bars"]["data_share"]
    kept = [row for row in rows if row["images_per_second"] >= least and row["data_share"] < most]
    slow, fast = (f(row["images_per_second"] for row in rows) for f in (min, max))
    words = f"{slow:.0f} to {fast:.0f} images/s, input pipeline at most {max(row['data_share'] for row in rows):.1%}; "
    return words + f"{len(kept)} of {len(rows)} cases within both", yes(len(kept) == len(rows))


def task_table(content: dict) -> str:
    """Markdown: every agent on one task, over its training seeds."""
    head = (
        WORDS[content["task"]],
        "success (Wilson 95 %)",
        "least training seed",
        "median error",
        "plans of the policy",
        "planning time, of search's",
    )
    present = [agent for agent in AGENTS if any(agent in run["agents"] for run in content["runs"])]
    rows = [_row(content, agent) for agent in present]
    trained = ", ".join(str(run["training_seed"]) for run in content["runs"])
    missing = sorted({agent for run in content["runs"] for agent in run["unavailable"]} - set(present))
    return "\n\n".join(
        [
            f"`{content['command']}`, training seeds {trained}, episodes of seeds {content['seeds'][0]} to {content['seeds'][-1]}, "
            f"{content['blocks']} blocks at most; {made_by(content)}",
            markdown(head, rows),
            *([f"Not run, for want of their networks: {', '.join(missing)}."] if missing else []),
        ]
    )


def _row(content: dict, agent: str) -> tuple[str, ...]:
    runs = [run["agents"][agent] for run in content["runs"] if agent in run["agents"]]
    found = outcomes(content, agent)
    errors = np.concatenate([run["errors_mm"] for run in runs])
    shares = [run["policy_share"] for run in runs if run["policy_share"] is not None]
    compared = agent in ("policy", "hybrid") and all("search" in run["agents"] for run in content["runs"])
    time = "1" if agent == "search" else ""
    if compared:
        share, (low, high) = time_share(planning_ms(content, agent), planning_ms(content, "search"))
        time = f"{share:.2f} ({low:.2f} - {high:.2f})"
    return (
        AGENTS[agent],
        rate_words(int(found.sum()), len(found)),
        least_seed(content, agent) if len(runs) > 1 else "",
        f"{np.median(errors):.0f} mm",
        f"{np.mean(shares):.0%}" if shares else "",
        time,
    )


def outcomes(content: dict, agent: str) -> np.ndarray:
    """(training seeds x episodes,) 0 or 1."""
    runs = (run["agents"][agent] for run in content["runs"] if agent in run["agents"])
    return np.concatenate([[int(c) for c in run["outcomes"]] for run in runs])


def planning_ms(content: dict, agent: str) -> np.ndarray:
    """(episodes,) ms spent on planning in an episode, by all training seeds together."""
    return np.sum([run["agents"][agent]["planning_ms"] for run in content["runs"]], axis=0)


def seconds(content: dict, agent: str) -> np.ndarray:
    """(training seeds x episodes,) s of robot time until success or the end."""
    return np.concatenate(
        [run["agents"][agent]["seconds"] for run in content["runs"] if agent in run["agents"]]
    )


def at_seeds(content: dict, agent: str, seeds: Sequence[int]) -> np.ndarray:
    """(training seeds x len(seeds),) the outcomes of these episodes alone."""
    chosen = np.isin(content["seeds"], seeds)
    return outcomes(content, agent).reshape(len(content["runs"]), -1)[:, chosen].ravel()


def least_seed(content: dict, agent: str) -> str:
    """The least success of one training seed, in words."""
    runs = [run["agents"][agent]["outcomes"] for run in content["runs"] if agent in run["agents"]]
    worst = min(runs, key=lambda found: found.count("1") / len(found))
    return f"least {worst.count('1')}/{len(worst)}"


def time_share(
    some: Sequence[float], of: Sequence[float], seed: int = 0
) -> tuple[float, tuple[float, float]]:
    """sum(some) / sum(of) of the same episodes, with a 95 % interval: episodes drawn in pairs (Efron, 1979)."""
    some, of = np.asarray(some, float), np.asarray(of, float)
    if some.shape != of.shape or not len(some):
        raise ValueError(f"planning times of {some.shape} and {of.shape} episodes; they must be pairs")
    draws = np.random.default_rng(seed).integers(len(some), size=(DRAWS, len(some)))
    low, high = np.percentile(some[draws].sum(1) / of[draws].sum(1), [2.5, 97.5])
    return float(some.sum() / of.sum()), (float(low), float(high))


def interval_high(found: np.ndarray) -> float:
    """The upper end of the Wilson interval."""
    return wilson_interval(int(found.sum()), len(found))[1]


def left_open(content: dict) -> str:
    """Why no verdict can be given, "" where one can."""
    trained, episodes = len(content["runs"]), len(content["seeds"])
    tolerance = content["success_means"]["tolerance_m"]
    nearest = min(content["raw_actions_away"] or [FAR_ACTIONS])
    reasons = [
        (trained < LEAST_TRAININGS, f"{trained} of {LEAST_TRAININGS} training seeds"),
        (episodes < LEAST_EPISODES, f"{episodes} of {LEAST_EPISODES} episodes"),
        (tolerance > TOLERANCES_M[content["task"]], f"within {100 * tolerance:g} cm"),
        (nearest < FAR_ACTIONS, f"goals from {nearest} raw actions on"),
        *((not seeds, f"no start {where}") for where, seeds in content["starts"].items()),
    ]
    found = [words for applies, words in reasons if applies]
    return f"- ({', '.join(found)})" if found else ""


def yes(met: bool) -> str:
    """A verdict in words."""
    return "yes" if met else "**no**"
