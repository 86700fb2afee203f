"""The live graph as a replay sees it: no robot may listen, and the nodes of the graph should be ready."""

import time
from collections.abc import Callable, Iterable

from lifecycle_msgs.srv import GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from jepa_ros.data.topics import absolute
from jepa_ros.errors import JepaError
from jepa_ros.nodes.bringup.graph import MODEL_NODES

SENSORS = ("image", "image/compressed", "joint_states", "/clock")
"""What nobody else may publish meanwhile."""
READERS = {"image": "encoder", "image/compressed": "encoder", "goal_image": "encoder"}
READERS |= {"joint_states": "planner", "goal": "planner"}
"""Topic to the node that has to have found its publisher before the first message."""
_QUIET_S, _SETTLE_S = 1.0, 5.0
"""The graph counts as discovered when it has stayed the same for so long, or after so long at the latest."""
_POLL_S = 0.05
_ANSWER_S = 1.0
_UNKNOWN = "_NODE_NAME_UNKNOWN_"


class LiveGraph:
    """node: of the replay, in an executor that nobody spins.  command_topics: what a robot may listen to.
    force: robots and other sensors are no reason to stop.  publishers: of the replay, by topic.

    pause: waits for so many s and says whether the replay was stopped; who waits then returns False.
    """

    def __init__(
        self,
        node: Node,
        executor: SingleThreadedExecutor,
        namespace: str,
        command_topics: Iterable[str],
        force: bool,
    ):
        self._node, self._executor, self._namespace = node, executor, namespace
        self._commands, self._force = tuple(command_topics), force
        self._sensors = [absolute(name, namespace) for name in SENSORS]
        self._readers = {absolute(t, namespace): absolute(node, namespace) for t, node in READERS.items()}
        self._clients: dict[str, object] = {}
        self._active: set[str] = set()
        self.publishers: dict[str, object] = {}

    def settle(self, pause: Callable[[float], bool]) -> bool:
        """Look at the graph until it is discovered."""
        began = changed = time.monotonic()
        seen = None
        while True:
            self.require_no_robot()
            now, graph = time.monotonic(), self._survey()
            changed = now if graph != seen else changed
            seen = graph
            if now - changed >= _QUIET_S or now - began >= _SETTLE_S:
                return True
            if pause(_POLL_S):
                return False

    def require_no_robot(self) -> None:
        """JepaError where a node listens to a robot's command topic, or another publishes sensors."""
        if self._force:
            return
        for topic in self._commands:
            if self._node.count_subscribers(topic):
                listener = self._names(self._node.get_subscriptions_info_by_topic, topic)
                raise JepaError(
                    f"{listener} listens to {topic}: a robot could move by what is planned from the past. "
                    "Stop that node, or give --force where it moves nothing (such as a recorder)"
                )
        for topic in self._sensors:
            if self._node.count_publishers(topic) > (topic in self.publishers):
                publisher = self._names(self._node.get_publishers_info_by_topic, topic)
                raise JepaError(
                    f"{publisher} publishes {topic}: a robot or a simulator is live, and the past would mix "
                    "with it. Stop that node, or give another --namespace, or --force"
                )

    def wait_until_ready(
        self,
        wait_s: float,
        pause: Callable[[float], bool],
        say: Callable[[str], None],
        tick: Callable[[], None],
    ) -> bool:
        """Until the nodes that plan are active and have found ``publishers``. After wait_s it says what is
        missing, and returns all the same. tick: called meanwhile."""
        ends, told = time.monotonic() + wait_s, ""
        while missing := self._missing():
            self.require_no_robot()
            left = ends - time.monotonic()
            if left <= 0:
                say(f"warning: playing without {missing}")
                return True
            if missing != told:
                say(f"waiting at most {left:.0f} s for {missing}")
                told = missing
            tick()
            if pause(_POLL_S):
                return False
        return True

    def _survey(self) -> tuple:
        topics = [name for name, _ in self._node.get_topic_names_and_types()]
        counts = [(t, self._node.count_subscribers(t), self._node.count_publishers(t)) for t in topics]
        return sorted(self._node.get_node_names_and_namespaces()), sorted(counts)

    def _missing(self) -> str:
        """What the replay is not ready for, in words."""
        services = {name for name, _ in self._node.get_service_names_and_types()}
        nodes = [absolute(name, self._namespace) for name in MODEL_NODES]
        waiting = [node for node in nodes if f"{node}/get_state" not in services or not self._is_active(node)]
        if waiting:
            return f"{', '.join(waiting)} to be active"
        for topic, publisher in self.publishers.items():
            readers = [_full_name(i) for i in self._node.get_subscriptions_info_by_topic(topic)]
            expected = self._readers.get(topic)
            if expected and expected not in readers:
                transport = (
                    " (image_transport says which form it reads)" if expected.endswith("encoder") else ""
                )
                return f"{expected} to read {topic}{transport}"
            if publisher.get_subscription_count() < len(readers):
                return f"the readers of {topic}"
        return ""

    def _is_active(self, node: str) -> bool:
        if node not in self._active:
            if node not in self._clients:
                self._clients[node] = self._node.create_client(GetState, f"{node}/get_state")
            client = self._clients[node]
            if client.service_is_ready():
                future = client.call_async(GetState.Request())
                self._executor.spin_until_future_complete(future, _ANSWER_S)
                if not future.done():
                    client.remove_pending_request(future)
                elif future.result().current_state.label == "active":
                    self._active.add(node)
        return node in self._active

    def _names(self, ask: Callable[[str], list], topic: str) -> str:
        """The other nodes at a topic, in words. An endpoint may be discovered before its node's name."""
        ends, own = time.monotonic() + _ANSWER_S, self._node.get_fully_qualified_name()
        while True:
            names = {_full_name(info) for info in ask(topic)}
            if "" not in names or time.monotonic() > ends:
                names = sorted(names - {own, ""}) or ["of unknown name"]
                return f"node {', '.join(names)}"
            time.sleep(_POLL_S)


def _full_name(info) -> str:
    """Of an endpoint's node; "" where it is not known yet."""
    return "" if info.node_name == _UNKNOWN else f"{info.node_namespace.rstrip('/')}/{info.node_name}"
