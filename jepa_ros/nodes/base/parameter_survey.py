"""Asks the nodes of a namespace for their parameters, without waiting for anyone."""

import math
import time
from collections.abc import Callable

from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

_ASK_AGAIN_S = 1.0


class ParameterSurvey:
    """``look`` asks every node that is new; answers come in the executor's thread.

    found: full node name to its parameters.  silent: those that did not answer (yet): a node that loads its
    model answers when it is done.
    """

    def __init__(self, node: Node, namespace: str):
        self.found: dict[str, dict[str, object]] = {}
        self._node = node
        self._namespace = f"/{namespace.strip('/')}"
        self._pending: dict[str, list] = {}

    @property
    def silent(self) -> list[str]:
        """Full names of the nodes without an answer."""
        return sorted(self._pending)

    def look(self) -> None:
        """Ask the nodes that have come up since the last call. In the executor's thread."""
        for name, namespace in self._node.get_node_names_and_namespaces():
            full = f"{namespace.rstrip('/')}/{name}"
            own = full == self._node.get_fully_qualified_name()
            if own or name.startswith("_") or not f"{full}/".startswith(self._namespace.rstrip("/") + "/"):
                continue
            if full not in self.found and full not in self._pending:
                self._ask(full)
        for full, calls in self._pending.items():
            for call in calls:
                call.send_when_ready()

    def _ask(self, full: str) -> None:
        def got_names(response):
            names = list(response.result.names)
            get = _Call(
                self._node,
                GetParameters,
                f"{full}/get_parameters",
                GetParameters.Request(names=names),
                lambda answer: got_values(names, answer),
            )
            self._pending[full].append(get)
            get.send_when_ready()

        def got_values(names, response):
            self.found[full] = {
                name: _plain(parameter_value_to_python(value))
                for name, value in zip(names, response.values, strict=False)
            }
            for call in self._pending.pop(full):
                call.release()

        request = ListParameters.Request(depth=ListParameters.Request.DEPTH_RECURSIVE)
        self._pending[full] = [
            _Call(self._node, ListParameters, f"{full}/list_parameters", request, got_names)
        ]


def _plain(value):
    """A value that JSON takes: bytes become numbers."""
    return [v[0] if isinstance(v, bytes) else v for v in value] if isinstance(value, list) else value


class _Call:
    """One request, sent as soon as its service is there, and again while it is not answered: what a node answers to a client
    that it has not discovered, rmw_fastrtps throws away."""

    def __init__(self, node: Node, kind, name: str, request, answered: Callable):
        self._node, self._request, self._answered = node, request, answered
        self._client = node.create_client(kind, name)
        self._again = -math.inf  # steady; never, once it is answered

    def send_when_ready(self) -> None:
        if time.monotonic() >= self._again and self._client.service_is_ready():
            self._again = time.monotonic() + _ASK_AGAIN_S
            self._client.call_async(self._request).add_done_callback(self._hear)

    def _hear(self, done) -> None:
        if self._again < math.inf:
            self._again = math.inf
            self._answered(done.result())

    def release(self) -> None:
        self._node.destroy_client(self._client)
