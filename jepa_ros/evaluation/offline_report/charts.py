"""The charts of the report, one function each: from measures to a Chart, None where nothing was measured."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from jepa_ros.evaluation.offline_report import words
from jepa_ros.evaluation.offline_report.chart import (
    CYCLE,
    Axis,
    Band,
    Bars,
    Chart,
    Guide,
    Heatmap,
    Histogram,
    Line,
    Points,
)
from jepa_ros.evaluation.offline_report.sampling import (
    POINTS,
    every,
    finite,
    floats,
    histogram,
    peaks,
    quantiles_along,
)
from jepa_ros.evaluation.offline_report.subject import Subject

LINES = 8  # episodes drawn one by one; more become quantiles
STAGES = {
    "image_to_command_ms": "image to command",
    "image_age_ms": "image age",
    "encode_ms": "encode",
    "plan_ms": "plan",
    "rollout_ms": "rollouts",
    "cost_ms": "costs",
}


# ------------------------------------------------------------------------------------------- prediction


def prediction(subject: Subject) -> Chart | None:
    """Latent error against horizon: the model, copy-last-frame, shuffled actions."""
    found = subject.measure("prediction")
    horizons, model = floats(found.get("horizons")), floats(found.get("model"))
    if not len(horizons) or not np.isfinite(model).any():
        return None
    copied, shuffled = floats(found.get("copy_last")), floats(found.get("shuffled"))
    series = []
    bounds = floats([v for pair in found.get("model_ci") or () for v in pair or (None, None)]).reshape(-1, 2)
    if len(bounds) == len(horizons):
        series.append(Band("", horizons, bounds[:, 0], bounds[:, 1], subject.colour))
    if len(copied):
        series.append(Line("copy last frame", horizons, copied, "grey", "dash", True))
    if len(shuffled):
        series.append(Line("shuffled actions", horizons, shuffled, "amber", "dot", True))
    series.append(Line("model", horizons, model, subject.colour, "solid", True))
    ends = [
        f"{s.name} {words.number(s.y[0])} to {words.number(s.y[-1])}" for s in series if isinstance(s, Line)
    ]
    return Chart(
        subject.slug("prediction"),
        subject.entitle("Prediction error over the horizon"),
        Axis("blocks ahead", whole=True),
        Axis("error", "latent RMS", (0, None)),
        tuple(series),
        f"Prediction error for {words.plural(len(horizons), 'block')} ahead, from first to last: "
        + "; ".join(ends),
    )


def prediction_relative(found: Sequence[Subject]) -> Chart | None:
    """Several checkpoints in one chart: each error as a share of its own copy-last error, because latents of
    different models have different scales."""
    series = []
    for subject in found:
        measure = subject.measure("prediction")
        horizons, model = floats(measure.get("horizons")), floats(measure.get("model"))
        copied = floats(measure.get("copy_last"))
        if len(horizons) and len(model) == len(copied) == len(horizons):
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = np.where(copied > 0, model / copied, np.nan)
            series.append(Line(subject.short, horizons, ratio, subject.colour, "solid", True))
    if len(series) < 2:
        return None
    ends = "; ".join(f"{s.name} {words.number(s.y[0])} to {words.number(s.y[-1])}" for s in series)
    return Chart(
        "prediction_relative",
        "Both models against their own yardstick",
        Axis("blocks ahead", whole=True),
        Axis("error / copy-last error", "", (0, None)),
        tuple(series),
        f"Error divided by the copy-last error, from first to last horizon: {ends}",
        (Guide("y", 1, "no better than copying"),),
        wide=True,
    )


# --------------------------------------------------------------------------------------------- actions


def action_error(found: Sequence[Subject]) -> Chart | None:
    """Mean absolute difference of planned and recorded displacement over a block, per joint."""
    return _per_joint(
        found,
        "mae_rad",
        "action_error",
        "Planned minus recorded",
        Axis("mean difference", "rad per block", (0, None)),
        (),
    )


def action_sign(found: Sequence[Subject]) -> Chart | None:
    """How often plan and recording move a joint the same way, where it moved."""
    return _per_joint(
        found,
        "sign_agreement",
        "action_sign",
        "Same direction",
        Axis("share of blocks", "", (0, 1)),
        (Guide("x", 0.5, "chance"),),
    )


def action_cosine(found: Sequence[Subject]) -> Chart | None:
    """Cosine between planned and recorded block."""
    return _distribution(
        found,
        "cosine",
        "action_cosine",
        "Agreement of whole blocks",
        Axis("cosine, planned to recorded", "", (-1, 1)),
        20,
        Guide("x", 0, "unrelated"),
    )


def action_rank(found: Sequence[Subject]) -> Chart | None:
    """Rank of the recorded block among random ones."""
    return _distribution(
        found,
        "rank",
        "action_rank",
        "Rank of the recorded block",
        Axis("share of random blocks preferred", "", (0, 1)),
        20,
        Guide("x", 0.5, "chance"),
    )


def _per_joint(found, key, name, title, axis, guides) -> Chart | None:
    series, joints = [], ()
    for subject in found:
        measure = subject.measure("actions")
        values = floats(measure.get(key))
        if np.isfinite(values).any():
            names = tuple(words.shorten(n, 28) for n in measure.get("joint_names") or ())
            joints = (
                names if len(names) == len(values) else tuple(f"joint {i + 1}" for i in range(len(values)))
            )
            series.append(Bars(subject.short if subject.letter else axis.title, values, subject.colour))
    if not series:
        return None
    alt = "; ".join(
        f"{s.name}: " + ", ".join(f"{j} {words.number(v)}" for j, v in zip(joints, s.values, strict=False))
        for s in series
    )
    return Chart(
        name, title, axis, Axis("", categories=joints), tuple(series), f"{title} per joint. {alt}", guides
    )


def _distribution(found, key, name, title, axis, bins, guide) -> Chart | None:
    series, alts = [], []
    for subject in found:
        measure = subject.measure("actions").get(key) or {}
        values = finite(measure.get("values"))
        if len(values):
            edges, shares = histogram(values, *axis.limits, bins)
            series.append(Histogram(subject.short, edges, shares, subject.colour))
            alts.append(
                f"{subject.short}: mean {words.number(measure.get('mean'))} over {len(values):,} blocks"
            )
    if not series:
        return None
    top = Axis("share of blocks", "", (0, None))
    return Chart(name, title, axis, top, tuple(series), f"{title}. " + "; ".join(alts), (guide,))


# --------------------------------------------------------------------------------------- goal distance


def goal_distance(subject: Subject) -> Chart | None:
    """Latent distance to the episode's own last frame, over the time to go."""
    episodes = [
        (f"{words.shorten(e.get('bag', ''), 18)} · {e.get('episode')}", x, y)
        for e in subject.measure("goal_distance").get("episodes") or ()
        for x, y in [(floats(e.get("times_to_go_s")), floats(e.get("distance")))]
        if len(x) == len(y) and np.isfinite(x).any() and np.isfinite(y).any()
    ]
    if not episodes:
        return None
    note = ""
    if len(episodes) <= LINES:
        series = []
        for i, (name, x, y) in enumerate(episodes):
            kept = peaks(y, POINTS // len(episodes))
            series.append(Line(name, x[kept], y[kept], CYCLE[i]))
    else:
        grid, (low, quarter, middle, upper, high) = quantiles_along(
            [(x, y) for _, x, y in episodes], (0.1, 0.25, 0.5, 0.75, 0.9)
        )
        series = [
            Band("10 to 90 %", grid, low, high, subject.colour),
            Band("25 to 75 %", grid, quarter, upper, subject.colour),
            Line("median", grid, middle, subject.colour),
        ]
        note = (
            f"{len(episodes):,} episodes, drawn as quantiles at the same time to go; the left end is where fewer "
            f"than a quarter of them are that long."
        )
    rho = (subject.measure("goal_distance").get("spearman_time") or {}).get("mean")
    return Chart(
        subject.slug("goal_distance"),
        subject.entitle("Distance to the episode's own end"),
        Axis("time to go", "s", reversed=True),
        Axis("latent distance", "", (0, None)),
        tuple(series),
        f"Latent distance to the last frame against time to go, {words.plural(len(episodes), 'episode')}; "
        f"mean Spearman correlation {words.number(rho)}",
        note=note,
    )


def distance_against_truth(subject: Subject) -> Chart | None:
    """Latent distance against the end effector's true distance to where the episode ended."""
    pairs = [
        np.stack([truth, latent])
        for e in subject.measure("goal_distance").get("episodes") or ()
        for truth, latent in [(floats(e.get("ee_distance_m")), floats(e.get("distance")))]
        if len(truth) == len(latent) and len(truth)
    ]
    if not pairs:
        return None
    truth, latent = np.concatenate(pairs, axis=1)
    usable = np.isfinite(truth) & np.isfinite(latent)
    truth, latent = truth[usable], latent[usable]
    if not len(truth):
        return None
    kept = every(len(truth), POINTS)
    rho = (subject.measure("goal_distance").get("spearman_distance") or {}).get("mean")
    return Chart(
        subject.slug("goal_distance_true"),
        subject.entitle("Latent against true distance"),
        Axis("end effector to its last place", "m", (0, None)),
        Axis("latent distance", "", (0, None)),
        (Points("frames", truth[kept], latent[kept], subject.colour),),
        f"Latent distance against true end-effector distance, {len(truth):,} frames; mean Spearman correlation "
        f"{words.number(rho)}",
        note=_drawn(len(kept), len(truth), "frames"),
    )


# ------------------------------------------------------------------------------------------ landscapes


def landscape(subject: Subject, index: int) -> Chart | None:
    """Energy over two action axes at one frame, with the recorded, the planned and the cheapest action."""
    found = subject.measure("landscapes")[index]
    x, y = floats(found.get("x")), floats(found.get("y"))
    rows = [floats(row) for row in found.get("cost") or ()]
    if not len(x) or len(rows) != len(y) or any(len(row) != len(x) for row in rows):
        return None
    series: list = [Heatmap(x, y, np.array(rows), "energy")]
    for key, name, colour, symbol in (
        ("least", "lowest", "amber", "star"),
        ("planned", "planned", "vermilion", "cross"),
        ("recorded", "recorded", "sky", "circle"),
    ):
        place = finite(found.get(key))
        if len(place) == 2:
            series.append(Points(name, place[:1], place[1:], colour, symbol, outlined=True))
    where = f"{words.shorten(found.get('bag', ''), 18)} · {found.get('episode')}"
    at = f"{where}, {words.fixed(found.get('time_s'), 1)} s"
    marks = "; ".join(f"{s.name} at {words.number(s.x[0])}, {words.number(s.y[0])}" for s in series[1:])
    return Chart(
        f"{subject.slug('landscape')}_{index + 1}",
        subject.entitle(at) if subject.letter else at,
        Axis(words.shorten(found.get("joint_x") or "first axis", 28), "rad", _cells(x)),
        Axis(words.shorten(found.get("joint_y") or "second axis", 28), "rad", _cells(y)),
        tuple(series),
        f"Energy over two joints' actions at {at}. {marks}",
    )


def _cells(places: np.ndarray) -> tuple[float, float]:
    """From the outer edge of the first cell to that of the last one; places: (n,) their centres."""
    half = (places[-1] - places[0]) / (len(places) - 1) / 2 if len(places) > 1 else 0.5
    return float(places[0] - half), float(places[-1] + half)


# ---------------------------------------------------------------------------------- surprise and health


def surprise(subject: Subject) -> Chart | None:
    """Surprise along all recordings, end to end, with threshold and spikes."""
    found = subject.measure("surprise")
    drawn = _end_to_end(found.get("series"), "surprise", subject)
    if drawn is None:
        return None
    series: list = [replace(drawn.line, name="surprise")]
    spikes = [
        (drawn.starts[place] + s["time_s"], s["surprise"])
        for s in found.get("spikes") or ()
        if (place := (s.get("bag"), s.get("episode"))) in drawn.starts
        and None not in (s.get("time_s"), s.get("surprise"))
    ]
    if spikes:
        series.append(
            Points("spikes, listed below", *np.array(spikes).T, "vermilion", "circle", outlined=True)
        )
    threshold, quantile = found.get("threshold"), found.get("quantile")
    limits = ()
    if threshold is not None:
        share = f", {words.percent(float(quantile))} of training frames below" if quantile else ""
        limits = (Guide("y", threshold, f"threshold{share}"),)
    return Chart(
        subject.slug("surprise"),
        subject.entitle("Surprise along the recordings"),
        Axis("recorded time, end to end", "s"),
        Axis("surprise", "latent RMS", (0, None)),
        tuple(series),
        f"Surprise over time: median {words.number(found.get('median'))}, 95 % below "
        f"{words.number(found.get('p95'))}, threshold {words.number(threshold)}, "
        f"{words.percent(found.get('share_above'))} of frames above it",
        drawn.begins + limits,
        drawn.note,
        wide=True,
    )


def strangeness(found: Sequence[Subject]) -> Chart | None:
    """Out-of-distribution score along all recordings, end to end."""
    tracks, lines, thresholds = None, [], ()
    for subject in found:
        health = subject.measure("health")
        drawn = _end_to_end(health.get("series"), "ood", subject)
        if drawn is None:
            continue
        tracks = drawn
        lines.append(drawn.line)
        threshold = (health.get("ood") or {}).get("threshold")
        if threshold is not None:
            thresholds += (Guide("y", threshold, f"threshold {subject.letter}".strip()),)
    if tracks is None:
        return None
    alts = "; ".join(
        f"{s.short}: median {words.number((s.measure('health').get('ood') or {}).get('median'))}, "
        f"{words.percent((s.measure('health').get('ood') or {}).get('share_above'))} above the threshold"
        for s in found
    )
    return Chart(
        "strangeness",
        "How unlike the training data",
        Axis("recorded time, end to end", "s"),
        Axis("out-of-distribution score", "", (0, None)),
        tuple(lines),
        f"Out-of-distribution score over time. {alts}",
        tracks.begins + thresholds,
        tracks.note,
        wide=True,
    )


@dataclass(frozen=True)
class EndToEnd:
    """Tracks one after another. line: with a gap after each.  starts: (bag, episode) -> what to add to its times.
    begins: a guide where each bag begins."""

    line: Line
    starts: dict
    begins: tuple[Guide, ...]
    note: str


def _end_to_end(tracks: Sequence[dict] | None, key: str, subject: Subject) -> EndToEnd | None:
    """tracks: {bag, episode, time_s, KEY and perhaps stamps_s} each."""
    usable = []
    for track in tracks or ():
        times, values = floats(track.get("time_s")), floats(track.get(key))
        if len(times) == len(values) and np.isfinite(times).all() and np.isfinite(values).any():
            usable.append((track, times, values))
    if not usable:
        return None
    total, drawn, start, bags = sum(len(v) for *_, v in usable), 0, 0.0, {}
    xs, ys, hover, starts = [], [], [], {}
    for track, times, values in usable:
        bag, episode = track.get("bag"), track.get("episode")
        bags.setdefault(bag, start)
        starts[bag, episode] = start - times[0]
        kept = peaks(values, max(8, POINTS * len(values) // total))
        drawn += len(kept)
        stamps = floats(track.get("stamps_s"))
        place = f"{words.shorten(bag or '', 24)} · {episode}"
        for i in kept:
            stamp = f"stamp {stamps[i]:.3f} s" if len(stamps) == len(times) else f"{times[i]:.2f} s"
            hover.append(f"{place}, {stamp}")
        hover.append("")
        xs += [start + times[kept] - times[0], [np.nan]]
        ys += [values[kept], [np.nan]]
        start += float(times[-1] - times[0])
    line = Line(subject.short, np.concatenate(xs), np.concatenate(ys), subject.colour, hover=tuple(hover))
    begins = tuple(Guide("x", x) for x in bags.values()) if 1 < len(bags) <= 20 else ()
    note = f"{words.plural(len(usable), 'episode')} of {words.plural(len(bags), 'bag')}, one after another"
    note += "; a dotted line where a bag begins." if begins else "."
    if drawn < total:
        note += f" {_drawn(drawn, total, 'frames')} Peaks are kept."
    return EndToEnd(line, starts, begins, note)


def _drawn(drawn: int, total: int, noun: str) -> str:
    return f"{drawn:,} of {total:,} {noun} are drawn." if drawn < total else ""


# ---------------------------------------------------------------------------------------------- timing


def stages(bags: Sequence[dict]) -> Chart | None:
    """Median and 95th percentile of each recorded stage; over several bags the median bag and the worst one."""
    names, middle, slow = [], [], []
    for key, name in STAGES.items():
        found = [stage for b in bags if (stage := (b.get("stages") or {}).get(key))]
        p50, p95 = finite([f.get("p50") for f in found]), finite([f.get("p95") for f in found])
        if len(p50) and len(p95):
            names.append(name)
            middle.append(np.median(p50))
            slow.append(p95.max())
    if not names:
        return None
    recorded = sum(bool(b.get("stages")) for b in bags)
    return Chart(
        "stages",
        "Where the time went",
        Axis("time", "ms", (0, None)),
        Axis("", categories=tuple(names)),
        (
            Bars("half of the time below", np.array(middle), "blue"),
            Bars("95 % of the time below", np.array(slow), "sky"),
        ),
        "Recorded stage latencies, median and 95th percentile in ms: "
        + "; ".join(
            f"{n} {words.number(a)} and {words.number(b)}"
            for n, a, b in zip(names, middle, slow, strict=True)
        ),
        note=f"Over {recorded:,} bags: the median bag's median, the slowest bag's 95th percentile."
        if recorded > 1
        else "",
        wide=True,
    )
