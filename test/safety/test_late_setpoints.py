"""A setpoint that leaves the process late is still being followed when the next one is made."""

import numpy as np
from guard_stream import LIMITS, PERIOD, at, running


def speed_after(left_at):
    """The velocity before and after a gap of 2.5 periods in ticks, the setpoint before it having left then."""
    stream = running()
    guard, now = stream.guard, stream.time + PERIOD
    before = guard.tick(at(now)).velocities[0]
    if left_at is not None:
        guard.went_out(at(now + left_at))
    return before, guard.tick(at(now + 2.5 * PERIOD)).velocities[0]


def test_after_a_gap_the_motion_starts_again_from_rest():
    before, after = speed_after(None)
    assert before > LIMITS.acceleration[0] * PERIOD
    np.testing.assert_allclose(after, LIMITS.acceleration[0] * PERIOD)


def test_what_left_late_is_not_taken_for_finished():
    before, after = speed_after(1.5 * PERIOD)
    assert abs(after - before) <= LIMITS.acceleration[0] * PERIOD + 1e-9
    assert after > LIMITS.acceleration[0] * PERIOD
