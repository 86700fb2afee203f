"""Breaks the running simulator graph in twelve ways, and judges what the arm does.

    python benchmarks/fault_injection.py --repeats 10 --json docs/results/fault_injection.json

The graph runs as a process per node with the limits and watchdogs of config/so101.yaml, disarmed at its start as on
hardware. In every trial a fault strikes while the arm moves towards a goal. Bars of every trial:

- no command beyond a limit: every message that the guard publishes is judged (command_audit.py), and none is missed;
- the arm, as the simulator measures it before anything is relayed, rests at the latest 0.5 s after the limit of the
  watchdog that sees the fault (0 where it is refused at once, or the guard itself is killed). Where the graph need not
  stop (a refused parameter, late or lost messages, an error that no check of a plan can see) the arm goes on within its
  limits, or is held with a reason;
- the reason is published: in SafetyStatus, PlannerStatus or diagnostics, or in the answer to who asked;
- when the cause is gone a new goal moves the arm again. Nothing is armed anew, but where ``operator`` says so.

Streams are stopped, delayed, thinned and spoilt by a relay between arm, graph and guard (faults/relay.py). The result
is written after every trial. Exit status 1 where a bar was missed.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from faults.bench import Bench, bench, episodes
from faults.catalogue import FAULTS, Fault
from faults.judge import AT_REST
from faults.trial import GRACE_S, Outcome, attempt

from jepa_ros.evaluation import provenance
from jepa_ros.evaluation.report import write_json
from jepa_ros.evaluation.statistics import percentile
from jepa_ros.nodes.bringup.files import find_checkpoint
from jepa_ros.nodes.live_graph import isolate

EPISODES = 20
LATEST = 15  # joint_states in which the arm has moved when the fault strikes


class Graphs:
    """One graph at a time, brought up anew where another kind is wanted or the last one was spoilt."""

    def __init__(self, logs: Path, seed: int):
        self._logs, self._seed, self._stack, self._bench = logs, seed, ExitStack(), None
        self._simulated_time = None

    def get(self, simulated_time: bool) -> Bench:
        """A running graph."""
        if self._bench is None or self._simulated_time != simulated_time:
            self.close()
            self._logs.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="graph_", dir=self._logs))
            checkpoint = shutil.copytree(find_checkpoint("reach"), folder / "checkpoint")
            self._bench = self._stack.enter_context(bench(folder, checkpoint, simulated_time, self._seed))
            self._simulated_time = simulated_time
        return self._bench

    def close(self) -> None:
        """End the graph."""
        self._bench = None
        self._stack.close()


def row(fault: Fault, trials: list[Outcome]) -> dict:
    """The figures of one fault."""
    rests = [t.rest_s for t in trials if t.rest_s is not None]
    late = [t.rest_s - t.detection_limit_s for t in trials if t.rest_s is not None]
    return {
        "fault": fault.name,
        "what": fault.__doc__,
        "watchdogs": {v: fault.watchdog(v) or "none" for v in fault.variants},
        "detection_limit_s": sorted({t.detection_limit_s for t in trials}),
        "operator": fault.operator,
        "trials": len(trials),
        "kept": sum(t.kept for t in trials),
        "commands": sum(t.commands for t in trials),
        "missed_commands": sum(t.missed for t in trials),
        "violations": sum(len(t.violations) for t in trials),
        "must_rest": sum(t.must_rest for t in trials),
        "in_time": sum(t.in_time for t in trials),
        "rest_s": {"p50": percentile(rests, 50), "max": max(rests, default=None)},
        "rest_after_detection_limit_s_max": max(late, default=None),
        "went_on": sum(t.went_on for t in trials),
        "reason_published": sum(t.reason_published for t in trials),
        "reasons": {
            name: sum(name in t.reasons for t in trials)
            for name in sorted({n for t in trials for n in t.reasons})
        },
        "recovered": sum(t.recovered for t in trials),
        "recovery_s_max": max((t.recovery_s for t in trials if t.recovery_s is not None), default=None),
    }


def result(args: argparse.Namespace, outcomes: list[Outcome], wall_s: float, logs: Path) -> dict:
    """What is written; nodes' words name files without the folder of this machine."""
    found = {
        "kept": sum(o.kept for o in outcomes),
        "trials": len(outcomes),
        "commands": sum(o.commands for o in outcomes),
        "violations": sum(len(o.violations) for o in outcomes),
        "settings": {
            "repeats": args.repeats,
            "seed": args.seed,
            "at_rest_rad_s": AT_REST,
            "grace_s": GRACE_S,
        },
        "faults": [row(f, found) for f in FAULTS if (found := [o for o in outcomes if o.fault == f.name])],
        "all_trials": [o.to_dict() for o in outcomes],
        "wall_seconds": round(wall_s, 1),
        "machine": provenance.machine(),
        "commit": COMMIT,
    }
    return json.loads(json.dumps(found).replace(f"{logs}/", ""))


COMMIT = provenance.source_commit()


def said(outcome: Outcome) -> str:
    """One line."""
    rest = "-" if outcome.rest_s is None else f"{outcome.rest_s:.2f}"
    recovery = "none" if outcome.recovery_s is None else f"{outcome.recovery_s:.1f}"
    return (
        f"{'kept  ' if outcome.kept else 'MISSED'} {outcome.fault} {outcome.variant}: {outcome.commands} commands, "
        f"{len(outcome.violations)} violations, rest {rest} s of {outcome.detection_limit_s + GRACE_S:g}, "
        f"{'; '.join(f'{name} {at:.2f}' for name, (at, _) in outcome.reasons.items()) or 'no reason'}, "
        f"recovery {recovery} s{' went on' * outcome.went_on} {outcome.error} {' '.join(outcome.violations[:2])}"
    )


def choose(parser: argparse.ArgumentParser, words: str) -> dict[Fault, tuple[str, ...]]:
    """ "NAME,NAME:VARIANT" -> fault to the variants to take in turn."""
    known, chosen = {fault.name: fault for fault in FAULTS}, {}
    for word in words.split(","):
        name, _, variant = word.partition(":")
        if name not in known or (variant and variant not in known[name].variants):
            ways = (f"{fault.name} ({'; '.join(fault.variants)})" for fault in FAULTS)
            parser.error(f"no fault {word!r}; there are:\n" + "\n".join(ways))
        chosen[known[name]] = (variant,) if variant else known[name].variants
    return chosen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument(
        "--faults",
        default=",".join(f.name for f in FAULTS),
        help="names, with commas; NAME:VARIANT for one variant",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--logs", type=Path, help="folder for the nodes' logs; default: a temporary one")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    chosen = choose(parser, args.faults)
    rng, began = np.random.default_rng(args.seed), time.monotonic()
    scenes, outcomes = episodes(EPISODES, args.seed), []
    logs = args.logs or Path(tempfile.mkdtemp(prefix="jepa_ros_faults_"))
    print(f"logs: {logs}", file=sys.stderr)
    isolate()
    graphs = Graphs(logs, args.seed)
    try:
        for fault, variants in chosen.items():
            for i in range(args.repeats):
                variant = variants[i % len(variants)]
                graph, scene = graphs.get(fault.simulated_time), scenes[rng.integers(EPISODES)]
                outcome = attempt(graph, fault, variant, scene, int(rng.integers(1, LATEST + 1)))
                outcomes.append(outcome)
                print(f"{time.monotonic() - began:6.1f} s {said(outcome)}", flush=True)
                if not outcome.recovered:
                    graphs.close()
                if args.json:
                    write_json(args.json, result(args, outcomes, time.monotonic() - began, logs))
    finally:
        graphs.close()
    found = result(args, outcomes, time.monotonic() - began, logs)
    print(json.dumps({key: found[key] for key in ("kept", "trials", "commands", "violations")}))
    return 0 if found["kept"] == found["trials"] else 1


if __name__ == "__main__":
    sys.exit(main())
