"""Timing of a recording: rates, jitter, gaps and ages of every topic; stage latencies that the graph reported."""

import numpy as np

from jepa_ros.data.recording import Recording, TopicLog
from jepa_ros.evaluation.statistics import percentile

OTHER_CLOCK_S = 3600.0
"""Stamps this far from the times of recording are of another clock, a simulator's: ages mean nothing."""
LONG_PERIOD = 1.5
"""A period of more medians than this has lost messages."""
STEADY = 0.25
"""A topic is periodic where at least half of its periods lie within this part of the median period."""
STAGES = ("encode_ms", "plan_ms", "rollout_ms", "cost_ms", "image_age_ms")


def topic_timing(log: TopicLog) -> dict:
    """One topic's row of the result: every figure null where it has no meaning.

    Times are header stamps (when the data were made), times of recording for a topic without. Periods: between
    messages, where time goes on.  jitter: |period - median period|.  dropped: sum over periods above LONG_PERIOD
    medians of round(period / median) - 1, for periodic topics.  age: time of recording - stamp.
    """
    stamped = bool(np.all(log.stamp_ns > 0))
    times = (log.stamp_ns if stamped else log.log_ns) * 1e-9
    steps = np.diff(log.stamp_ns if stamped else log.log_ns) * 1e-9
    forward = steps > 0
    periods = steps[forward]
    row = {
        "topic": log.topic,
        "type": log.msgtype,
        "count": len(log.log_ns),
        "rate_hz": None,
        "period_ms_p50": percentile(1e3 * periods, 50),
        "period_ms_p95": percentile(1e3 * periods, 95),
        "jitter_ms_p95": None,
        "longest_gap_s": None,
        "longest_gap_at_s": None,
        "dropped": None,
        "size_mb": float(log.size_bytes.sum() / 1e6),
        "age_ms_p50": None,
        "age_ms_p95": None,
    }
    if len(periods):
        median = float(np.median(periods))
        row["rate_hz"] = len(periods) / float(periods.sum())
        row["jitter_ms_p95"] = percentile(1e3 * np.abs(periods - median), 95)
        row["longest_gap_s"] = float(periods.max())
        row["longest_gap_at_s"] = float(times[:-1][forward][np.argmax(periods)])
        if np.mean(np.abs(periods - median) <= STEADY * median) >= 0.5:
            long = periods[periods > LONG_PERIOD * median]
            row["dropped"] = int(np.sum(np.round(long / median) - 1))
    ages = (log.log_ns - log.stamp_ns) * 1e-9
    if stamped and abs(np.median(ages)) < OTHER_CLOCK_S:
        row["age_ms_p50"], row["age_ms_p95"] = (percentile(1e3 * ages, q) for q in (50, 95))
    return row


def stage_latencies(recording: Recording) -> dict[str, dict]:
    """Stage -> {"p50", "p95", "n"} in ms, over the plans that the recorded graph told of; {} where it told nothing.

    image_to_command_ms: from a plan's image stamp to its command, as the action publisher measured it.
    """
    plans = {s["plan_id"]: s for s in recording.statuses if s.get("plan_id")}
    values = {stage: [s.get(stage) for s in plans.values()] for stage in STAGES}
    ages = np.array([s.get("plan_age_s", np.nan) for s in recording.safety], float)
    ages = ages[np.isfinite(ages)]
    values["image_to_command_ms"] = (
        1e3 * ages[np.concatenate([[True], np.diff(ages) != 0])] if len(ages) else []
    )
    found = {}
    for stage, numbers in values.items():
        numbers = np.array([n for n in numbers if n is not None], float)
        numbers = numbers[np.isfinite(numbers)]
        if len(numbers):
            found[stage] = {
                "p50": percentile(numbers, 50),
                "p95": percentile(numbers, 95),
                "n": len(numbers),
            }
    return found


def counts(recording: Recording) -> dict[str, int | None]:
    """deadline_misses and late_answers, summed over goals; vetoed plans; null where the graph told nothing."""
    found: dict[str, int | None] = {"deadline_misses": None, "late_answers": None, "vetoed": None}
    if recording.statuses:
        found["deadline_misses"] = _risen([s["deadline_misses"] for s in recording.statuses])
        found["late_answers"] = _risen([s["dropped"] for s in recording.statuses])
    if recording.safety:
        found["vetoed"] = _risen([s["vetoed"] for s in recording.safety])
    return found


def _risen(counter: list[int]) -> int:
    """How far a counter rose while it was recorded; it may start anew at 0."""
    values = np.array(counter, int)
    steps = np.diff(values)
    return int(np.where(steps < 0, values[1:], steps).sum())
