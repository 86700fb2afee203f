"""What the processes of the graph listen on: DDS and nothing else; on this machine alone where that is asked for."""

import ipaddress
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from jepa_ros.nodes.bringup.graph import Graph, find
from jepa_ros.nodes.bringup.running import Bringup
from jepa_ros.nodes.client import GraphClient
from jepa_ros.nodes.describe.sros2_policy import DISCOVERY, endpoints

NAMESPACE = f"network{os.getpid()}"
LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
OWN_FLOWS = range(7000, 7400)
"""Where rmw_fastrtps opens the port of a participant's reader of the graph's names."""


class Socket(NamedTuple):
    kind: str
    address: str
    port: int


def sockets(pid: int) -> list[Socket]:
    """The internet sockets of a process."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile, such as the one that lists the folder
            inodes.add(os.readlink(entry).removeprefix("socket:[").removesuffix("]"))
    found = []
    for kind in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "udplite", "udplite6", "packet"):
        table = Path(f"/proc/{pid}/net/{kind}")
        for words in map(str.split, table.read_text().splitlines()[1:] if table.exists() else ()):
            if kind == "packet" and words[8] in inodes:
                found.append(Socket(kind, "", 0))
            elif kind != "packet" and words[9] in inodes:
                address, port = words[1].split(":")
                raw = bytes.fromhex(address)
                groups = (raw[i : i + 4][::-1] for i in range(0, len(raw), 4))  # of the machine's byte order
                found.append(Socket(kind, str(ipaddress.ip_address(b"".join(groups))), int(port, 16)))
    return found


def sample_environment() -> dict[str, str]:
    """The variables that config/environment/this_machine.sh sets."""
    script = f". {find('config/environment/this_machine.sh')} && env -0"
    words = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split(
        "\0"
    )
    after = dict(word.split("=", 1) for word in words if "=" in word)
    return {k: v for k, v in after.items() if k.startswith(("ROS_AUTO", "ROS_STATIC", "FASTRTPS", "FASTDDS"))}


@pytest.fixture
def listening(checkpoint, tmp_path, monkeypatch):
    """(environment, composition) -> sockets by process, of a whole simulator graph that is up and heard."""

    def bring_up(environment, composition):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        graph = Graph(NAMESPACE, composition=composition, checkpoint=checkpoint)
        with Bringup(graph, tmp_path) as bringup, GraphClient(NAMESPACE) as client:
            client.wait_active(graph.nodes, check=bringup.check)
            enclaves = client.node.get_node_names_and_namespaces_with_enclaves()
            assert {(name, enclave) for name, space, enclave in enclaves if space == f"/{NAMESPACE}"} >= {
                (node, f"/{NAMESPACE}/{process.executable}")
                for process in bringup._processes.values()
                for node in process.nodes
            }
            assert endpoints(client.node, "planner", f"/{NAMESPACE}")["topic", "publish"]
            return {name: sockets(process.pid) for name, process in bringup._running.items()}

    return bring_up


def is_listening(socket: Socket) -> bool:
    """Not one that only sends, from a port the kernel chose."""
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    return not (socket.kind == "udp" and low <= socket.port <= high)


def of_this_domain(socket: Socket) -> bool:
    first = 7400 + 250 * int(os.environ["ROS_DOMAIN_ID"])
    return socket.kind == "udp" and (socket.port in range(first, first + 250) or socket.port in OWN_FLOWS)


def test_no_process_listens_outside_dds(listening):
    found = listening({DISCOVERY: "SUBNET"}, "distributed")
    assert len(found) == 6
    for name, opened in found.items():
        heard = [socket for socket in opened if is_listening(socket)]
        assert heard and all(map(of_this_domain, heard)), (name, heard)


def test_localhost_listens_to_no_multicast(listening):
    multicast_port = 7400 + 250 * int(os.environ["ROS_DOMAIN_ID"])
    for name, opened in listening({DISCOVERY: "LOCALHOST"}, "single").items():
        heard = [socket for socket in opened if is_listening(socket)]
        assert heard and all(map(of_this_domain, heard)), (name, heard)
        assert multicast_port not in {socket.port for socket in heard}


def test_sample_environment_listens_on_the_loopback_address_only(listening):
    environment = sample_environment()
    assert (
        environment[DISCOVERY] == "LOCALHOST"
        and Path(environment["FASTRTPS_DEFAULT_PROFILES_FILE"]).is_file()
    )
    for name, opened in listening(environment, "single").items():
        heard = [socket for socket in opened if is_listening(socket)]
        assert heard and all(map(of_this_domain, heard)), (name, heard)
        assert all(ipaddress.ip_address(socket.address) in LOOPBACK for socket in heard), (name, heard)


def test_a_listener_would_be_seen():
    from socket import create_server

    with create_server(("127.0.0.1", 0)) as server:
        opened = Socket("tcp", *server.getsockname())
        assert opened in sockets(os.getpid()) and is_listening(opened) and not of_this_domain(opened)
