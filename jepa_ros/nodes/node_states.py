"""The lifecycle of a namespace's nodes, from outside, by the standard services."""

import os
import time
from difflib import get_close_matches
from queue import Empty, SimpleQueue

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions

from jepa_ros.errors import JepaError
from jepa_ros.nodes.bringup.graph import Graph
from jepa_ros.nodes.client import GraphClient
from jepa_ros.nodes.wire import qos

GOALS = {
    "configure": "inactive",
    "activate": "active",
    "deactivate": "inactive",
    "cleanup": "unconfigured",
    "shutdown": "finalized",
}
"""Transition to the state that it leads to."""
_START_ORDER = Graph().nodes
_EVERYWHERE = Graph(simulator=False).nodes
_DISCOVERY_S = 5.0  # for the nodes of every graph
_SETTLED_S = 1.0  # for the others, after those
_ANSWER_S = 2.0
_REASON_S = 2.5
_POLL_S = 0.05


class NodeStates:
    """Finds the nodes and drives them. timeout_s: of one transition; a model may have to be loaded in it."""

    def __init__(self, client: GraphClient, timeout_s: float = 60.0):
        self._client, self._timeout_s = client, timeout_s
        self._statuses: SimpleQueue[DiagnosticStatus] = SimpleQueue()
        client.node.create_subscription(
            DiagnosticArray,
            "/diagnostics",
            lambda msg: [self._statuses.put(status) for status in msg.status],
            qos.STATUS,
        )

    def find(self) -> tuple[list[str], list[str]]:
        """Names of the lifecycle nodes, in the order in which they start, others after them; and those that every
        graph has and that did not show up in time. JepaError where there is none at all."""
        found = self._await(_EVERYWHERE, _DISCOVERY_S)
        if set(_EVERYWHERE) <= set(found):
            found = self._await(_START_ORDER, _SETTLED_S)
        if not found:
            raise JepaError(
                f"no lifecycle node in the namespace {self._client.node.get_namespace()} of ROS domain "
                f"{os.environ.get('ROS_DOMAIN_ID', '0')}; is the graph running? `--namespace` names another one"
            )
        known = [name for name in _START_ORDER if name in found]
        missing = [name for name in _EVERYWHERE if name not in found]
        return known + sorted(set(found) - set(known)), missing

    def require(self, name: str) -> None:
        """JepaError where that node is not there."""
        if name not in self._await((name,), _DISCOVERY_S):
            found, _ = self.find()
            near = get_close_matches(name, found, n=1)
            raise JepaError(
                f"no lifecycle node {name!r}; "
                + (f"did you mean {near[0]!r}? " if near else "")
                + f"There are: {', '.join(found)}"
            )

    def state(self, name: str) -> str:
        """Such as "unconfigured", "inactive", "active", "finalized"; JepaError where the node does not answer soon."""
        return self._client.state(name, _ANSWER_S)

    def change(self, name: str, transition: str) -> bool:
        """Make a transition of GOALS; False where the node is in its goal state already. JepaError says why it
        cannot, or could not."""
        available = self._client.call(
            GetAvailableTransitions,
            f"{name}/get_available_transitions",
            GetAvailableTransitions.Request(),
            self._timeout_s,
        ).available_transitions
        possible = {way.transition.label: way.transition for way in available}
        if transition not in possible:
            state = self.state(name)
            if state == GOALS[transition]:
                return False
            ways = [way for way in GOALS if way in possible]
            raise JepaError(
                f"{name} is {state} and cannot {transition}; it can {', '.join(ways) or 'do nothing more'}"
            )
        self._forget_statuses()
        request = ChangeState.Request(transition=possible[transition])
        if not self._client.call(ChangeState, f"{name}/change_state", request, self._timeout_s).success:
            raise JepaError(f"{name} is {self.state(name)}: {self._reason(name)}")
        return True

    def _await(self, names: tuple[str, ...], timeout_s: float) -> list[str]:
        """What is there once ``names`` are, or after timeout_s."""
        ends = time.monotonic() + timeout_s
        while not set(names) <= set(found := self._found()) and time.monotonic() < ends:
            time.sleep(_POLL_S)
        return found

    def _found(self) -> list[str]:
        prefix, suffix = self._client.node.get_namespace().rstrip("/") + "/", "/get_state"
        return [
            service[len(prefix) : -len(suffix)]
            for service, kinds in self._client.node.get_service_names_and_types()
            if service.startswith(prefix)
            and service.endswith(suffix)
            and "lifecycle_msgs/srv/GetState" in kinds
        ]

    def _forget_statuses(self) -> None:
        while not self._statuses.empty():
            self._statuses.get()

    def _reason(self, name: str) -> str:
        """What the node's diagnostics say of its failure."""
        full = f"{self._client.node.get_namespace()}/{name}".replace("//", "/").lstrip("/")
        ends = time.monotonic() + _REASON_S
        while (left := ends - time.monotonic()) > 0:
            try:
                status = self._statuses.get(timeout=left)
            except Empty:
                break
            if status.name == full and status.level == DiagnosticStatus.ERROR:
                return status.message
        return "the transition failed, its log says why"
