"""What the planner's thread waits for."""

import numpy as np

from jepa_ros.nodes.actor.inbox import Inbox, Look

SECOND = 10**9


def test_a_look_from_the_future_is_from_before_the_clock_was_set_back():
    inbox = Inbox()
    inbox.put_look(Look(np.zeros(1), 5 * SECOND, None, "", 0.0))
    assert inbox.look_from(0, -1, 0.0, lambda: SECOND) is None
    assert inbox.look_from(0, -1, 0.0, lambda: 5 * SECOND).stamp_ns == 5 * SECOND
    inbox.put_look(Look(np.zeros(1), SECOND, None, "", 0.0))
    assert inbox.look_from(0, -1, 0.0, lambda: SECOND).stamp_ns == SECOND
