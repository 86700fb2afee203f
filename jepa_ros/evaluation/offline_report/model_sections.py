"""What the recordings say about a model: the report's sections on prediction, actions, goal distance, landscapes, surprise,
latent health and the recorded plans."""

from collections.abc import Sequence

import numpy as np

from jepa_ros.evaluation.offline_report import charts, words
from jepa_ros.evaluation.offline_report.parts import (
    NOT_MEASURED,
    Cell,
    Column,
    Gallery,
    Part,
    Picture,
    Section,
    Table,
    Words,
    plots,
    present,
)
from jepa_ros.evaluation.offline_report.subject import Subject

LANDSCAPES, PICTURES, SPIKES, EPISODES = 6, 12, 40, 12  # shown at most


def prediction(found: Sequence[Subject]) -> Section:
    parts = [
        plots(
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
        present(parts),
    )


def actions(found: Sequence[Subject]) -> Section:
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
        plots(
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
        present(parts),
    )


def goal_distance(found: Sequence[Subject]) -> Section:
    parts: list[Part | None] = [
        plots(
            [charts.goal_distance(s) for s in found],
            "Each frame's latent distance to the last frame of its own episode. The robot moves to the right, "
            "towards the end.",
            "Lines fall all the way to the end. A plateau or a hill is where the planner would see no way forward.",
        ),
        plots(
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
        present(parts + [_episode_table(s) for s in found]),
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


def landscapes(found: Sequence[Subject], thumbnails: Sequence[np.ndarray]) -> Section:
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
        plots(
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
        "landscapes", "Landscapes", "Energy landscapes", "Can the planner find its way down?", present(parts)
    )


def surprise(found: Sequence[Subject], thumbnails: Sequence[np.ndarray]) -> Section:
    parts: list[Part | None] = [
        plots(
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
        present(parts),
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


def health(found: Sequence[Subject]) -> Section:
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
    drawn = plots(
        [charts.strangeness(measured)],
        "How far each frame's latent lies from those of the training data, in units of their own spread.",
        "Around 1 and below the threshold. Above it the camera, the light or the scene differ from training, and "
        "the model guesses.",
    )
    missing = None
    if drawn is None:
        missing = Words(
            "No out-of-distribution score: this checkpoint holds no statistics of its training data. "
            "`jepa calibrate` adds them.",
            "faint",
        )
    return Section(
        "health",
        "Health", "Latent health", "Is the representation alive, and is this the world it knows?",
        present([Table(columns, rows), drawn, missing]),
    )  # fmt: skip


def reproduced(found: Sequence[Subject]) -> Section:
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
