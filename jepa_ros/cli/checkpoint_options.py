"""Options of commands that run a checkpoint: which one, whether any other is refused, what computes it."""

import argparse

from jepa_ros.export.runtimes import RUNTIMES


def add_checkpoint_options(
    parser: argparse.ArgumentParser, default: str | None = "reach", note: str = ""
) -> None:
    """--checkpoint, a folder or a shipped model's name, and --sha256.  note: says more of it in the help."""
    parser.add_argument(
        "--checkpoint",
        default=default,
        metavar="CKPT",
        help=f"a directory that `jepa train --out` wrote, or the name of a model in models/{note}",
    )
    add_sha256_option(parser)


def add_sha256_option(parser: argparse.ArgumentParser) -> None:
    """--sha256."""
    parser.add_argument(
        "--sha256",
        default="",
        metavar="HEX",
        help="refuse any other checkpoint than the one whose model.safetensors has this sha256; heads are used where theirs "
        "follows after a comma",
    )


def add_runtime_option(parser: argparse.ArgumentParser) -> None:
    """--runtime, the nodes' parameter of that name."""
    parser.add_argument(
        "--runtime",
        choices=RUNTIMES,
        default="auto",
        help="what computes the model: torch, or onnx (ONNX Runtime); auto, as in the nodes, is onnx on a CPU, and torch "
        "where that cannot be",
    )
