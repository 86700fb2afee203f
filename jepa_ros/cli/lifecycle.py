"""`jepa lifecycle`: configure, activate and stop nodes by hand."""

import argparse
import sys

from jepa_ros.cli.checks import needs_ros, require_positive
from jepa_ros.errors import JepaError

TRANSITIONS = ("configure", "activate", "deactivate", "cleanup", "shutdown")
ALL = "all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jepa lifecycle`."""
    parser.epilog = (
        "Exit status: 0, 1 if a node failed, did not answer or is missing, 2 for an error. Bring a graph up without starting "
        "it: ros2 launch jepa_ros jepa.launch.py autostart:=false"
    )
    parser.add_argument("--namespace", default="jepa", help="of the nodes")
    parser.add_argument(
        "--timeout",
        type=float,
        default=60.0,
        metavar="S",
        help="of one transition; configure loads the model",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    verbs.add_parser("list", help="every node and its state")
    get = verbs.add_parser("get", help="the state of one node")
    get.add_argument("node", metavar="NODE")
    change = verbs.add_parser(
        "set",
        help="make a transition",
        description=f"Make a transition. NODE `{ALL}`: every node, in the order in which they start to configure "
        "and activate, in the reverse order else.",
    )
    change.add_argument("node", metavar="NODE", help=f"a node's name, or `{ALL}`")
    change.add_argument("transition", choices=TRANSITIONS)


def run(args: argparse.Namespace) -> int:
    """Ask or drive the nodes; see the epilog for the exit status."""
    require_positive(args, "timeout")
    with needs_ros("lifecycle"):
        from jepa_ros.nodes.client import GraphClient
        from jepa_ros.nodes.node_states import NodeStates
    with GraphClient(args.namespace, "jepa_lifecycle") as client:
        states = NodeStates(client, args.timeout)
        if args.verb == "list":
            return _list(states)
        if args.node != ALL:
            states.require(args.node)
        if args.verb == "get":
            print(states.state(args.node))
            return 0
        return _set(states, args.node, args.transition)


def _list(states) -> int:
    (names, missing), silent = states.find(), False
    for name in names:
        try:
            state = states.state(name)
        except JepaError:
            state, silent = "no answer (starting, or hung)", True
        print(f"{name:{max(map(len, names))}}  {state}")
    return int(silent or _tell(missing))


def _set(states, node: str, transition: str) -> int:
    names, missing = states.find() if node == ALL else ([node], [])
    if transition not in ("configure", "activate"):
        names = names[::-1]
    failed = False
    for name in names:
        try:
            changed = states.change(name, transition)
            print(f"{name}: {'' if changed else 'already '}{states.state(name)}", flush=True)
        except JepaError as error:  # the others are still to be stopped, or started
            print(f"error: {error}", file=sys.stderr, flush=True)
            failed = True
    return int(failed or _tell(missing))


def _tell(missing) -> bool:
    if missing:
        print(f"error: not found: {', '.join(missing)}", file=sys.stderr)
    return bool(missing)
