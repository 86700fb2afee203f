"""`jepa bench`: how fast this machine encodes, imagines, plans and commands, and how that grows."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from jepa_ros.cli.checkpoint_options import add_checkpoint_options
from jepa_ros.cli.checks import needs_ros, require_positive
from jepa_ros.errors import JepaError

PARTS = ("encode", "rollout", "plan", "graph", "growth", "memory", "selective", "speeds")
RUNTIMES = ("all", "torch", "onnx")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jepa bench`."""
    parser.epilog = (
        "Close other programs first: the load average is in the result. Exit status: 0 whatever the figures are, 1 if a "
        "part failed, 2 for an error. docs/bench.md says what each row is."
    )
    add_checkpoint_options(parser)
    parser.add_argument("--parts", default=",".join(PARTS), metavar="LIST", help="what to measure")
    parser.add_argument(
        "--quick", action="store_true", help="fewer sizes and rounds: under a minute, figures are rough"
    )
    parser.add_argument(
        "--runtime",
        choices=RUNTIMES,
        default="all",
        help="what computes the model; all: every one that is there, taking turns; the graph then runs its default",
    )
    parser.add_argument(
        "--goals", type=int, metavar="N", help="through the graph, per composition (default: 6)"
    )
    parser.add_argument(
        "--episodes",
        type=int,
        metavar="N",
        help="of selective work and two speeds, per way of working (default: 20)",
    )
    parser.add_argument("--device", default="cpu", help="where torch computes: cpu, cuda, cuda:0")
    parser.add_argument("--threads", type=int, default=1, help="of torch and ONNX Runtime in this process")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("bench_output"),
        metavar="DIR",
        help="where bench.json, bench.md, bench.png and growth.png go",
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print the bars, write the files."""
    require_positive(args, "threads", "goals", "episodes")
    parts = chosen_parts(args.parts)
    from jepa_ros.evaluation import provenance
    from jepa_ros.evaluation.bench import bars, origin, plots, tables
    from jepa_ros.evaluation.bench.bench import open_bench
    from jepa_ros.evaluation.bench.effort import FULL, QUICK
    from jepa_ros.evaluation.report import require_writable, write_json, write_text
    from jepa_ros.nodes.bringup.files import find_checkpoint
    from jepa_ros.world_model.trust import require_digest

    checkpoint = find_checkpoint(args.checkpoint)
    require_digest(checkpoint, args.sha256)
    for name in ("bench.json", "bench.md", "bench.png", "growth.png"):
        require_writable(args.out / name)
    runtimes = () if args.runtime == "all" else (args.runtime,)
    given = {name: getattr(args, name) for name in ("goals", "episodes") if getattr(args, name)}
    effort = replace(QUICK if args.quick else FULL, **given)
    began, before = time.monotonic(), origin.load_average()
    with open_bench(checkpoint, runtimes, args.device, args.threads, effort) as (bench, left_out):
        print(f"checkpoint {checkpoint.name}, runtimes {', '.join(bench.subjects)}, {args.threads} thread(s)")
        measured, failed = _measure_all(parts, bench, left_out, args)
        subject = _subject(bench)
    machine = origin.machine(args.device)
    content = {
        "command": command(args),
        "quick": args.quick,
        "bars": [bar.to_dict() for bar in bars.bars(measured, machine)],
        **subject,
        "threads": args.threads,
        "device": args.device,
        "parts": measured,
        "left_out": left_out,
        "load_average": {"before": before, "after": origin.load_average()},
        "wall_seconds": round(time.monotonic() - began, 1),
        "machine": machine,
        "libraries": provenance.libraries(),
        "commit": provenance.source_commit(),
    }
    write_json(args.out / "bench.json", content)
    write_text(args.out / "bench.md", tables.page(content))
    pictures = plots.draw_all(args.out, content)
    print(f"\n{tables.bars_table(content)}\n")
    print(f"wrote {args.out}/: {', '.join(['bench.json', 'bench.md', *(path.name for path in pictures)])}")
    return int(failed)


def chosen_parts(text: str) -> list[str]:
    """A comma-separated list -> names, in the order in which they run; JepaError for unknown names and for none."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in PARTS]
    if unknown or not names:
        raise JepaError(
            f"--parts {text!r}: unknown {', '.join(unknown) or 'nothing'}; choose of {', '.join(PARTS)}"
        )
    return [name for name in PARTS if name in names]


def command(args: argparse.Namespace) -> str:
    """What to type for the same run, without where its files went."""
    words = ["jepa", "bench"]
    if args.checkpoint != "reach":
        words += ["--checkpoint", Path(args.checkpoint).name]
    if args.parts != ",".join(PARTS):
        words += ["--parts", args.parts]
    words += ["--quick"] * args.quick
    usual = {"runtime": "all", "goals": None, "episodes": None, "device": "cpu", "threads": 1}
    for name, default in usual.items():
        if getattr(args, name) != default:
            words += [f"--{name}", str(getattr(args, name))]
    return " ".join(words)


def _measure_all(
    parts: list[str], bench, left_out: dict[str, str], args: argparse.Namespace
) -> tuple[dict[str, dict], bool]:
    """The parts by name, and whether one failed. What could not be measured goes to ``left_out`` with the reason; what
    was measured before it is kept."""
    from jepa_ros.evaluation.bench.bench import NotHere

    measured, failed = {}, False
    for part in parts:
        since = time.monotonic()
        print(f"{part} ...", flush=True)
        try:
            measured[part] = _measure(part, bench, args)
            print(f"  {time.monotonic() - since:.0f} s", flush=True)
        except NotHere as error:
            left_out[part] = str(error)
            print(f"  left out: {error}", flush=True)
        except JepaError as error:
            left_out[part], failed = "it failed", True
            print(f"error: {part}: {error}", file=sys.stderr, flush=True)
    return measured, failed


def _measure(part: str, bench, args: argparse.Namespace) -> dict:
    import importlib

    if part != "graph":
        return importlib.import_module(f"jepa_ros.evaluation.bench.{part}").measure(bench)
    from jepa_ros.evaluation.bench.bench import NotHere

    try:
        with needs_ros("bench --parts graph"):
            from jepa_ros.nodes.bench import image_to_command
    except JepaError as error:
        raise NotHere(str(error)) from error
    runtime = "auto" if args.runtime == "all" else args.runtime
    return image_to_command.measure(
        bench.settings.checkpoint, bench.effort, runtime, args.device, lambda text: print(text, flush=True)
    )


def _subject(bench) -> dict:
    model = bench.any_subject.model
    return {
        "checkpoint": {
            "name": bench.settings.checkpoint.name,
            "model_id": bench.model_id,
            "latent_dim": model.latent_dim,
            "image_size": list(model.image_size),
        },
        "runtimes": list(bench.subjects),
        "planner": bench.planner.to_dict(),
    }
