"""`jepa export`: a checkpoint in, ONNX files that run without torch out."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jepa export`."""
    parser.add_argument(
        "--checkpoint", required=True, type=Path, metavar="CKPT", help="the checkpoint directory"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="a folder to make, with the weights inside (default: into the checkpoint, beside its weights)",
    )
    parser.add_argument(
        "--horizon",
        type=int,
        default=5,
        metavar="H",
        help="blocks of the whole rollout; other horizons go block by block",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-4,
        help="greatest |onnx - torch| / max(1, |torch|); nothing is written where they differ more",
    )


def run(args: argparse.Namespace) -> int:
    """Export, verify, print what was reached."""
    from jepa_ros.export.writer import export_checkpoint
    from jepa_ros.world_model.checkpoint import load_checkpoint

    manifest = export_checkpoint(load_checkpoint(args.checkpoint), args.out, args.horizon, args.tolerance)
    for entry in manifest["files"].values():
        print(f"{entry['file']:16s}{entry['bytes'] / 1e6:8.2f} MB   {_axes(entry)}")
    verified = manifest["verified"]
    reached = ", ".join(f"{graph} {value:.1e}" for graph, value in verified["reached"].items())
    print(f"equal to torch within {verified['tolerance']:g} on {verified['images']} images: {reached}")
    if "rendered" not in verified["images"]:
        print("no rendered images among them: nothing can render on this machine")
    print(f"export: {args.out or args.checkpoint}")
    return 0


def _axes(entry: dict) -> str:
    return " -> ".join(
        " ".join(f"{name}({', '.join(map(str, value['shape']))})" for name, value in entry[side].items())
        for side in ("inputs", "outputs")
    )
