"""How fast `jepa train` fits a world model here, and what share of a step the input pipeline takes.

The trainer's own loop, started by torchrun as one process with two threads and as two with one, on bags given or collected
first. Figures are medians over spans of steps, the first left out. Writes JSON, a table beside it, and prints the table.

    python benchmarks/training_speed.py --json docs/results/training_speed.json
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

from bench_command import command_line
from offline_process import where_and_when

from jepa_ros.data.bag_reader import read_episodes
from jepa_ros.errors import JepaError

LEAST_IMAGES_PER_SECOND, MOST_DATA_SHARE = 500, 0.10
SPANS = 6
LAYOUTS = ({"processes": 1, "threads": 2}, {"processes": 2, "threads": 1})
CASES = [
    {**layout, "precision": precision, "augmentation": augmentation}
    for layout, precision, augmentation in product(LAYOUTS, ("float32", "bfloat16"), ("none", "views"))
]


def train(case: dict, bags: list[Path], steps: int, folder: Path) -> None:
    """What every process that torchrun starts does: read the bags, take the steps of a case."""
    import torch

    from jepa_ros.training.config import TrainingConfig
    from jepa_ros.training.distributed import join
    from jepa_ros.training.trainer import fit_world_model, split_episodes
    from jepa_ros.world_model.model import WorldModel

    config = TrainingConfig(
        steps=steps,
        save_every=steps,
        log_every=steps // SPANS,
        threads=case["threads"],
        precision=case["precision"],
        augmentation=case["augmentation"],
    )
    ranks = join(config.device)
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    episodes, report = read_episodes(bags)
    split = split_episodes(episodes, report.spec, config)
    fit_world_model(WorldModel(config.model, split.spec), split, folder, config, "speed", ranks)
    ranks.leave()


def measure(case: dict, bags: list[Path], steps: int) -> dict:
    """The figures of one case; JepaError where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc_per_node", str(case["processes"]), __file__, "--steps", str(steps)]
        command += ["--bags", *map(str, bags), "--case", json.dumps(case), "--folder", folder]
        ended = subprocess.run(command, capture_output=True, text=True)
        if ended.returncode != 0:
            raise JepaError(f"training in {case} ended with {ended.returncode}:\n{ended.stderr[-4000:]}")
        rows = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()][1:]
    speed, share = (statistics.median(r[name] for r in rows) for name in ("images_per_second", "data_share"))
    return {**case, "images_per_second": round(speed, 1), "data_share": round(share, 4), "spans": len(rows)}


def table(found: dict) -> str:
    """The figures as Markdown."""
    machine = found["machine"]
    before, after = found["load_average_before"][0], found["load_average_after"][0]
    return "\n".join(
        [
            "# Training speed",
            "",
            f"`{found['command']}`: {machine['processor']}, {machine['cores']} cores, load average {before:g} before and "
            f"{after:g} after, {found['measured']}, commit {found['commit'][:12]}. 64x64 images, encoder `conv`; a step "
            f"takes {found['images_per_step']} images, of all processes together. Bars: at least "
            f"{LEAST_IMAGES_PER_SECOND} images/s, input pipeline under {MOST_DATA_SHARE:.0%} of a step.",
            "",
            "| processes x threads | precision | augmentation | images/s | input pipeline | within both bars |",
            "|---|---|---|---|---|---|",
            *(
                f"| {row['processes']} x {row['threads']} | {row['precision']} | {row['augmentation']} | "
                f"{row['images_per_second']:.0f} | {row['data_share']:.1%} | {'yes' if _within(row) else '**no**'} |"
                for row in found["rows"]
            ),
            "",
        ]
    )


def _within(row: dict) -> bool:
    fast = row["images_per_second"] >= LEAST_IMAGES_PER_SECOND
    return fast and row["data_share"] < MOST_DATA_SHARE


def collected(folder: Path, episodes: int) -> Path:
    """Bags of simulated reaching, recorded into the folder."""
    command = [sys.executable, "-m", "jepa_ros.cli.main", "collect", "--task", "reach"]
    subprocess.run([*command, "--episodes", str(episodes), "--out", str(folder)], check=True)
    return folder


def main() -> None:
    """Measure every case; print, and write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bags", nargs="+", type=Path, metavar="DIR", help="of 64x64 images; else collected")
    parser.add_argument("--episodes", type=int, default=40, help="collected where no bags are given")
    parser.add_argument("--steps", type=int, default=120, help=f"of each case, at least {2 * SPANS}")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="where the figures go; FILE.md has the table"
    )
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.steps < 2 * SPANS:
        parser.error(f"--steps is {arguments.steps}; at least {2 * SPANS} are needed")
    if arguments.case:
        train(arguments.case, arguments.bags, arguments.steps, arguments.folder)
        return
    from jepa_ros.training.config import TrainingConfig

    with tempfile.TemporaryDirectory() as folder:
        bags = arguments.bags or [collected(Path(folder) / "bags", arguments.episodes)]
        found = {
            "command": command_line("benchmarks/training_speed.py", None),
            "bags": "given" if arguments.bags else f"jepa collect --episodes {arguments.episodes}",
            **where_and_when(),
            "images_per_step": TrainingConfig.batch * TrainingConfig.clip,
            "bars": {"images_per_second": LEAST_IMAGES_PER_SECOND, "data_share": MOST_DATA_SHARE},
            "rows": [],
        }
        for case in CASES:
            found["rows"].append(measure(case, bags, arguments.steps))
            print(json.dumps(found["rows"][-1]), flush=True)
    found["load_average_after"] = [round(load, 2) for load in os.getloadavg()]
    print(table(found))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
        arguments.json.with_suffix(".md").write_text(table(found))


if __name__ == "__main__":
    main()
