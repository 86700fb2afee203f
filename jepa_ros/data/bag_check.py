"""What is wrong with a recording's data: gaps, clocks, stale or disordered joints, changing images, missing topics.

Every check is a function Recording -> problems; a problem says what it means for the model, and what to do.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from jepa_ros.data.recorded import TopicLog
from jepa_ros.data.recording import Recording
from jepa_ros.data.resample import STALE

GAP = 2.5
"""Images or joint states this many frames apart are a gap."""
CLOCK_JUMP_S = 0.5
"""Header stamps that run this much apart from the times of recording, from one message to the next, have jumped."""
OLD_S = 0.3
"""Messages this old when they were recorded are too old to act on."""
FROZEN_S = 1.0
"""Joint positions that do not change at all for so long, while commands ask for motion, are frozen."""
_WANTED = {
    "goal": "goals and plans cannot be compared",
    "plan": "what the live graph planned cannot be repeated",
    "embedding": "the live encoder's output cannot be compared",
    "planner_status": "stage latencies are not known",
    "safety_status": "vetoes and command ages are not known",
}


@dataclass(frozen=True)
class DataProblem:
    """severity: "error" (unusable data), "warning", "info".  stamp_s: where first, on the topic's stamp clock."""

    severity: str
    kind: str
    topic: str
    text: str
    stamp_s: float | None = None
    count: int = 1


def check(recording: Recording) -> list[dict]:
    """Everything found, the worst first, as dicts of DataProblem's fields. Call it after the images were read:
    then what was wrong with those is known too."""
    checks = (
        _reading,
        _gaps,
        _clock,
        _ages,
        _rates,
        _stale_joints,
        _frozen_joints,
        _joint_names,
        _images,
        _missing,
    )
    found = [problem for one in checks for problem in one(recording)]
    rank = {"error": 0, "warning": 1, "info": 2}
    return [asdict(p) for p in sorted(found, key=lambda p: rank[p.severity])]


def _reading(recording: Recording) -> Iterator[DataProblem]:
    for problem in recording.problems:
        kind = "damaged" if "damaged" in problem.text else "left out"
        yield DataProblem("error" if problem.skipped else "warning", kind, problem.topic, problem.text)


def _sensors(recording: Recording) -> Iterator[TopicLog]:
    for role in ("image", "joint_states"):
        yield recording.logs[recording.topics[role]]


def _gaps(recording: Recording) -> Iterator[DataProblem]:
    limit = GAP * recording.spec.dt
    for log in _sensors(recording):
        times = log.stamp_ns if np.any(log.stamp_ns) else log.log_ns
        periods = np.diff(times) * 1e-9
        gaps = np.flatnonzero(periods > limit)
        if gaps.size:
            longest = gaps[np.argmax(periods[gaps])]
            yield DataProblem(
                "warning",
                "gap",
                log.topic,
                f"{gaps.size} gaps of more than {limit:.2f} s, the longest {periods[longest]:.2f} s; the episode "
                "is cut there. Look at the driver, the network and the recorder's load",
                times[gaps[0]] * 1e-9,
                int(gaps.size),
            )


def _clock(recording: Recording) -> Iterator[DataProblem]:
    for log in _sensors(recording):
        stamps = log.stamp_ns
        if not np.any(stamps):
            continue
        steps, waits = np.diff(stamps) * 1e-9, np.diff(log.log_ns) * 1e-9
        back = np.flatnonzero(steps < 0)
        if back.size:
            yield DataProblem(
                "warning",
                "clock set back",
                log.topic,
                f"header stamps go back {back.size} times, by up to {-steps.min():.2f} s; a new episode begins "
                "there. Was the simulator reset, or the clock synchronised while recording?",
                stamps[back[0]] * 1e-9,
                int(back.size),
            )
        repeated = int(np.count_nonzero(steps == 0))
        if repeated:
            yield DataProblem(
                "warning",
                "repeated stamp",
                log.topic,
                f"{repeated} messages have the stamp of the one before; is the topic published twice?",
                stamps[np.flatnonzero(steps == 0)[0]] * 1e-9,
                repeated,
            )
        jumps = np.flatnonzero((steps >= 0) & (np.abs(steps - waits) > CLOCK_JUMP_S))
        if jumps.size:
            yield DataProblem(
                "warning",
                "clock jump",
                log.topic,
                f"{jumps.size} times header stamps and times of recording move more than {CLOCK_JUMP_S} s apart; "
                "a delayed burst, or a clock that was stepped",
                stamps[jumps[0]] * 1e-9,
                int(jumps.size),
            )
    image, joints = recording.streams.image_stamps, recording.streams.joint_stamps
    if image.min() > joints.max() or joints.min() > image.max():
        yield DataProblem(
            "error",
            "two clocks",
            recording.topics["joint_states"],
            f"joint states are stamped {joints.min() * 1e-9:.1f} to {joints.max() * 1e-9:.1f} s, images "
            f"{image.min() * 1e-9:.1f} to {image.max() * 1e-9:.1f} s: they never meet. Set use_sim_time alike on "
            "both drivers, or synchronise the machines' clocks",
        )


def _ages(recording: Recording) -> Iterator[DataProblem]:
    for log in _sensors(recording):
        if not np.any(log.stamp_ns):
            continue
        ages = (log.log_ns - log.stamp_ns) * 1e-9
        if abs(np.median(ages)) > 3600:  # stamps of another clock, a simulator's: ages mean nothing
            continue
        old = np.flatnonzero(log.log_ns - log.stamp_ns > round(OLD_S * 1e9))
        if old.size:
            yield DataProblem(
                "warning",
                "late messages",
                log.topic,
                f"{old.size} messages were more than {OLD_S} s old when they were recorded, up to "
                f"{ages.max():.2f} s; a planner would act on the past. Look at the driver's and the network's load",
                log.stamp_ns[old[0]] * 1e-9,
                int(old.size),
            )
        elif np.median(ages) < -0.02:
            yield DataProblem(
                "warning",
                "stamps in the future",
                log.topic,
                f"messages are stamped {-np.median(ages):.2f} s after they were recorded; synchronise the "
                "machines' clocks",
            )


def _rates(recording: Recording) -> Iterator[DataProblem]:
    for log in _sensors(recording):
        if len(log.log_ns) < 2:
            continue
        times = log.stamp_ns if np.any(log.stamp_ns) else log.log_ns
        rate = 1e9 / max(float(np.median(np.diff(times))), 1.0)
        if rate < 0.95 * recording.spec.rate_hz:
            yield DataProblem(
                "error",
                "too slow",
                log.topic,
                f"comes at {rate:.1f} Hz, the model takes {recording.spec.rate_hz:g} frames a second; raise the "
                "driver's rate",
            )


def _stale_joints(recording: Recording) -> Iterator[DataProblem]:
    streams = recording.streams
    limit = recording.topic_roles.stale_s.get("joint_states", STALE * recording.spec.dt)
    images, joints = streams.image_stamps, np.sort(streams.joint_stamps)
    after = np.searchsorted(joints, images, side="right")
    age = (images - joints[np.maximum(after - 1, 0)]) * 1e-9
    stale = np.flatnonzero((after > 0) & (age > limit))
    if stale.size:
        yield DataProblem(
            "warning",
            "stale joint states",
            recording.topics["joint_states"],
            f"{stale.size} of {len(images)} images have no joint state of the {limit:.3f} s before them; the "
            "episode is cut there",
            images[stale[0]] * 1e-9,
            int(stale.size),
        )


def _frozen_joints(recording: Recording) -> Iterator[DataProblem]:
    streams = recording.streams
    still = np.all(np.diff(streams.joint_positions, axis=0) == 0, axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], still, [False]])))
    times = streams.joint_logged
    frozen = []
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if (times[end] - times[begin]) * 1e-9 < FROZEN_S:
            continue
        asked = [c.positions[-1] for c in streams.commands if times[begin] < c.logged < times[end]]
        if len(asked) > 1 and np.ptp(asked, axis=0).max() > 0.05:
            frozen.append(begin)
    if frozen:
        yield DataProblem(
            "warning",
            "frozen joint states",
            recording.topics["joint_states"],
            f"{len(frozen)} times positions stay the same to the last digit for more than {FROZEN_S:g} s while "
            "commands move; the driver repeats old values, or the arm did not follow",
            streams.joint_stamps[frozen[0]] * 1e-9,
            len(frozen),
        )


def _joint_names(recording: Recording) -> Iterator[DataProblem]:
    wanted = recording.spec.joint_names
    for topic, orders in recording.joint_orders.items():
        usable = [names for names in orders if set(wanted) <= set(names)]
        if len(usable) > 1:
            yield DataProblem(
                "warning",
                "joint order changes",
                topic,
                f"{len(usable)} orders of joint names in one bag; joints are taken by name, but a driver that "
                "changes them is suspect",
                count=len(usable),
            )
        elif usable and tuple(n for n in usable[0] if n in wanted) != tuple(wanted):
            text = f"joints come as {list(usable[0])}, the model's order is {list(wanted)}; taken by name"
            yield DataProblem("info", "other joint order", topic, text)
        extra = sorted({n for names in usable for n in names} - set(wanted))
        if extra:
            yield DataProblem("info", "further joints", topic, f"{extra} are not the model's and are ignored")


def _images(recording: Recording) -> Iterator[DataProblem]:
    formats = recording.image_formats
    if len(formats) > 1:
        seen = ", ".join(f"{kind} ({n})" for kind, n in formats.most_common())
        yield DataProblem(
            "warning",
            "encoding changes",
            recording.topics["image"],
            f"images of several kinds in one bag: {seen}; was the camera reconfigured while recording?",
            count=len(formats) - 1,
        )


def _missing(recording: Recording) -> Iterator[DataProblem]:
    for role, consequence in _WANTED.items():
        if role not in recording.topics:
            yield DataProblem("info", "missing topic", role, f"not in the bag; {consequence}")
