"""What the guard streams at 50 Hz, a point at a time, reads as the raw actions of the plans behind it."""

import numpy as np

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.resample import Command, Streams, resample
from jepa_ros.safety.guard import ActionGuard, GuardConfig, Now, Plan
from jepa_ros.safety.limits import JointLimits

SPEC = ActionSpec(("a", "b"), (-0.12,) * 2, (0.12,) * 2, (-2.0,) * 2, (2.0,) * 2, rate_hz=10.0, block=4)
PERIOD, BEGAN = 0.02, 100.0


def record(blocks, gap_s, jitter_s=0.0, acceleration=38.0):
    """(Streams, targets at each frame of 0.1 s): blocks (n, K, A) one after the other, gap_s s of rest between."""
    rng = np.random.default_rng(0)
    guard = ActionGuard(
        SPEC,
        JointLimits.from_spec(SPEC, 4.7, acceleration),
        GuardConfig(image_s=0, embedding_s=0, plan_s=60.0),
    )
    time, commands, joints = BEGAN, [], []

    def log(setpoint):
        if setpoint is not None:
            at = round((time + rng.uniform(0, jitter_s)) * 1e9)
            commands.append(Command(at, 0, setpoint.positions[None], np.array([setpoint.duration])))

    position = np.zeros(2)
    guard.observe(SPEC.joint_names, position, Now(time, time))
    guard.arm(Now(time, time))
    for block in blocks:
        plan = Plan(time - 0.05, SPEC.joint_names, block, SPEC.dt, len(block))
        log(guard.submit(plan, Now(time, time)).setpoint)
        for tick in range(round((len(block) * SPEC.dt + gap_s) / PERIOD)):
            joints.append((time, guard.command))
            time = BEGAN + PERIOD * len(joints)
            guard.observe(SPEC.joint_names, guard.command, Now(time, time))
            if tick < round((len(block) * SPEC.dt + gap_s) / PERIOD) - 1:
                log(guard.tick(Now(time, time)))
    stamps = np.round(np.array([t for t, _ in joints]) * 1e9).astype(np.int64)
    images = stamps[::2]
    positions = np.array([p for _, p in joints])
    return Streams(images, images, stamps, stamps, positions, commands)


def planned(blocks, times):
    """(len(times), A) rad: the targets of the plans, linear in between; each block has 0.2 s of rest after it."""
    still = np.zeros((len(blocks), 2, 2))
    corners = np.cumsum(np.concatenate([blocks, still], axis=1).reshape(-1, 2), axis=0)
    at = BEGAN + 0.1 * np.arange(len(corners) + 1)
    return np.transpose([np.interp(times, at, [0, *joint]) for joint in corners.T])


def test_streamed_blocks_read_as_the_actions_that_were_planned():
    blocks = np.random.default_rng(1).uniform(-0.1, 0.1, (6, 4, 2))
    (run,) = resample(record(blocks, gap_s=0.2), SPEC)
    expected = planned(blocks, run.stamps)
    assert len(run.targets) >= 34
    np.testing.assert_allclose(run.targets, expected, atol=0.025)  # what the acceleration limit rounds off
    resting = np.flatnonzero((run.stamps - BEGAN) % 0.6 > 0.45)
    np.testing.assert_allclose(run.targets[resting], expected[resting], atol=1e-3)
    sums = np.add.reduceat(run.actions[resting[0] : resting[-1]], resting[:-1] - resting[0])
    np.testing.assert_allclose(sums, np.diff(expected[resting], axis=0), atol=1e-3)


def test_jitter_on_the_way_does_not_add_up():
    blocks = np.random.default_rng(2).uniform(-0.1, 0.1, (6, 4, 2))
    (clean,), (late,) = (resample(record(blocks, 0.2, jitter), SPEC) for jitter in (0.0, 0.015))
    frames = min(len(clean.targets), len(late.targets))
    np.testing.assert_allclose(late.targets[-frames:], clean.targets[-frames:], atol=0.03)
    np.testing.assert_allclose(late.targets[-1], clean.targets[-1], atol=1e-5)
