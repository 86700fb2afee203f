"""Whatever plans, clocks and operators do, in whatever order, every command keeps every limit."""

import numpy as np
from guard_stream import NAMES, PERIOD, SPEC, Stream, at, plan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, floating_dtypes

from jepa_ros.safety.limits import JointLimits
from jepa_ros.safety.states import SafetyState

ANY = st.floats(allow_nan=True, allow_infinity=True)
SMALL = st.floats(-0.5, 0.5)


@st.composite
def any_plan(draw, time):
    """Mostly plans that could be accepted, with one thing or another out of the ordinary."""
    odd = draw(
        st.sampled_from(["", "", "", "", "values", "shape", "names", "execute", "dt", "stamp", "space"])
    )
    values = {
        "actions": draw(arrays(float, (4, 3), elements=SMALL)),
        "stamp": time - draw(st.floats(0.0, 0.1)),
    }
    if odd == "values":
        values["actions"] = draw(arrays(floating_dtypes(endianness="="), (4, 3)))
    elif odd == "shape":
        values["actions"] = draw(
            arrays(float, array_shapes(min_dims=1, max_dims=3, max_side=5), elements=ANY)
        )
    elif odd == "names":
        values["joint_names"] = draw(st.lists(st.sampled_from([*NAMES, "d", ""]), max_size=5))
    elif odd == "execute":
        values["execute"] = draw(st.integers())
    elif odd == "dt":
        values["dt"] = draw(ANY)
    elif odd == "stamp":
        values["stamp"] = draw(ANY)
    elif odd == "space":
        values["space"] = draw(st.text(max_size=5))
    return plan(**values)


@st.composite
def limits(draw):
    def each(low, high):
        return draw(arrays(float, 3, elements=st.floats(low, high)))

    return JointLimits.from_spec(
        SPEC, each(0.05, 10.0), each(0.5, 200.0), each(0.0, 0.2), draw(st.sampled_from([np.inf, 0.02]))
    )


WAIT = st.sampled_from([0.02, 0.02, 0.02, 0.0, 0.0005, 0.001, 0.007, 0.033, 0.05, 0.3, 2.0])
DO = ["plan", "plan", "plan", "tick", "tick", "arm", "hold", "hold until armed", "estop", "disarm", "push"]
START = arrays(float, 3, elements=st.floats(-2.1, 2.1))


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(limits(), START, st.lists(st.tuples(st.sampled_from(DO), WAIT, WAIT), max_size=25), st.data())
def test_no_sequence_of_events_breaks_a_limit_and_an_emergency_stop_ends_it(limits, start, events, data):
    stream = Stream(measured=start, limits=limits)
    guard, begins_anew = stream.guard, True
    for what, *waits in events:
        for wait in waits:
            stream.until(stream.time + wait, period=wait)
        now = at(stream.time)
        if what == "plan":
            verdict = guard.submit(data.draw(any_plan(stream.time)), now)
            if verdict.accepted and begins_anew:
                stream.audit.restart(stream.measured)
            begins_anew &= not verdict.accepted
            stream.take(verdict.setpoint)
        elif what == "arm":
            guard.reset_estop()
            begins_anew |= guard.state != SafetyState.RUNNING and not guard.moving
            guard.arm(now)
        elif what == "push":
            stream.measured = stream.measured + data.draw(arrays(float, 3, elements=SMALL))
            stream.observe()
        elif what != "tick":
            stream.stop(what.split()[0], **({"until_armed": True} if "until" in what else {}))
        assert not stream.audit.violations, stream.audit.violations
    stream.stop("estop")
    while guard.moving and stream.time < 1000:
        stream.until(stream.time + PERIOD)
    assert guard.state == SafetyState.ESTOPPED and stream.clean()
