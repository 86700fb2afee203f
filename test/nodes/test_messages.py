"""Tensor messages hold every dtype and shape, and every interface survives a real trip through the middleware."""

import importlib

import jepa_ros.action
import jepa_ros.msg
import jepa_ros.srv
import numpy as np
import pytest
import rclpy
from jepa_ros.msg import Tensor
from rclpy.action import ActionClient, ActionServer
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile

from jepa_ros.errors import JepaError
from jepa_ros.nodes.wire.tensor import DTYPES, from_msg, to_msg
from jepa_ros.safety.states import Reason, SafetyState

MESSAGES = [
    "ActionCandidates",
    "ActionPlan",
    "ActionProposals",
    "CandidateCosts",
    "Embedding",
    "Goal",
    "LatentRollouts",
    "PlannerStatus",
    "ProposalRequest",
    "SafetyStatus",
    "Tensor",
]
SERVICES = ["EncodeImage", "LoadCheckpoint", "SetGoal"]


def sample(dtype, shape, rng):
    """Values of every kind the type has, bytes chosen at random (any bit pattern but NaN, which compares unequal)."""
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if np.issubdtype(dtype, np.floating):
        return (rng.standard_normal(shape) * 100).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (7,), (2, 3, 4), (64, 5, 128)])
@pytest.mark.parametrize("dtype", list(DTYPES))
def test_round_trip(dtype, shape):
    values = np.asarray(sample(dtype, shape, np.random.default_rng(0)))
    msg = to_msg("x", values)
    assert (msg.name, msg.dtype, tuple(msg.shape)) == ("x", dtype, shape)
    assert len(msg.data) == values.nbytes
    back = from_msg(msg)
    assert back.dtype == np.dtype(dtype) and back.shape == shape
    np.testing.assert_array_equal(back, values)


def test_data_is_row_major_little_endian():
    msg = to_msg("x", np.array([[1, 2], [3, 0x0405]], np.uint16))
    assert bytes(msg.data) == bytes([1, 0, 2, 0, 3, 0, 5, 4])


@pytest.mark.parametrize(
    "values",
    [
        np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
        np.arange(20, dtype=np.int64)[::-3],
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(6, dtype=">i4").reshape(2, 3),
        np.arange(6, dtype=">f8"),
        np.broadcast_to(np.float16(3), (4, 2)),
    ],
    ids=["transposed", "reversed", "fortran", "big-endian int32", "big-endian float64", "broadcast"],
)
def test_memory_order_and_byte_order_do_not_matter(values):
    np.testing.assert_array_equal(from_msg(to_msg("x", values)), values)


def test_the_array_is_a_read_only_view_of_the_message():
    msg = to_msg("x", np.arange(4, dtype=np.uint8))
    view = from_msg(msg)
    msg.data[2] = 99
    assert view[2] == 99
    with pytest.raises(ValueError):
        view[0] = 1


@pytest.mark.parametrize(
    "values",
    [np.array(["a"]), np.array([1 + 2j]), np.array([object()]), np.array(["2026-01-01"], "datetime64[D]")],
)
def test_other_types_are_refused_by_name(values):
    with pytest.raises(JepaError, match="tensor 'odd'"):
        to_msg("odd", values)


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda m: m.data.pop(), "23 bytes of data"),
        (lambda m: m.data.append(0), "25 bytes of data"),
        (lambda m: setattr(m, "shape", [2, 4]), r"shape \(2, 4\) takes 32"),
        (lambda m: setattr(m, "shape", [2**32 - 1, 2**32 - 1, 2**32 - 1]), "takes"),
        (lambda m: setattr(m, "dtype", "float64"), "takes 48"),
        (lambda m: setattr(m, "shape", [6] + [1] * 69), "70"),
        (lambda m: setattr(m, "dtype", "complex64"), "'complex64' is unknown"),
        (lambda m: setattr(m, "dtype", ""), "'' is unknown"),
    ],
    ids=[
        "short",
        "long",
        "wrong shape",
        "absurd shape",
        "wrong dtype",
        "too many axes",
        "unknown dtype",
        "no dtype",
    ],
)
def test_contradictions_are_refused_by_name(change, says):
    msg = to_msg("latents", np.zeros((2, 3), np.float32))
    change(msg)
    with pytest.raises(JepaError, match="tensor 'latents'.*" + says):
        from_msg(msg)


def test_safety_constants_mirror_the_guard():
    for enum in (SafetyState, Reason):
        for member in enum:
            assert getattr(jepa_ros.msg.SafetyStatus, member.name) == member.value, member


def test_reductions_agree_in_both_messages():
    for name in ("SUM", "MIN", "LAST"):
        assert getattr(jepa_ros.msg.ActionCandidates, name) == getattr(jepa_ros.msg.LatentRollouts, name)


# ------------------------------------------------------------------------------------------- over the middleware


def fill(msg, rng):
    """Sets every field of a message, at every depth, to something that is not its default."""
    for field, kind in msg.get_fields_and_field_types().items():
        setattr(
            msg,
            field,
            fill(msg_class(kind), rng)
            if "/" in kind and "[" not in kind and "<" not in kind
            else value_of(kind, rng),
        )
    if isinstance(msg, Tensor):
        return to_msg("x", sample("float32", (2, 3), rng))
    return msg


def msg_class(kind):
    package, name = kind.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)()


def value_of(kind, rng):
    if kind.startswith("sequence<") or kind.endswith("]"):
        inner = kind[9:-1] if kind.startswith("sequence<") else kind.partition("[")[0]
        count = 3 if kind.startswith("sequence<") else int(kind.partition("[")[2][:-1])
        return [fill(msg_class(inner), rng) if "/" in inner else value_of(inner, rng) for _ in range(count)]
    if kind.startswith("string"):
        return f"text {rng.integers(1000)} °"
    if kind == "boolean":
        return True
    if kind in ("float", "double"):
        return float(np.float32(rng.standard_normal()))
    return int(rng.integers(1, 100))


@pytest.fixture(scope="module")
def graph():
    """A node, and spin(condition) that ends when the condition holds, or fails after 20 s."""
    rclpy.init()
    node = rclpy.create_node("messages_test")
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def spin(condition):
        end = node.get_clock().now().nanoseconds + 20_000_000_000
        while not condition():
            assert node.get_clock().now().nanoseconds < end, "nothing arrived within 20 s"
            executor.spin_once(timeout_sec=0.1)

    yield node, spin
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown()


def test_every_interface_is_tested():
    names = {name for name in dir(jepa_ros.msg) if not name.startswith("_")}
    assert set(MESSAGES) <= names
    assert {n for n in names if isinstance(getattr(jepa_ros.msg, n), type)} == set(MESSAGES)
    assert {
        n
        for n in dir(jepa_ros.srv)
        if isinstance(getattr(jepa_ros.srv, n), type) and hasattr(getattr(jepa_ros.srv, n), "Request")
    } == set(SERVICES)


@pytest.mark.parametrize("name", MESSAGES)
def test_message_through_the_middleware(graph, name):
    node, spin = graph
    kind = getattr(jepa_ros.msg, name)
    sent = fill(kind(), np.random.default_rng(1))
    received = []
    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = node.create_publisher(kind, f"test_{name.lower()}", qos)
    subscription = node.create_subscription(kind, f"test_{name.lower()}", received.append, qos)
    publisher.publish(sent)
    spin(lambda: received)
    assert received[0] == sent and received[0] != kind()
    node.destroy_subscription(subscription)
    node.destroy_publisher(publisher)


@pytest.mark.parametrize("name", SERVICES)
def test_service_through_the_middleware(graph, name):
    node, spin = graph
    kind = getattr(jepa_ros.srv, name)
    rng = np.random.default_rng(2)
    request, answer = fill(kind.Request(), rng), fill(kind.Response(), rng)
    asked = []
    server = node.create_service(kind, f"test_{name.lower()}", lambda req, res: asked.append(req) or answer)
    client = node.create_client(kind, f"test_{name.lower()}")
    spin(client.service_is_ready)
    future = client.call_async(request)
    spin(future.done)
    assert asked == [request] and future.result() == answer
    node.destroy_client(client)
    node.destroy_service(server)


def test_action_through_the_middleware(graph):
    node, spin = graph
    kind = jepa_ros.action.ReachGoal
    rng = np.random.default_rng(3)
    goal, result, feedback = (fill(part(), rng) for part in (kind.Goal, kind.Result, kind.Feedback))
    asked, seen = [], []

    def execute(handle):
        asked.append(handle.request)
        handle.publish_feedback(feedback)
        handle.succeed()
        return result

    server = ActionServer(node, kind, "test_reach_goal", execute)
    client = ActionClient(node, kind, "test_reach_goal")
    spin(client.server_is_ready)
    accepted = client.send_goal_async(goal, feedback_callback=lambda m: seen.append(m.feedback))
    spin(accepted.done)
    assert accepted.result().accepted
    answer = accepted.result().get_result_async()
    spin(lambda: answer.done() and seen)
    assert asked == [goal] and seen == [feedback] and answer.result().result == result
    client.destroy()
    server.destroy()
