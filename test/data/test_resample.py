"""Frames and actions from recorded streams."""

import numpy as np
import pytest

from jepa_ros.data.resample import Command, Streams, resample

MS = 10**6
DT = 100 * MS
START = 5_000 * MS


def streams(targets, image_stamps, joint_stamps=None, commands=None, offset=0, joint_positions=None):
    """Streams whose joints are at targets[k] at START + k * DT; one command per frame unless given."""
    image_stamps = np.asarray(image_stamps, np.int64)
    joint_stamps = image_stamps if joint_stamps is None else np.asarray(joint_stamps, np.int64)
    if commands is None:
        commands = [single(START - DT, targets[0])] + [
            single(START + t * DT, targets[t + 1]) for t in range(len(targets) - 1)
        ]
    if joint_positions is None:
        index = np.clip((joint_stamps - START) // DT, 0, len(targets) - 1)
        joint_positions = targets[index]
    for command in commands:
        command.logged += offset
    return Streams(
        image_stamps + offset, image_stamps, joint_stamps + offset, joint_stamps, joint_positions, commands
    )


def single(now, target):
    return Command(now, now, np.array([target]), np.array([0.1]))


def grid(frames):
    return START + DT * np.arange(frames)


def actions_of(targets):
    return np.vstack([np.diff(targets, axis=0), np.zeros((1, targets.shape[1]))])


def test_actions_are_the_changes_of_the_commanded_target(spec, walk):
    targets = walk(20)
    (run,) = resample(streams(targets, grid(20)), spec)
    assert np.allclose(run.actions, actions_of(targets), atol=1e-9)
    assert np.allclose(run.targets, targets, atol=1e-9)
    assert np.allclose(run.stamps, 5 + 0.1 * np.arange(20))
    assert run.image_index.tolist() == list(range(20))
    assert np.array_equal(run.joint_positions, targets)


@pytest.mark.parametrize("block", [2, 4, 6])
@pytest.mark.parametrize("latency_ms", [0, 30, 95])
def test_plans_of_several_points_give_the_actions_they_execute(spec, walk, block, latency_ms):
    """Plans stamped with their image, received later, each replacing the one before, as in the live graph."""
    frames = 6 * block + 1
    targets = walk(frames)
    commands = [single(START - DT, targets[0])]
    for t in range(0, frames - 1, block):
        now = START + t * DT
        ahead = targets[t + 1 : t + 2 * block + 1]  # plans reach farther than they are executed
        commands.append(Command(now + latency_ms * MS, now, ahead, 0.1 * np.arange(1, len(ahead) + 1)))
    (run,) = resample(streams(targets, grid(frames), commands=commands), spec)
    assert np.allclose(run.actions, actions_of(targets), atol=1e-9)


def test_a_stamp_of_zero_means_on_arrival(spec, walk):
    targets = walk(10)
    commands = [single(START - DT, targets[0])] + [single(START + t * DT, targets[t + 1]) for t in range(9)]
    for command in commands:
        command.stamp = 0
    (run,) = resample(streams(targets, grid(10), commands=commands), spec)
    assert np.allclose(run.actions, actions_of(targets), atol=1e-9)


def test_the_recorders_clock_does_not_matter(spec, walk):
    """Wall-clock log times, simulated stamps."""
    targets = walk(10)
    (run,) = resample(streams(targets, grid(10), offset=1_700_000_000 * 10**9), spec)
    assert np.allclose(run.actions, actions_of(targets), atol=1e-9)
    assert run.stamps[0] == pytest.approx(5.0)


def test_targets_stay_within_the_position_limits(spec):
    targets = np.linspace(1.5, 2.5, 12)[:, None] * [1.0, -1.0, 0.0]
    (run,) = resample(streams(targets, grid(12)), spec)
    assert np.abs(run.actions[-3:]).max() < 1e-9
    assert np.sum(run.actions[:, 0]) == pytest.approx(0.5)


def test_frames_begin_where_the_target_is_known(spec, walk):
    """Before the first command nobody knows what the joints were driven by."""
    targets = walk(20)
    commands = [single(START + 7 * DT, targets[8])] + [
        single(START + t * DT, targets[t + 1]) for t in range(8, 19)
    ]
    (run,) = resample(streams(targets, grid(20), commands=commands), spec)
    assert run.stamps[0] == pytest.approx(5.8)
    assert np.allclose(run.actions, actions_of(targets)[8:], atol=1e-9)


def test_a_faster_camera_is_thinned(spec, walk):
    targets = walk(20)
    images = START + np.arange(0, 1950 * MS, 33_333_333)
    joints = START + np.arange(0, 1950 * MS, 10 * MS)
    (run,) = resample(streams(targets, images, joints), spec)
    assert len(run.stamps) == 20
    assert np.allclose(run.actions[:19], actions_of(targets)[:19], atol=1e-9)
    age = run.stamps - images[run.image_index] * 1e-9
    assert age.max() < 0.034 and age.min() > -0.0101


def test_a_jittering_camera_loses_no_frame(spec, walk):
    targets = walk(40)
    jitter = np.random.default_rng(0).integers(-8, 9, 40) * MS
    jitter[0] = 0
    (run,) = resample(streams(targets, grid(40) + jitter, grid(40)), spec)
    assert run.image_index.tolist() == list(range(40))


def test_missing_images_cut_the_episode(spec, walk):
    targets = walk(30)
    kept = np.r_[0:12, 15:30]
    first, second = resample(streams(targets, grid(30)[kept], grid(30)), spec)
    assert (len(first.stamps), len(second.stamps)) == (12, 15)
    assert second.image_index.tolist() == list(range(12, 27))
    assert np.allclose(first.actions[:-1], np.diff(targets[:12], axis=0), atol=1e-9)
    assert np.array_equal(first.actions[-1], np.zeros(3))
    assert np.allclose(second.actions[:-1], np.diff(targets[15:], axis=0), atol=1e-9)


def test_missing_joint_states_cut_the_episode(spec, walk):
    targets = walk(30)
    kept = np.r_[0:10, 20:30]
    runs = resample(streams(targets, grid(30), grid(30)[kept], joint_positions=targets[kept]), spec)
    assert [len(r.stamps) for r in runs] == [10, 10]


def test_a_clock_that_starts_again_makes_two_episodes(spec, walk):
    a, b = streams(walk(15, 1), grid(15)), streams(walk(12, 2), grid(12))
    later = 60 * 10**9
    for command in b.commands:
        command.logged += later
    both = Streams(
        *(
            np.concatenate([x, y])
            for x, y in (
                (a.image_logged, b.image_logged + later),
                (a.image_stamps, b.image_stamps),
                (a.joint_logged, b.joint_logged + later),
                (a.joint_stamps, b.joint_stamps),
                (a.joint_positions, b.joint_positions),
            )
        ),
        a.commands + b.commands,
    )
    # b's hold before its first frame was logged before the clock was seen to step back
    first, second = resample(both, spec)
    assert np.allclose(first.actions, actions_of(walk(15, 1)), atol=1e-9)
    skipped = 12 - len(second.stamps)
    assert skipped <= 1
    assert np.allclose(second.actions, actions_of(walk(12, 2))[skipped:], atol=1e-9)
    assert second.image_index[0] == 15 + skipped


def test_a_teleported_arm_starts_a_new_episode(spec, walk):
    """A simulator reset moves the joints while the clock runs on."""
    targets = walk(30)
    targets[15:] += 1.0
    commands = [single(START - DT, targets[0])]
    commands += [single(START + t * DT, targets[t + 1]) for t in range(29) if t != 14]
    runs = resample(streams(targets, grid(30), commands=commands), spec)
    assert [len(r.stamps) for r in runs] == [15, 14]
    assert max(np.abs(r.actions).max() for r in runs) < 0.1
    assert np.allclose(runs[1].actions[:-1], np.diff(targets[16:], axis=0), atol=1e-9)


def test_streams_that_never_overlap_give_nothing(spec, walk):
    targets = walk(10)
    assert resample(streams(targets, grid(10), grid(10) + 60 * 10**9, joint_positions=targets), spec) == []


def test_a_clock_that_jumps_ahead_by_decades_cuts_the_episode_and_costs_nothing(spec, walk):
    """A robot that starts in 1970 and is told the time: all its frames from there on would fill any memory."""
    targets, late = walk(20), 55 * 365 * 24 * 3600 * 10**9
    stamps = grid(20) + np.where(np.arange(20) < 10, 0, late)
    runs = resample(streams(targets, stamps, joint_positions=targets), spec)
    assert [run.image_index.tolist() for run in runs] == [list(range(10)), list(range(10, 20))]


@pytest.mark.timeout(20)
def test_many_gaps_and_joints_that_end_early_take_no_time(spec):
    """Two hours of images of which every tenth is missing; joint states end after half of them."""
    frames = 72_000
    there = np.arange(frames) % 10 != 3
    stamps = grid(frames)[there]
    joints = stamps[: len(stamps) // 2]
    still = np.zeros((frames, 3))
    runs = resample(streams(still, stamps, joints, commands=[single(START - DT, still[0])]), spec)
    assert len(runs) == frames // 10 // 2 + 1
    assert sum(len(run.stamps) for run in runs) == len(joints)
