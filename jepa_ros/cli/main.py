"""The `jepa` command: one module per sub-command, imported only when it is the one asked for."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

from jepa_ros.errors import JepaError

COMMANDS = {
    "collect": "record simulated episodes as MCAP rosbags",
    "train": "train a world model from rosbags",
    "evaluate": "measure closed-loop success without ROS, beside baselines",
    "bench": "measure how fast this machine encodes, imagines, plans and commands, and how that grows",
    "demo": "bring up the ROS graph and drive the arm to a goal image",
    "record": "record the live graph's topics as an MCAP rosbag",
    "replay": "play a bag's camera and joints into the live graph, never onto a robot's command topics",
    "offline": "evaluate checkpoints on recorded bags and write a report",
    "heads": "train a checkpoint's heads: temporal distance, value, policy",
    "calibrate": "measure what is normal for a checkpoint: latent statistics, surprise thresholds",
    "export": "write a checkpoint as ONNX files that run without torch, verified against torch",
    "convert": "turn bags into a LeRobot dataset, or a LeRobot dataset into bags",
    "doctor": "check topics, joints, clock, checkpoint and camera view before a run, and say what to do",
    "lifecycle": "configure, activate and stop the nodes of a running graph by hand",
}
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


def package_version() -> str:
    """The version in package.xml (source tree or ROS installation), else of the installed distribution."""
    import re

    for parent in Path(__file__).resolve().parents[2:7]:
        for manifest in (parent / "package.xml", parent / "share" / "jepa_ros" / "package.xml"):
            if manifest.is_file():
                text = manifest.read_text(encoding="utf-8")
                if re.search(r"<name>\s*jepa_ros\s*</name>", text):
                    found = re.search(r"<version>\s*([^<\s]+)\s*</version>", text)
                    if found:
                        return found.group(1)
    from importlib import metadata

    try:
        return metadata.version("jepa_ros")
    except metadata.PackageNotFoundError:
        return "unknown"


class _Version(argparse.Action):
    """`--version`, looked up only when asked for."""

    def __init__(self, option_strings, dest, **kwargs):
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit", **kwargs)

    def __call__(self, parser, namespace, values, option_string=None):
        print(f"jepa_ros {package_version()}")
        parser.exit()


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, where there is one to show."""

    def _get_help_string(self, action):
        return action.help if action.default in (None, False, []) else super()._get_help_string(action)


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser; the options of `command` alone are filled in, so no other module is imported."""
    parser = argparse.ArgumentParser(
        prog="jepa",
        description="Drive a robot arm to a goal image with a JEPA world model.",
        epilog="`jepa COMMAND --help` shows the options of one command.",
    )
    parser.add_argument("--version", action=_Version, dest=argparse.SUPPRESS, default=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            formatter_class=_HelpFormatter,
        )
        if name == command:
            module = importlib.import_module(f"jepa_ros.cli.{name}")
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 not reached, 2 user error, 130 Ctrl-C."""
    argv = list(sys.argv[1:] if argv is None else argv)
    command = next((word for word in argv if not word.startswith("-")), None)
    try:
        args = build_parser(command).parse_args(argv)
        return int(args.run(args) or 0)
    except JepaError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `jepa ... | head`: the reader left, nothing more to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
