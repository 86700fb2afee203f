"""What the cache of read bags is worth: seconds to read bags without it, when it is filled, and from then on.

python benchmarks/bag_cache.py --bags bags/reach --limit 1000 --json docs/results/bag_cache.json
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from bench_command import command_line
from offline_process import where_and_when

from jepa_ros.data.bag_files import find_bags
from jepa_ros.data.bag_reader import read_episodes
from jepa_ros.data.cache import BagCache


def measure(bags: list[Path], folder: Path, workers: int) -> dict:
    """Read the bags again and again into images of 64x64; the first time brings their files into memory."""
    cache = BagCache(folder)
    seconds, reports = {}, []

    def read(name: str, **options) -> None:
        began = time.perf_counter()
        _, report = read_episodes(bags, workers=workers, **options)
        seconds[name] = time.perf_counter() - began
        reports.append(report)
        print(f"{name:28s} {seconds[name]:8.2f} s", flush=True)

    read("files into memory")
    read("without cache")
    read("with cache, first time", cache=cache)
    read("with cache, from then on", cache=cache)
    changed = bags[0] / "metadata.yaml" if bags[0].is_dir() else bags[0]
    status = changed.stat()
    try:
        os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
        read("with cache, one bag changed", cache=cache)
    finally:
        os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    if any(report != reports[0] for report in reports):
        raise SystemExit("the readings differ: a bag changed meanwhile, or the cache is wrong")
    return {
        "bags": len(bags),
        "frames": reports[0].frames,
        "workers": workers,
        "seconds": {name: round(taken, 2) for name, taken in seconds.items()},
        "times_faster": round(seconds["without cache"] / seconds["with cache, from then on"], 1),
        "bags_megabytes": round(sum(f.stat().st_size for b in bags for f in b.rglob("*")) / 1e6, 1),
        "cache_megabytes": round(cache.size() / 1e6, 1),
    }


def main(argv: list[str] | None = None) -> None:
    """Measure, print, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bags", nargs="+", required=True, metavar="DIR", help="bags, or folders of bags")
    parser.add_argument("--limit", type=int, help="read so many of them")
    parser.add_argument("--workers", type=int, default=2, help="reading processes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    arguments = parser.parse_args(argv)
    bags = find_bags(arguments.bags)[: arguments.limit]
    with tempfile.TemporaryDirectory() as folder:
        found = measure(bags, Path(folder), arguments.workers)
    print(
        f"{found['times_faster']} times faster; {found['bags_megabytes']} MB of bags, "
        f"{found['cache_megabytes']} MB of cache"
    )
    if arguments.json:
        command = command_line("benchmarks/bag_cache.py", argv)
        arguments.json.write_text(
            json.dumps({"command": command, **where_and_when(), **found}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
