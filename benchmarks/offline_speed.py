"""How fast `jepa offline` is: recorded seconds against seconds spent, start-up, encoding and report included.

python benchmarks/offline_speed.py --json docs/results/offline_speed.json
"""

import argparse
import json
import tempfile
from pathlib import Path

from bench_command import command_line
from camera_bags import CameraRecorder
from offline_process import folder_megabytes, run_offline, where_and_when

BAGS = {
    "10 Hz, 64x64 raw": {"size": (64, 64), "camera_hz": 10, "least": 20},
    "30 Hz, 640x480 JPEG": {"size": (480, 640), "camera_hz": 30, "quality": 90, "noise": True, "least": 3},
}


def measure(folder: Path, seconds: float, size, camera_hz: int, least: float, **camera) -> dict:
    """Record one bag and evaluate it. least: times real time that are asked for."""
    with CameraRecorder(size, camera_hz, **camera) as recorder:
        images = recorder.record_bag(folder, seconds)
    measured = run_offline(folder)
    recorded = images / camera_hz
    return {
        "images": images,
        "megabytes": folder_megabytes(folder),
        "recorded_s": round(recorded, 1),
        "spent_s": round(measured.seconds, 2),
        "cpu_s": measured.cpu_seconds,
        "times_real_time": round(recorded / measured.seconds, 1),
        "least_asked_for": least,
        "peak_mb": measured.peak_mb,
        "settings": measured.result["settings"],
    }


def main() -> None:
    """Measure both bags; print, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="length of each bag")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    arguments = parser.parse_args()
    found = {"command": command_line("benchmarks/offline_speed.py", None), **where_and_when(), "bags": {}}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, settings) in enumerate(BAGS.items()):
            row = measure(Path(folder) / f"bag_{number}", arguments.seconds, **settings)
            found["bags"][name] = row
            print(
                f"{name:22s} {row['recorded_s']:6.1f} s recorded, {row['megabytes']:7.1f} MB, "
                f"{row['spent_s']:6.2f} s spent ({row['cpu_s']:.1f} s of CPU): "
                f"{row['times_real_time']:.1f} times real time (at least {row['least_asked_for']} asked for)",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
