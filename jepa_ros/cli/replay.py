"""`jepa replay`: a bag's camera, joints and goal into the live graph; commands only under recorded/."""

import argparse
import math
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jepa_ros.cli.checks import needs_ros, require_positive
from jepa_ros.cli.status_line import StatusLine
from jepa_ros.cli.topic_options import add_topic_options, chosen_topics
from jepa_ros.nodes.bringup.interrupts import handling


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jepa replay`."""
    parser.epilog = (
        "Run the nodes with use_sim_time:=true (`ros2 launch jepa_ros replay.launch.py bag:=BAG` does). What "
        "is no sensor goes to recorded/NAME in the namespace. It refuses to start, and stops, while a node "
        "listens to joint_trajectory, commands, twist_cmds or a command topic of the bag, and while another "
        "node publishes the camera, the joints or /clock. Ends at the end of the bag, Ctrl-C or SIGTERM. "
        "Exit status: 0, 2 for an error."
    )
    parser.add_argument(
        "bag", type=Path, metavar="BAG", help="a folder with metadata.yaml, an .mcap or a .db3 file"
    )
    parser.add_argument("--namespace", default="jepa", help="of the live graph")
    parser.add_argument("-r", "--rate", type=float, default=1.0, help="times real time")
    parser.add_argument(
        "--start", type=float, default=0.0, metavar="S", help="seconds of the bag to leave out first"
    )
    parser.add_argument(
        "--duration", type=float, metavar="S", help="end after S seconds of the bag (default: all)"
    )
    parser.add_argument(
        "-l", "--loop", action="store_true", help="begin again at the end; the clock goes back, too"
    )
    parser.add_argument(
        "--force", action="store_true", help="play although a robot listens or sensors are live: it may MOVE"
    )
    goal = parser.add_mutually_exclusive_group()
    goal.add_argument("--no-goal", action="store_true", help="the recorded goal goes to recorded/goal")
    goal.add_argument(
        "--goal-image",
        metavar="FILE",
        help="a picture to reach, in place of the recorded goal; `last`: the last camera image played",
    )
    parser.add_argument(
        "--wait-for-subscribers",
        type=float,
        default=10.0,
        metavar="S",
        help="how long to wait for readers of camera and joints, and until they are active",
    )
    add_topic_options(parser)


def run(args: argparse.Namespace) -> int:
    """Play until the end or until told to end; see the epilog for the exit status."""
    require_positive(args, "rate", "duration")
    require_positive(args, "start", "wait_for_subscribers", or_zero=True)
    with needs_ros("replay"):
        from jepa_ros.nodes.bags.replayer import LAST, Replayer, ReplaySettings

    image = args.goal_image
    if image not in (None, LAST):
        from jepa_ros.cli.demo_session import read_image

        image = read_image(Path(image), "--goal-image")
    settings = ReplaySettings(
        bag=args.bag,
        namespace=args.namespace,
        rate=args.rate,
        start_s=args.start,
        duration_s=args.duration or math.inf,
        loop=args.loop,
        topics=chosen_topics(args),
        force=args.force,
        goal=not args.no_goal,
        goal_image=image,
        wait_s=args.wait_for_subscribers,
    )
    line, stop = StatusLine(), threading.Event()

    def show(progress) -> None:
        line.show(
            f"{progress.seconds:.1f} of {progress.total_s:.1f} s",
            *([f"round {progress.rounds}"] if args.loop else []),
            f"{sum(progress.messages.values())} messages",
            f"late {1e3 * progress.late_s:.0f} ms (most {1e3 * progress.most_late_s:.0f})",
        )

    with Replayer(settings, line.say) as replayer, ThreadPoolExecutor(1) as thread:
        with handling((signal.SIGINT, signal.SIGTERM), lambda *_: stop.set()):
            try:
                # In a thread of its own: a signal handler must not meet the lock of the event that it sets.
                progress = thread.submit(replayer.play, stop, show).result()
            finally:
                line.end()
        _report(replayer.routes, progress, stop.is_set())
    return 0


def _report(routes, progress, stopped: bool) -> None:
    rows = [(route.source, route.target, progress.messages.get(route.source, 0)) for route in routes.routes]
    widths = [max(len(row[i]) for row in [("topic", "played on"), *rows]) for i in (0, 1)]
    print(f"{'topic':{widths[0]}}  {'played on':{widths[1]}}  messages")
    for source, target, count in rows:
        print(f"{source:{widths[0]}}  {target:{widths[1]}}  {count:8}")
    rounds = f", round {progress.rounds}" if progress.rounds > 1 else ""
    what = "stopped after" if stopped else "played"
    print(
        f"{what} {progress.seconds:.1f} of {progress.total_s:.1f} s{rounds}; "
        f"at most {1e3 * progress.most_late_s:.0f} ms late"
    )
