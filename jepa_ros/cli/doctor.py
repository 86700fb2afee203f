"""`jepa doctor`: what is wrong, before the arm moves."""

import argparse
import json
import sys
from pathlib import Path

from jepa_ros.cli.checkpoint_options import add_checkpoint_options
from jepa_ros.cli.checks import needs_ros, require_positive
from jepa_ros.errors import JepaError

_TOPICS = {
    "image": "camera image (compressed: this and /compressed)",
    "joint_state": "sensor_msgs/JointState of the arm",
    "robot_description": "URDF as std_msgs/String, for a workspace",
    "command": "what the arm's controller listens to",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jepa doctor`, named as the launch arguments."""
    parser.epilog = (
        "Works with the graph running, or with the driver and the camera alone; it only listens. Exit status: 0 without "
        "errors (there may be warnings), 1 with errors, 2 for a wrong command line or file."
    )
    parser.add_argument("--namespace", default="jepa", help="of the graph")
    parser.add_argument(
        "--robot",
        default="",
        help="a preset in config/robots/ (so101, ur5e, panda), or a YAML file; empty: the simulated SO-101",
    )
    add_checkpoint_options(parser)
    parser.add_argument(
        "--device",
        default="",
        help="cpu, cuda, cuda:0: where the model computes; empty: as the parameters say",
    )
    parser.add_argument("--params-file", metavar="FILE", help="YAML that adds to the robot's parameters")
    for role, words in _TOPICS.items():
        parser.add_argument(
            f"--{role.replace('_', '-')}-topic",
            default="",
            metavar="NAME",
            help=f"{words}; empty: as the robot's preset says",
        )
    parser.add_argument(
        "--output-type",
        default="",
        choices=("", "trajectory", "commands", "twist_cmds"),
        help="what goes to the command topic; empty: what the parameters say",
    )
    parser.add_argument("--use-sim-time", action="store_true", help="the nodes take time from /clock")
    parser.add_argument(
        "--timeout", type=float, default=5.0, metavar="S", help="longest discovery, and longest listening"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write findings and figures there")
    parser.add_argument(
        "--picture",
        type=Path,
        default=Path("doctor_view.png"),
        metavar="FILE",
        help="the camera's view beside the checkpoint's",
    )
    parser.add_argument("--quiet", action="store_true", help="warnings and errors only")


def run(args: argparse.Namespace) -> int:
    """Listen, judge, print; see the epilog for the exit status."""
    require_positive(args, "timeout")
    with needs_ros("doctor"):
        from jepa_ros.nodes.bringup.graph import Graph
        from jepa_ros.nodes.bringup.preset import read_preset
        from jepa_ros.nodes.doctor.examine import examine
        from jepa_ros.nodes.doctor.finding import Level
    preset = read_preset(args.robot).bringup
    topics = {f"{role}_topic": getattr(args, f"{role}_topic") for role in _TOPICS}
    graph = Graph(
        args.namespace,
        robot=args.robot,
        checkpoint=args.checkpoint,
        checkpoint_sha256=args.sha256,
        device=args.device,
        params_file=args.params_file,
        use_sim_time=args.use_sim_time,
        simulator=False,
        output_type=args.output_type,
        **{name: topic or preset.get(name, "") for name, topic in topics.items()},
    )
    print(f"listening for at most {2 * args.timeout:g} s ...", file=sys.stderr, flush=True)
    lowest = Level.WARN if args.quiet else Level.OK
    found = examine(graph, args.timeout, args.picture, lambda findings: _print(findings, lowest))
    if args.json:
        try:
            args.json.write_text(json.dumps(found.to_dict(), indent=2) + "\n")
        except OSError as error:
            raise JepaError(f"--json {args.json}: {error.strerror}") from error
    errors, warnings = found.count(Level.ERROR), found.count(Level.WARN)
    if found.picture:
        print(f"\nview: {found.picture}")
    print(
        f"\n{_count(errors, 'error')}, {_count(warnings, 'warning')}"
        if errors or warnings
        else "\nall is well"
    )
    return int(errors > 0)


def _print(findings, lowest) -> None:
    shown = [finding for finding in findings if finding.level >= lowest]
    if shown:
        print(f"\n{findings.check}")
    for finding in shown:
        print(f"  {finding.level.name if finding.level else 'ok':5}  {finding.where}: {finding.what}")
        if finding.do:
            print(f"         -> {finding.do}")
    sys.stdout.flush()


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
