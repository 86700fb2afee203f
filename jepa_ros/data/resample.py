"""Recorded streams to frames at a fixed rate: which image, which joint state, which action.

Three rules make a live recording and a simulated one read alike:

- Time is the header stamps' clock. Commands are placed on it by when they were logged, seen from the joint
  states logged around them, because a command's own stamp may be the image's it answers, or zero.
- The commanded target is replayed through the follower that the simulator uses; a frame's action is the
  target's change until the next frame. Before the first command's first point the target is not known, so
  frames begin there.
- Where the clock steps back or the joints jump (a simulator reset), the replay starts anew; where images or
  joint states are missing, the episode is cut in two; where the caller says that an episode begins, it is cut
  as well, and the target is known across the cut.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.simulation.trajectory import JointTrajectoryFollower

NEWER = 0.1
"""An image or joint state may be newer than its frame by this part of a frame: absorbs a camera's jitter."""
STALE = 0.75
"""An image or joint state may be older than its frame by this part of a frame; else the episode is cut.

The default of the limits in s that `resample` takes for each role.
"""
STALE_ROLES = ("image", "joint_states")
JUMP_RAD, JUMP_RAD_PER_S = 0.3, 8.0
"""Joints that move farther than both between two states were put there, not driven."""


@dataclass
class Command:
    """One JointTrajectory.

    logged, stamp: ns (stamp 0: on arrival).  positions: (N, A) rad.  times_from_start: (N,) s.
    """

    logged: int
    stamp: int
    positions: np.ndarray
    times_from_start: np.ndarray


@dataclass
class Streams:
    """What a bag holds, in log order. Times are int64 ns: *_logged when recorded, *_stamps from the header.

    joint_positions: (m, A) rad in ActionSpec order.
    """

    image_logged: np.ndarray
    image_stamps: np.ndarray
    joint_logged: np.ndarray
    joint_stamps: np.ndarray
    joint_positions: np.ndarray
    commands: list[Command]


@dataclass
class Frames:
    """L consecutive frames. image_index: (L,) into the image stream; targets: (L, A) rad, what was commanded at
    each frame; the rest as in Episode (float64)."""

    image_index: np.ndarray
    joint_positions: np.ndarray
    actions: np.ndarray
    stamps: np.ndarray
    targets: np.ndarray


def resample(
    streams: Streams,
    spec: ActionSpec,
    *,
    stale_s: Mapping[str, float] | None = None,
    cuts: Sequence[int] = (),
) -> list[Frames]:
    """Runs of frames 1 / spec.rate_hz apart, in time order; a run may be a single frame.

    stale_s: role ("image", "joint_states") -> s that its item may be older than its frame; STALE of a frame
    where not given.  cuts: log times (ns) at which an episode begins (data/boundaries.py).
    Raises JepaError for an unknown role or a limit that is not positive.
    """
    limits = _stale_limits(stale_s or {}, spec)
    cuts = np.unique(np.asarray(cuts, np.int64))
    return [
        run for first, epoch in _epochs(streams) for run in _resample_epoch(first, epoch, spec, limits, cuts)
    ]


def _stale_limits(stale_s: Mapping[str, float], spec: ActionSpec) -> dict[str, float]:
    """Role -> ns."""
    unknown = sorted(set(stale_s) - set(STALE_ROLES))
    bad = {role: s for role, s in stale_s.items() if not s > 0}
    if unknown or bad:
        raise JepaError(
            f"stale_s: {f'unknown roles {unknown}' if unknown else f'not positive: {bad}'}; "
            f"give seconds for {' and '.join(STALE_ROLES)}"
        )
    return {role: stale_s.get(role, STALE * spec.dt) * 1e9 for role in STALE_ROLES}


def _epochs(streams: Streams) -> Iterator[tuple[int, Streams]]:
    """(index of the first image, streams) between clock steps and joint jumps."""
    gaps = np.diff(streams.joint_stamps) * 1e-9
    moves = np.abs(np.diff(streams.joint_positions, axis=0)).max(axis=1, initial=0.0)
    jumped = (gaps < 0) | ((moves > JUMP_RAD) & (moves > JUMP_RAD_PER_S * gaps))
    cuts = np.concatenate(
        [streams.joint_logged[1:][jumped], streams.image_logged[1:][np.diff(streams.image_stamps) < 0]]
    )
    edges = [-(2**62), *np.unique(cuts).tolist(), 2**62]
    for low, high in zip(edges, edges[1:], strict=False):
        image = slice(*np.searchsorted(streams.image_logged, (low, high)))
        joint = slice(*np.searchsorted(streams.joint_logged, (low, high)))
        commands = [c for c in streams.commands if low <= c.logged < high]
        if image.start < image.stop and joint.start < joint.stop and commands:
            yield (
                image.start,
                Streams(
                    streams.image_logged[image],
                    streams.image_stamps[image],
                    streams.joint_logged[joint],
                    streams.joint_stamps[joint],
                    streams.joint_positions[joint],
                    commands,
                ),
            )


def _resample_epoch(
    first_image: int, streams: Streams, spec: ActionSpec, limits: Mapping[str, float], cuts: np.ndarray
) -> Iterator[Frames]:
    dt = round(1e9 / spec.rate_hz)
    arrivals = _on_stamp_clock([c.logged for c in streams.commands], streams)
    first = streams.commands[0]
    known = max(int(arrivals[0]), (first.stamp or int(arrivals[0])) + round(first.times_from_start[0] * 1e9))
    start = max(int(streams.joint_stamps[0]), known) - int(NEWER * dt)
    runs = []
    while True:
        anchor = np.searchsorted(streams.image_stamps, start)
        if anchor == len(streams.image_stamps):
            break
        begin = int(streams.image_stamps[anchor])
        images, joints, grid = _fresh_run(begin, streams, dt, limits)
        if len(grid):
            runs.append((images, joints, grid))
            start = int(grid[-1]) + dt
            continue
        following = np.searchsorted(streams.joint_stamps, begin, side="right")
        if following == len(streams.joint_stamps):
            break
        start = max(begin + 1, int(streams.joint_stamps[following]) - int(NEWER * dt))
    begins = _on_stamp_clock(cuts, streams)
    runs = [part for run in runs for part in _split(run, begins)]
    targets = _replay(streams, arrivals, [t for *_, grid in runs for t in grid.tolist()], spec)
    offset = 0
    for images, joints, grid in runs:
        commanded = targets[offset : offset + len(grid)]
        offset += len(grid)
        actions = np.zeros_like(commanded)
        actions[:-1] = np.diff(commanded, axis=0)
        yield Frames(first_image + images, streams.joint_positions[joints], actions, grid * 1e-9, commanded)


def _fresh_run(
    begin: int, streams: Streams, dt: int, limits: Mapping[str, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(images, joints, grid) from `begin` up to the first frame without a fresh image and joint state.

    The grid grows while all is fresh: neither a clock that jumps ahead nor many gaps take time or memory.
    """
    last = int(streams.image_stamps[-1]) + int(NEWER * dt)
    length = 64
    while True:
        grid = np.arange(begin, min(begin + length * dt, last), dt, dtype=np.int64)
        images, image_fresh = _select(streams.image_stamps, grid, dt, limits["image"])
        joints, joint_fresh = _select(streams.joint_stamps, grid, dt, limits["joint_states"])
        stale = np.flatnonzero(~(image_fresh & joint_fresh))
        if stale.size or begin + length * dt >= last:
            end = int(stale[0]) if stale.size else len(grid)
            return images[:end], joints[:end], grid[:end]
        length *= 4


def _split(run: tuple[np.ndarray, ...], begins: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """The run (images, joints, grid) in pieces: the first frame at or after each of `begins` starts one."""
    edges = np.unique([0, *np.searchsorted(run[2], begins), len(run[2])])
    for low, high in zip(edges, edges[1:], strict=False):
        yield tuple(values[low:high] for values in run)


def _select(stamps: np.ndarray, grid: np.ndarray, dt: int, stale: float) -> tuple[np.ndarray, np.ndarray]:
    """For every grid time the index of the stamp to use, and whether that is fresh (at most `stale` ns old)."""
    latest = np.searchsorted(stamps, grid, side="right") - 1
    following = np.minimum(latest + 1, len(stamps) - 1)
    ahead = stamps[following] - grid
    age = np.where(latest >= 0, grid - stamps[np.maximum(latest, 0)], np.iinfo(np.int64).max)
    take_following = (ahead >= 0) & (ahead <= NEWER * dt) & (ahead < age)
    fresh = take_following | ((latest >= 0) & (age <= stale))
    return np.where(take_following, following, np.maximum(latest, 0)), fresh


def _on_stamp_clock(logged: Sequence[int], streams: Streams) -> np.ndarray:
    """(n,) int64 ns: log times on the header stamps' clock, by the last joint state logged before each."""
    times = np.asarray(logged, np.int64)
    last = np.maximum(np.searchsorted(streams.joint_logged, times, side="right") - 1, 0)
    return streams.joint_stamps[last] + (times - streams.joint_logged[last])


def _replay(streams: Streams, arrivals: np.ndarray, times: list[int], spec: ActionSpec) -> np.ndarray:
    """(len(times), A) rad: the commanded target at each time (ns, ascending)."""
    origin = int(streams.joint_stamps[0]) - 10**9  # s from here are small and exact, and no stamp becomes 0

    def seconds(time: int) -> float:
        return (time - origin) * 1e-9

    unlimited = np.full(spec.dim, 1e6)  # what was recorded went through the robot's own velocity limits
    follower = JointTrajectoryFollower(
        streams.joint_positions[0], lower=spec.position_lower, upper=spec.position_upper, velocity=unlimited
    )
    targets = np.empty((len(times), spec.dim))
    waiting = sorted(zip(arrivals.tolist(), range(len(arrivals)), strict=True))
    waiting.reverse()
    for row, time in enumerate(times):
        while waiting and waiting[-1][0] <= time:
            arrival, index = waiting.pop()
            command = streams.commands[index]
            follower.accept(
                seconds(arrival),
                seconds(command.stamp) if command.stamp else 0.0,
                command.positions,
                command.times_from_start,
            )
        targets[row] = follower.target(seconds(time))
    return targets
