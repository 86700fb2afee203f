"""What the recording tells of time: rates, jitter, gaps and ages of topics, latencies of the graph's stages."""

import numpy as np

from jepa_ros.data.recorded import TopicLog
from jepa_ros.data.recording import Recording
from jepa_ros.evaluation.statistics import percentile

_STAGES = ("encode_ms", "plan_ms", "rollout_ms", "cost_ms", "image_age_ms")
_OTHER_CLOCK_S = 3600.0
DROPPED = 1.5
"""A period of more than this many medians counts as dropped messages."""


def topic(log: TopicLog) -> dict:
    """Periods are those of header stamps, of recording where there are none. jitter: |period - median|.
    dropped: what periods longer than DROPPED medians leave out, in messages; for topics that come regularly.
    age: time of recording - stamp; None where the two are of different clocks."""
    stamped = bool(np.any(log.stamp_ns))
    times = np.sort(log.stamp_ns if stamped else log.log_ns)
    periods = np.diff(times) * 1e-6  # ms
    median = float(np.median(periods)) if len(periods) else 0.0
    jitter = np.abs(periods - median)
    regular = len(periods) >= 10 and median > 0 and np.percentile(jitter, 50) < 0.5 * median
    missing = np.round(periods / median) - 1 if regular else np.zeros(0)
    longest = int(np.argmax(periods)) if len(periods) else None
    ages = (log.log_ns - log.stamp_ns) * 1e-6 if stamped else np.zeros(0)
    if len(ages) and abs(np.median(ages)) > 1e3 * _OTHER_CLOCK_S:
        ages = np.zeros(0)
    return {
        "topic": log.topic,
        "type": log.msgtype,
        "count": len(log.log_ns),
        "rate_hz": 1e3 / float(np.mean(periods)) if len(periods) and np.mean(periods) > 0 else None,
        "period_ms_p50": percentile(periods, 50),
        "period_ms_p95": percentile(periods, 95),
        "jitter_ms_p95": percentile(jitter, 95),
        "longest_gap_s": None if longest is None else float(periods[longest]) * 1e-3,
        "longest_gap_at_s": None if longest is None else float(times[longest]) * 1e-9,
        "dropped": int(missing[periods > DROPPED * median].sum()) if regular else None,
        "size_mb": float(log.size_bytes.sum()) / 1e6,
        "age_ms_p50": percentile(ages, 50),
        "age_ms_p95": percentile(ages, 95),
    }


def stages(recording: Recording) -> dict[str, dict]:
    """p50, p95 and n of the latencies that planner and action publisher reported, in ms; {} where not recorded."""
    plans, values = {}, {}
    for status in recording.statuses:
        if status["plan_id"]:
            plans[status["plan_id"]] = status  # the last word on every plan
    for name in _STAGES:
        values[name] = [float(s[name]) for s in plans.values()]
    ages = [float(s["plan_age_s"]) for s in recording.safety]
    changed = [a for a, before in zip(ages, [np.nan, *ages], strict=False) if a != before]
    values["image_to_command_ms"] = [1e3 * a for a in changed if np.isfinite(a)]
    return {
        name: {"p50": percentile(v, 50), "p95": percentile(v, 95), "n": len(v)}
        for name, v in values.items()
        if v
    }


def counts(recording: Recording) -> dict[str, int | None]:
    """deadline_misses, late_answers: summed over goals.  vetoed: at the end of the recording. None: not told."""
    last = {s["goal_id"]: s for s in recording.statuses if s["goal_id"]}.values()
    return {
        "deadline_misses": sum(int(s["deadline_misses"]) for s in last) if last else None,
        "late_answers": sum(int(s["dropped"]) for s in last) if last else None,
        "vetoed": int(recording.safety[-1]["vetoed"]) if recording.safety else None,
    }
