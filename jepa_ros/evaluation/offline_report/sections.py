"""The sections of the report: from the result to titled parts with the words that explain them."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from jepa_ros.evaluation.offline_report import charts, words
from jepa_ros.evaluation.offline_report.formulas import FORMULAS
from jepa_ros.evaluation.offline_report.parts import (
    Cell,
    Column,
    Fold,
    Gallery,
    Part,
    Picture,
    Plots,
    Section,
    Table,
    Words,
)
from jepa_ros.evaluation.offline_report.subject import Subject, subjects

LANDSCAPES, PICTURES, SPIKES, PROBLEMS, EPISODES, TOPICS = 6, 12, 40, 300, 12, 5  # shown at most
NOT_MEASURED = Words("Not measured in this run.", "faint")
TONES = {"error": "bad", "warning": "note", "info": "faint"}


def sections(result: dict, thumbnails: Sequence[np.ndarray]) -> list[Section]:
    """All sections, in reading order. thumbnails: (h, w, 3) uint8 RGB each."""
    found = subjects(result)
    return [
        _comparison(result),
        _prediction(found),
        _actions(found),
        _goal_distance(found),
        _landscapes(found, thumbnails),
        _surprise(found, thumbnails),
        _health(found),
        _timing(result),
        _problems(result),
        _reproduced(found),
        Section("formulas", "Formulas", "How each figure is computed", "", tuple(_formulas())),
        _settings(result),
    ]


def _present(parts: Sequence[Part | None]) -> tuple[Part, ...]:
    return tuple(p for p in parts if p is not None) or (NOT_MEASURED,)


def _plots(found: Sequence, read: str, good: str, note: str = "") -> Plots | None:
    drawn = tuple(c for c in found if c is not None)
    return Plots(drawn, read, good, note) if drawn else None


# ------------------------------------------------------------------------------------------ comparison


def _comparison(result: dict) -> Section:
    found = result.get("comparison")
    if not found:
        return Section("comparison", "Comparison", "Comparison", "", ())
    says = {
        "a": Cell("A is better", "good"),
        "b": Cell("B is better", "good"),
        "same": Cell("no clear difference"),
    }
    rows = [
        (
            Cell(str(row.get("measure", "")), detail=_direction(row)),
            words.number(row.get("a")),
            words.number(row.get("b")),
            words.signed(row.get("difference")),
            words.interval(row.get("ci")),
            words.count(row.get("n")),
            says.get(row.get("says"), Cell("")),
        )
        for row in found.get("rows") or ()
    ]
    a, b = (words.shorten(found.get(k, ""), 24) for k in "ab")
    columns = (
        Column("measure"),
        Column(f"A · {a}", numeric=True),
        Column(f"B · {b}", numeric=True),
        Column("B − A", numeric=True),
        Column("95 % interval", numeric=True),
        Column("n", numeric=True),
        Column("says"),
    )
    note = (
        "Both models saw the same frames, so differences are paired. An interval that holds 0 is no clear "
        "difference."
    )
    verdict = Words(str(found.get("verdict") or ""), "verdict")
    return Section(
        "comparison",
        "Comparison",
        "Comparison",
        "Which one is better on these recordings?",
        (verdict, Table(columns, rows, note=note)),
    )


def _direction(row: dict) -> str:
    return ", ".join(
        str(w) for w in (row.get("unit"), row.get("better") and f"{row['better']} is better") if w
    )


# -------------------------------------------------------------------------------------------- measures


def _prediction(found: Sequence[Subject]) -> Section:
    parts = [
        _plots(
            [charts.prediction(s) for s in found] + [charts.prediction_relative(found)],
            "The model imagines the recorded actions without looking again; the error is its distance to what the "
            "camera then saw (shaded: 95\u00a0% interval). The dashed line does not imagine at all: it says that nothing will move. The dotted "
            "one imagines with actions of other moments.",
            "The model's line lies well below both others and grows slowly. On the dashed line it knows no more "
            "than that the scene is still; on the dotted one it does not look at actions.",
        )
    ]
    return Section(
        "prediction",
        "Prediction",
        "Prediction against horizon",
        "Does the model know what the robot's actions do?",
        _present(parts),
    )


def _actions(found: Sequence[Subject]) -> Section:
    drawn = [
        charts.action_error(found),
        charts.action_sign(found),
        charts.action_cosine(found),
        charts.action_rank(found),
    ]
    compared = max((s.measure("actions").get("n") or 0 for s in found), default=0)
    candidates = max(
        ((s.measure("actions").get("rank") or {}).get("candidates") or 0 for s in found), default=0
    )
    parts = [
        _plots(
            drawn,
            f"At {compared:,} moments the planner was given as its goal what the camera saw one planning horizon later, "
            f"and the motion of its first block is held against what the robot did. The rank asks the model alone: "
            f"which share of {candidates:,} random blocks does it find better than the recorded one?",
            "Directions agree far more often than half of the time, cosines gather near 1, ranks near 0. A flat rank "
            "histogram is guessing. Several ways can lead to one goal, so differences need not be small.",
        )
    ]
    return Section(
        "actions",
        "Actions",
        "Planned against recorded action",
        "Would it have done what worked?",
        _present(parts),
    )


def _goal_distance(found: Sequence[Subject]) -> Section:
    parts: list[Part | None] = [
        _plots(
            [charts.goal_distance(s) for s in found],
            "Each frame's latent distance to the last frame of its own episode. The robot moves to the right, "
            "towards the end.",
            "Lines fall all the way to the end. A plateau or a hill is where the planner would see no way forward.",
        ),
        _plots(
            [charts.distance_against_truth(s) for s in found],
            "The same latent distance over the end effector's true distance, from the robot's own joints or tf.",
            "A narrow rising cloud: what is nearer in the latent is nearer in the room.",
        ),
    ]
    return Section(
        "goal_distance",
        "Goal distance",
        "Goal distance along episodes",
        "Does the distance that the planner reduces lead to the goal?",
        _present(parts + [_episode_table(s) for s in found]),
    )


def _episode_table(subject: Subject) -> Table | None:
    episodes = [
        e
        for e in subject.measure("goal_distance").get("episodes") or ()
        if e.get("spearman_time") is not None
    ]
    if not episodes:
        return None
    worst = sorted(episodes, key=lambda e: e["spearman_time"])[:EPISODES]
    left_out = len(episodes) - len(worst)
    rows = [
        (
            str(e.get("bag", "")),
            str(e.get("episode", "")),
            words.duration(max((t for t in e.get("times_to_go_s") or () if t is not None), default=None)),
            words.fixed(e.get("spearman_time"), 2),
            words.fixed(e.get("spearman_distance"), 2),
        )
        for e in worst
    ]
    columns = (
        Column("bag", code=True),
        Column("episode", numeric=True),
        Column("length", numeric=True),
        Column("Spearman with time to go", numeric=True),
        Column("with true distance", numeric=True),
    )
    return Table(
        columns,
        rows,
        subject.entitle("Episodes, hardest first"),
        f"{left_out:,} better episodes are left out." if left_out else "",
        folded=True,
    )


def _landscapes(found: Sequence[Subject], thumbnails: Sequence[np.ndarray]) -> Section:
    each = max(2, LANDSCAPES // max(1, len(found)))
    taken = [subject.measures.get("landscapes") or [] for subject in found]
    total = sum(map(len, taken))
    # Frame by frame, so that two checkpoints stand side by side.
    drawn = [
        charts.landscape(subject, i)
        for i in range(each)
        for subject, places in zip(found, taken, strict=True)
        if i < len(places)
    ]
    pictures = [
        Picture(image, _place(t), _moment(t))
        for t in (taken[0] if taken else [])[:each]
        if (image := _thumbnail(thumbnails, t.get("thumbnail"))) is not None
    ]
    shown = sum(c is not None for c in drawn)
    note = f"{total - shown} more are in the JSON result." if total > shown else ""
    parts = [
        _plots(
            drawn,
            "The energy the planner would minimise, over how far the two joints that moved most could go in the next "
            "block; the other joints do as recorded, then all rest. Dark is low. Circle: what was done. Cross: what "
            "is planned. Star: the lowest place of this grid.",
            "One clear valley, with circle, cross and star near each other. Flat or many-valleyed ground means the "
            "model cannot tell actions apart here. The plan may vary other joints, so it need not lie at the star.",
            note,
        ),
        Gallery(tuple(pictures), "What the camera saw at these moments") if pictures else None,
    ]
    return Section(
        "landscapes", "Landscapes", "Energy landscapes", "Can the planner find its way down?", _present(parts)
    )


def _surprise(found: Sequence[Subject], thumbnails: Sequence[np.ndarray]) -> Section:
    parts: list[Part | None] = [
        _plots(
            [charts.surprise(s) for s in found],
            "The prediction error one block ahead, frame after frame. Something the model did not expect stands "
            "out: a hand in the picture, a bump, a lost camera frame, a command that was not carried out.",
            "A low, even line below the threshold. The threshold is what only 1 in 100 frames kept from training "
            "reached. A checkpoint without calibration has none; spikes then stand six median deviations above the "
            "median of these recordings.",
        )
    ]
    for subject in found:
        spikes = sorted(
            subject.measure("surprise").get("spikes") or (), key=lambda s: -(s.get("surprise") or 0)
        )
        threshold = subject.measure("surprise").get("threshold")
        highest = subject.measure("surprise").get("highest") or spikes
        seen = [(s, _thumbnail(thumbnails, s.get("thumbnail"))) for s in highest]
        seen = [(s, image) for s, image in seen if image is not None]
        if seen:
            pictures = tuple(
                Picture(image, _size(s, threshold), (_place(s), *_moment(s))) for s, image in seen[:PICTURES]
            )
            parts.append(Gallery(pictures, subject.entitle("The most surprising frames")))
        if spikes:
            parts.append(_spike_table(subject, spikes, threshold))
        elif subject.measure("surprise"):
            parts.append(
                Words(
                    f"{subject.short}: no spikes were found." if subject.letter else "No spikes were found."
                )
            )
    return Section(
        "surprise",
        "Surprise",
        "Surprise over time",
        "Where did the world not do as foreseen?",
        _present(parts),
    )


def _spike_table(subject: Subject, spikes: list[dict], threshold: float | None) -> Table:
    columns = (
        Column("bag", code=True),
        Column("episode", numeric=True),
        Column("bag stamp (s)", numeric=True, code=True),
        Column("time in episode (s)", numeric=True),
        Column("surprise", numeric=True),
        Column("of threshold", numeric=True),
        Column("image number", numeric=True),
    )
    rows = [
        (
            str(s.get("bag", "")),
            str(s.get("episode", "")),
            words.fixed(s.get("stamp_s"), 3),
            words.fixed(s.get("time_s"), 2),
            words.number(s.get("surprise")),
            words.percent(s["surprise"] / threshold) if threshold and s.get("surprise") else words.NOTHING,
            words.count(s.get("image_index")),
        )
        for s in spikes[:SPIKES]
    ]
    left_out = len(spikes) - len(rows)
    note = f"{left_out:,} smaller ones are in the JSON result." if left_out else ""
    return Table(columns, rows, subject.entitle("Spikes"), note, folded=len(rows) > 10)


def _health(found: Sequence[Subject]) -> Section:
    measured = [s for s in found if s.measure("health")]
    if not measured:
        return Section("health", "Health", "Latent health", "Is the representation alive?", (NOT_MEASURED,))

    def row(name, good, value):
        return (name, *(value(s.measure("health")) for s in measured), Cell(good, "faint"))

    def ood(key, write):
        return lambda h: write((h.get("ood") or {}).get(key))

    rows = [
        row(
            "effective rank, these recordings",
            "near the rank in training; 1 or 2 is a collapse",
            lambda h: f"{words.number(h.get('effective_rank'))} of {words.count(h.get('dim'))}",
        ),
        row("effective rank, training", "", lambda h: words.number(h.get("training_effective_rank"))),
        row("standard deviation per dimension", "well above 0", lambda h: words.number(h.get("latent_std"))),
        row(
            "least of all dimensions",
            "above 0: no dead dimension",
            lambda h: words.number(h.get("latent_std_min")),
        ),
        row("out-of-distribution score, median", "about 1", ood("median", words.number)),
        row("95 % of frames below", "below the threshold", ood("p95", words.number)),
        row("threshold from training", "", ood("threshold", words.number)),
        row("frames above it", "about 1 %", ood("share_above", words.percent)),
    ]
    columns = (
        Column("figure"),
        *(Column(s.short if s.letter else "value", numeric=True) for s in measured),
        Column("good is"),
    )
    plots = _plots(
        [charts.strangeness(measured)],
        "How far each frame's latent lies from those of the training data, in units of their own spread.",
        "Around 1 and below the threshold. Above it the camera, the light or the scene differ from training, and "
        "the model guesses.",
    )
    missing = None
    if plots is None:
        missing = Words(
            "No out-of-distribution score: this checkpoint holds no statistics of its training data. "
            "`jepa calibrate` adds them.",
            "faint",
        )
    return Section(
        "health",
        "Health", "Latent health", "Is the representation alive, and is this the world it knows?",
        _present([Table(columns, rows), plots, missing]),
    )  # fmt: skip


# ------------------------------------------------------------------------------------- timing, problems


def _timing(result: dict) -> Section:
    bags = result.get("bags") or []
    parts: list[Part | None] = [
        _plots(
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
        _present([p for p in parts if p is not None]),
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


def _problems(result: dict) -> Section:
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


def _reproduced(found: Sequence[Subject]) -> Section:
    measured = [s for s in found if s.measure("reproduced")]
    if not measured:
        return Section("reproduced", "Replanned", "Recorded plans, planned again", "", ())

    def share(whole, same):
        return lambda r: f"{words.count(r.get(same))} of {words.count(r.get(whole))}"

    figures = (
        ("plans equal to the last bit", share("plans", "bit_equal")),
        ("largest difference of an action (rad)", lambda r: words.number(r.get("largest_difference_rad"))),
        ("embeddings equal to the last bit", share("embeddings", "embeddings_bit_equal")),
        ("largest difference of a latent", lambda r: words.number(r.get("largest_latent_difference"))),
    )
    rows = [(name, *(write(s.measure("reproduced")) for s in measured)) for name, write in figures]
    columns = (
        Column("figure"),
        *(Column(s.short if s.letter else "value", numeric=True) for s in measured),
    )
    notes = {str(s.measure("reproduced").get("note") or "") for s in measured} - {""}
    return Section(
        "reproduced",
        "Replanned",
        "Recorded plans, planned again",
        "Does this evaluation compute what the robot computed?",
        (Table(columns, rows, note=" ".join(sorted(notes))),),
    )


# ---------------------------------------------------------------------------------- formulas, settings


def _formulas() -> list[Table]:
    return [
        Table(
            (Column("figure"), Column("formula", prose=True), Column("in words", prose=True)),
            [(name, Cell(formula, "code"), text) for name, formula, text in FORMULAS],
            "Formulas",
            folded=True,
        )
    ]


def _settings(result: dict) -> Section:
    def table(title, content):
        rows = [(name, str(value)) for name, value in _flat(content or {})]
        return Table((Column("name"), Column("value", code=True)), rows, title, folded=True) if rows else None

    speed = result.get("speed") or {}
    run = {
        "created": result.get("created"),
        "commit": result.get("commit"),
        "recorded time": words.duration(speed.get("recorded_s")),
        "time spent": words.duration(speed.get("spent_s")),
        "times real time": words.number(speed.get("times_real_time")),
    }
    models = {
        str(c.get("name")): f"{c.get('path', '')}  sha256 {c.get('model_id', '')}"
        for c in result.get("checkpoints") or ()
    }
    bags = {
        str(b.get("name")): "  ".join(
            [str(b.get("path", "")), str(b.get("digest", ""))]
            + [f"{k}={v}" for k, v in (b.get("recorder") or {}).items()]
        )
        for b in result.get("bags") or ()
    }
    parts = [
        table("This run", run),
        table("Settings", result.get("settings")),
        table("Checkpoints", models),
        table("Bags, and what their recorder said", bags),
        table("Machine", result.get("machine")),
        table("Libraries", result.get("libraries")),
    ]
    return Section(
        "settings",
        "Settings",
        "Settings, machine, versions",
        "What it takes to repeat this.",
        _present(parts),
    )


# --------------------------------------------------------------------------------------------- helpers


def _flat(content: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Nested settings as dotted names."""
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + str(name), value


def _thumbnail(thumbnails: Sequence[np.ndarray], index: int | None) -> np.ndarray | None:
    return thumbnails[index] if index is not None and 0 <= index < len(thumbnails) else None


def _place(found: dict) -> str:
    return f"{words.shorten(found.get('bag', ''), 20)}, episode {found.get('episode')}"


def _moment(found: dict) -> tuple[str, str]:
    return f"at {words.fixed(found.get('time_s'), 1)} s", f"stamp {words.fixed(found.get('stamp_s'), 3)}"


def _size(spike: dict, threshold: float | None) -> str:
    if not threshold or spike.get("surprise") is None:
        return f"surprise {words.number(spike.get('surprise'))}"
    return f"{spike['surprise'] / threshold:.1f} × threshold"


def _pair(found: dict, key: str) -> str:
    return f"{words.number(found.get(key + '_p50'))} / {words.number(found.get(key + '_p95'))}"


def _gap(topic: dict) -> Cell:
    at = topic.get("longest_gap_at_s")
    return Cell(words.seconds(topic.get("longest_gap_s")), detail=f"at {at:.1f}" if at is not None else "")
