"""`jepa record`: the live graph's topics into an MCAP bag, where rosbag2 is not installed."""

import argparse
import math
import queue
import signal
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from jepa_ros.cli.checks import needs_ros, require_positive
from jepa_ros.cli.status_line import StatusLine
from jepa_ros.nodes.bringup.interrupts import handling


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jepa record`."""
    parser.epilog = (
        "Ends at Ctrl-C, SIGTERM or --duration, and closes the bag. Exit status: 0, 1 if nothing came, 2 for an "
        "error. After a crash the bag holds all but the last second: `jepa offline`, `mcap recover` and "
        "`ros2 bag reindex` read it."
    )
    parser.add_argument(
        "-o",
        "--out",
        "--output",
        type=Path,
        metavar="BAG",
        help="the bag folder (default: jepa_ and the date)",
    )
    parser.add_argument(
        "--topics",
        type=Path,
        metavar="FILE",
        help="YAML list of topics (default: config/record_topics.yaml of this package)",
    )
    parser.add_argument(
        "--topic",
        action="append",
        default=[],
        metavar="NAME",
        help="one more topic, relative to the namespace or absolute; repeat for several",
    )
    parser.add_argument("-a", "--all", action="store_true", help="every topic that is published, too")
    parser.add_argument("--namespace", default="jepa", help="of the nodes and of relative topics")
    parser.add_argument(
        "-d", "--duration", type=float, metavar="S", help="end after S seconds (default: Ctrl-C)"
    )
    parser.add_argument(
        "--checkpoint",
        metavar="CKPT",
        help="what the bag names as its model (default: the checkpoint that the nodes name)",
    )
    parser.add_argument(
        "--compression", choices=("zstd", "none"), default="zstd", help="of the MCAP file's chunks"
    )
    parser.add_argument(
        "--max-queue-mb",
        type=float,
        default=256.0,
        help="what may wait for the disk before messages are dropped",
    )
    parser.add_argument("--use-sim-time", action="store_true", help="log times from /clock; waits for it")


def run(args: argparse.Namespace) -> int:
    """Record until told to end; see the epilog for the exit status."""
    require_positive(args, "duration", "max_queue_mb")
    with needs_ros("record"):
        from jepa_ros.nodes.bags.recorder import Recorder, RecordSettings
    from jepa_ros.nodes.bringup.graph import find_checkpoint
    from jepa_ros.nodes.bringup.record_topics import RecordTopic, read_record_topics, resolve

    topics = [*read_record_topics(args.topics), *(RecordTopic(name) for name in args.topic)]
    settings = RecordSettings(
        out=args.out or Path(datetime.now().strftime("jepa_%Y_%m_%d-%H_%M_%S")),
        topics=tuple(resolve(topics, args.namespace)),
        namespace=args.namespace,
        all_topics=args.all,
        compression=args.compression,
        max_queue_mb=args.max_queue_mb,
        checkpoint=str(find_checkpoint(args.checkpoint)) if args.checkpoint else "",
        use_sim_time=args.use_sim_time,
    )
    end, ended = queue.SimpleQueue(), False  # an Event may be locked where a signal handler would set it
    ending = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # the terminal was closed; nohup ignores that
        ending.append(signal.SIGHUP)
    with handling(ending, lambda *_: end.put(True)):
        line = _Line()
        with Recorder(settings, line.say) as recorder:
            line.say(f"recording into {settings.out}; end with Ctrl-C")
            began = time.monotonic()
            ends = began + (args.duration or math.inf)
            while recorder.failure is None and not ended and time.monotonic() < ends:
                with suppress(queue.Empty):
                    ended = end.get(timeout=min(1.0, max(0.0, ends - time.monotonic())))
                line.show(*_progress(recorder, time.monotonic() - began))
            line.end()
        with suppress(OSError):
            _report(recorder)
        return 0 if any(count.messages for count in recorder.counts.values()) else 1


class _Line(StatusLine):
    def _print(self, text: str) -> None:
        with suppress(OSError):  # the terminal may be gone; the recording goes on
            super()._print(text)


def _progress(recorder, seconds: float) -> list[str]:
    counts = recorder.counts.values()
    return [
        f"{seconds:.0f} s",
        f"{sum(c.messages for c in counts)} messages of {len(counts)} topics",
        f"{1e-6 * sum(c.size for c in counts):.1f} MB",
        f"queue {recorder.waiting_mb:.1f} MB",
        f"lost {sum(c.dropped + c.lost for c in counts)}",
    ]


def _report(recorder) -> None:
    counts = recorder.counts
    width = max(map(len, [*counts, "topic"]))
    print(f"{'topic':{width}}  {'messages':>8}  {'Hz':>7}  {'MB':>8}  {'lost':>6}")
    for topic, c in counts.items():
        lost = c.dropped + c.lost
        print(f"{topic:{width}}  {c.messages:8}  {c.rate_hz:7.1f}  {1e-6 * c.size:8.2f}  {lost:6}")
    if recorder.never_published:
        print(f"not recorded, as nobody published them: {', '.join(recorder.never_published)}")
    if recorder.silent_nodes:
        print(f"these nodes did not tell their parameters: {', '.join(recorder.silent_nodes)}")
    if any(c.dropped for c in counts.values()):
        print("messages were dropped as the disk was too slow: raise --max-queue-mb, or record fewer topics")
    if any(c.lost for c in counts.values()):
        print(
            "messages were lost on their way here (middleware): publish reliably, or record compressed images"
        )
    print(f"wrote {recorder.settings.out}")
