"""Options of commands that run a checkpoint: which one, and whether any other is refused."""

import argparse


def add_checkpoint_options(parser: argparse.ArgumentParser) -> None:
    """--checkpoint, a folder or a shipped model's name, and --sha256."""
    parser.add_argument(
        "--checkpoint",
        default="reach",
        metavar="CKPT",
        help="a directory that `jepa train --out` wrote, or the name of a model in models/",
    )
    add_sha256_option(parser)


def add_sha256_option(parser: argparse.ArgumentParser) -> None:
    """--sha256."""
    parser.add_argument(
        "--sha256",
        default="",
        metavar="HEX",
        help="refuse any other checkpoint than the one whose model.safetensors has this sha256",
    )
