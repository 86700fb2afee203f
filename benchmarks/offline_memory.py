"""How much memory `jepa offline` takes for a large bag, and whether it grows with the bag.

    python benchmarks/offline_memory.py --json docs/results/offline_memory.json

Two bags of 30 Hz 640x480 rgb8 images in chunks that are not compressed, one a quarter of the other, in a
folder that is removed afterwards.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from bench_command import command_line
from camera_bags import EPISODE_S, GAP_S, CameraRecorder
from offline_process import folder_megabytes, run_offline, where_and_when

SIZE, CAMERA_HZ = (480, 640), 30
CURVE_POINTS = 60


def measure(path: Path, gigabytes: float) -> dict:
    """Record a bag of about this size, evaluate it, remove it."""
    share = EPISODE_S / (EPISODE_S + GAP_S)
    seconds = gigabytes * 1e9 / (SIZE[0] * SIZE[1] * 3 * CAMERA_HZ) / share
    with CameraRecorder(SIZE, CAMERA_HZ) as recorder:
        images = recorder.record_bag(path, seconds + (EPISODE_S + GAP_S) / 2, compression="none")
    size = folder_megabytes(path)
    measured = run_offline(path)
    shutil.rmtree(path)
    every = max(1, len(measured.memory) // CURVE_POINTS)
    recorded = images / CAMERA_HZ
    return {
        "images": images,
        "megabytes": size,
        "recorded_s": round(recorded, 1),
        "spent_s": round(measured.seconds, 2),
        "cpu_s": measured.cpu_seconds,
        "times_real_time": round(recorded / measured.seconds, 1),
        "peak_mb": measured.peak_mb,
        "curve_s_mb": measured.memory[::every],
    }


def main() -> None:
    """Measure both bags; print, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=2.0, help="size of the larger bag")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    parser.add_argument("--folder", type=Path, help="where the bags lie meanwhile, default: the system's")
    arguments = parser.parse_args()
    found = {
        "command": command_line("benchmarks/offline_memory.py", None),
        **where_and_when(),
        "most_asked_for_mb": 1500,
        "bags": {},
    }
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        free = shutil.disk_usage(folder).free / 1e9
        if free < 1.2 * arguments.gigabytes + 1:
            parser.error(f"{free:.1f} GB free in {folder}; give another --folder, or fewer --gigabytes")
        for gigabytes in (arguments.gigabytes / 4, arguments.gigabytes):
            row = measure(Path(folder) / "bag", gigabytes)
            found["bags"][f"30 Hz, 640x480 raw, {gigabytes:g} GB"] = row
            print(
                f"{row['megabytes']:7.1f} MB, {row['images']} images: peak {row['peak_mb']:.0f} MB in "
                f"{row['spent_s']:.1f} s",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
