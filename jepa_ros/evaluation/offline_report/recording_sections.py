"""What the report says about the recordings themselves: how punctual they are, and what is wrong with them."""

from collections import Counter
from collections.abc import Sequence

from jepa_ros.evaluation.offline_report import charts, words
from jepa_ros.evaluation.offline_report.parts import (
    Cell,
    Column,
    Fold,
    Part,
    Section,
    Table,
    Words,
    plots,
    present,
)

PROBLEMS, TOPICS = 300, 5  # shown at most
TONES = {"error": "bad", "warning": "note", "info": "faint"}


def timing(result: dict) -> Section:
    bags = result.get("bags") or []
    parts: list[Part | None] = [
        plots(
            [charts.stages(bags)],
            "What the live graph reported while it was recorded. Image to command is the whole way, from the "
            "camera's stamp to the command sent.",
            "Image to command well below the time of one block; 95 % not far above the median.",
        )
    ]
    if len(bags) > 1:
        parts.append(_bag_table(bags))
    topics = [_topic_table(bag, folded=len(bags) > 1) for bag in bags if bag.get("topics")]
    if len(topics) > TOPICS:
        parts += [_merged_topics(bags), Fold("Topics of each bag", tuple(topics))]
    else:
        parts += topics
    return Section(
        "timing",
        "Timing",
        "Timing",
        "Did data and plans come in time?",
        present([p for p in parts if p is not None]),
    )


def _bag_table(bags: Sequence[dict]) -> Table:
    columns = (
        Column("bag", code=True),
        Column("length", numeric=True),
        Column("frames", numeric=True),
        Column("episodes", numeric=True),
        Column("image to command p95 (ms)", numeric=True),
        Column("plan p95 (ms)", numeric=True),
        Column("deadline misses", numeric=True),
        Column("late answers", numeric=True),
        Column("vetoed", numeric=True),
        Column("problems", numeric=True),
    )
    rows = [
        (
            str(b.get("name", "")),
            words.duration(b.get("seconds")),
            words.count(b.get("frames")),
            words.count(b.get("episodes")),
            *(words.number(((b.get("stages") or {}).get(k) or {}).get("p95")) for k in ("image_to_command_ms", "plan_ms")),
            *(words.count(b.get(k)) for k in ("deadline_misses", "late_answers", "vetoed")),
            words.count(len(b.get("problems") or ())),
        )
        for b in bags
    ]  # fmt: skip
    return Table(columns, rows, "The bags")


def _merged_topics(bags: Sequence[dict]) -> Table:
    """Each topic over all bags, the worst of each."""
    found: dict[str, list[dict]] = {}
    for bag in bags:
        for topic in bag.get("topics") or ():
            found.setdefault(str(topic.get("topic", "")), []).append({**topic, "bag": bag.get("name")})

    def known(topics, key):
        return [t for t in topics if t.get(key) is not None]

    def total(topics, key):
        return sum(t[key] for t in known(topics, key))

    rows = []
    for name, topics in found.items():
        rates = [t["rate_hz"] for t in known(topics, "rate_hz")]
        gap = max(known(topics, "longest_gap_s"), key=lambda t: t["longest_gap_s"], default={})
        rows.append(
            (
                Cell(name, detail=str(topics[0].get("type", ""))),
                words.count(len(topics)),
                words.count(total(topics, "count")),
                f"{words.number(min(rates))} to {words.number(max(rates))}" if rates else words.NOTHING,
                Cell(words.seconds(gap.get("longest_gap_s")), detail=words.shorten(gap.get("bag") or "", 24)),
                words.count(total(topics, "dropped")),
                words.number(total(topics, "size_mb")),
            )
        )
    columns = (
        Column("topic", code=True),
        Column("bags", numeric=True),
        Column("messages", numeric=True),
        Column("rate (Hz)", numeric=True),
        Column("longest gap, in", numeric=True),
        Column("dropped", numeric=True),
        Column("MB", numeric=True),
    )
    return Table(columns, rows, "Topics over all bags")


def _topic_table(bag: dict, folded: bool) -> Table:
    columns = (
        Column("topic", code=True),
        Column("messages", numeric=True),
        Column("rate (Hz)", numeric=True),
        Column("period (ms)", numeric=True),
        Column("jitter (ms)", numeric=True),
        Column("longest gap", numeric=True),
        Column("dropped", numeric=True),
        Column("age (ms)", numeric=True),
        Column("MB", numeric=True),
    )
    rows = [
        (
            Cell(str(t.get("topic", "")), detail=str(t.get("type", ""))),
            words.count(t.get("count")),
            words.number(t.get("rate_hz")),
            _pair(t, "period_ms"),
            words.number(t.get("jitter_ms_p95")),
            _gap(t),
            Cell(words.count(t.get("dropped")), "note" if t.get("dropped") else ""),
            _pair(t, "age_ms"),
            words.number(t.get("size_mb")),
        )
        for t in bag["topics"]
    ]
    told = [
        f"{words.count(bag[k])} {name}"
        for k, name in (
            ("deadline_misses", "deadline misses"),
            ("late_answers", "late answers"),
            ("vetoed", "vetoed"),
        )
        if bag.get(k) is not None
    ]
    note = (
        "Period and age: median / 95th percentile, jitter: 95th percentile. Jitter: how far periods lie from the median period. Dropped: periods over 1.5 medians, counted in missing "
        "messages. Age: from the message's stamp to its place in the bag."
    )
    title = f"Topics of {words.shorten(bag.get('name', ''), 40)}" + (f" ({', '.join(told)})" if told else "")
    return Table(columns, rows, title, note, folded)


def problems(result: dict) -> Section:
    merged: dict[tuple, list] = {}  # the same problem of several bags is one row
    for bag in result.get("bags") or ():
        for p in bag.get("problems") or ():
            key = (p.get("severity"), p.get("kind"), p.get("topic"), p.get("text"))
            merged.setdefault(key, []).append((p, str(bag.get("name", ""))))
    order = list(TONES)
    found = sorted(
        merged.values(),
        key=lambda same: [*order, same[0][0].get("severity")].index(same[0][0].get("severity")),
    )
    if not found:
        text = "None found." if result.get("bags") else "No bag was read."
        return Section(
            "problems",
            "Data problems",
            "Data problems",
            "What was wrong with the recordings?",
            (Words(text, "good"),),
        )
    columns = (
        Column("severity"),
        Column("what, and what to do", prose=True),
        Column("topic", code=True),
        Column("bag", code=True),
        Column("at stamp (s)", numeric=True, code=True),
        Column("times", numeric=True),
    )
    rows = []
    for same in found[:PROBLEMS]:
        p, bag = same[0]
        rows.append(
            (
                Cell(str(p.get("severity", "")), TONES.get(p.get("severity"), "")),
                Cell(str(p.get("text", "")), detail=str(p.get("kind", "")).replace("_", " ")),
                str(p.get("topic") or ""),
                Cell(bag, detail=f"and {words.plural(len(same) - 1, 'more bag')}" if len(same) > 1 else ""),
                words.fixed(p.get("stamp_s"), 3),
                words.count(sum(q.get("count") or 1 for q, _ in same)),
            )
        )
    tally = Counter(p.get("severity") for same in found for p, _ in same)
    lead = "What was wrong with the recordings? " + ", ".join(
        f"{tally[k]:,} {k}" for k in order if tally[k]
    ) + "."  # fmt: skip
    left_out = len(found) - len(rows)
    note = f"{left_out:,} more are in the JSON result." if left_out else ""
    return Section("problems", "Data problems", "Data problems", lead, (Table(columns, rows, note=note),))


def _pair(found: dict, key: str) -> str:
    return f"{words.number(found.get(key + '_p50'))} / {words.number(found.get(key + '_p95'))}"


def _gap(topic: dict) -> Cell:
    at = topic.get("longest_gap_at_s")
    return Cell(words.seconds(topic.get("longest_gap_s")), detail=f"at {at:.1f}" if at is not None else "")
