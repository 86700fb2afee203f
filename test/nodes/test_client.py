"""The user's side of the graph, by itself: what it survives, and what it says where it does not."""

import os
import threading

import pytest
from rcl_interfaces.srv import GetParameters, ListParameters
from std_msgs.msg import Header

from jepa_ros.errors import JepaError
from jepa_ros.nodes.client import GraphClient

NAME = f"client{os.getpid()}"


@pytest.fixture
def client():
    with GraphClient(NAME, NAME) as client:
        yield client


def ask(client, timeout_s=20.0):
    """A service that every node has, its own included."""
    return client.call(ListParameters, f"{NAME}/list_parameters", ListParameters.Request(), timeout_s)


def test_subscriptions_that_end_while_it_spins_do_not_end_it(client):
    publisher = client.node.create_publisher(Header, "words", 10)
    for _ in range(400):
        heard = [client.node.create_subscription(Header, "words", lambda msg: None, 10) for _ in range(4)]
        publisher.publish(Header())
        for subscription in heard:
            client.destroy_subscription(subscription)

    def left():
        return [s for s in client.node.subscriptions if s.topic_name.endswith("words")]

    for _ in range(1000):
        if left():
            ask(client)
    assert not left()


def test_an_executor_that_stalls_while_services_are_asked_goes_on(client):
    """Longer than the calls wait: what they leave behind is done later, newest first."""
    going_on = threading.Event()
    client._executor.create_task(lambda: going_on.wait(20.0))
    for kind, name in ((ListParameters, "list_parameters"), (GetParameters, "get_parameters")):
        with pytest.raises(JepaError, match="did not answer"):
            client.call(kind, f"{NAME}/{name}", kind.Request(), 0.3)
    going_on.set()
    assert ask(client).result.names


def test_a_client_that_a_callback_ended_says_so(client, capfd):
    def fall(msg):
        raise ValueError("not made for this word")

    client.node.create_subscription(Header, "words", fall, 10)
    assert ask(client).result.names
    client.node.create_publisher(Header, "words", 10).publish(Header())
    ended = "this client has ended, by ValueError.'not made for this word'"
    with pytest.raises(JepaError, match=ended):
        for _ in range(10_000):
            ask(client)
    with pytest.raises(JepaError, match=ended):
        client.wait_active([NAME])
    with pytest.raises(JepaError, match=ended):
        client.reported(NAME, "anything")
    client._spinner._thread.join(20.0)  # it prints what ended it
    assert "not made for this word" in capfd.readouterr().err
