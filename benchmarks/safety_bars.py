"""The table of safety bars: what was asked, beside what the result files in docs/results/ say."""

import json
from collections.abc import Callable
from pathlib import Path

NOT_MEASURED = "not measured"


def faults(found: dict) -> tuple[str, bool]:
    """fault_injection.json."""
    rows = found["faults"]
    late = [row["rest_after_detection_limit_s_max"] for row in rows]
    latest = max((v for v in late if v is not None), default=None)
    missed = [f"{row['fault']} {row['trials'] - row['kept']}" for row in rows if row["kept"] < row["trials"]]
    text = (
        f"{found['kept']} of {found['trials']} trials of {len(rows)} faults; {found['commands']} commands, "
    )
    text += f"{found['violations']} beyond a limit"
    if latest is not None:
        text += f"; at rest at the latest {latest:.2f} s after the detection limit"
    complete = len(rows) >= 12 and all(row["trials"] >= 10 for row in rows)
    return text + (f"; missed: {', '.join(missed)}" if missed else ""), complete and not missed


def estop(found: dict) -> tuple[str, bool]:
    """estop.json."""
    last, rest = found["call_to_last_motion_ms"], found["call_to_arm_at_rest_ms"]
    text = (
        f"p50 {last['p50']:.0f}, p99 {last['p99']:.0f}, longest {last['p100']:.0f} ms of {found['repeats']} stops at "
        f"{found['speed_rad_s']['p50']:.1f} rad/s, from the call; simulated arm at rest after p50 {rest['p50']:.0f} ms"
    )
    return text, found["kept"] and found["repeats"] >= 200


def fuzz(found: dict) -> tuple[str, bool]:
    """guard_fuzz.json."""
    text = f"{found['plans']} plans, {found['commands']} commands, {len(found['found'])} findings"
    return text, found["plans"] >= 1_000_000 and not found["found"]


def jitter(found: dict) -> tuple[str, bool]:
    """guard_jitter.json."""
    rows = [found["planner_at_full_load"], found["and_a_busy_process_per_core"]]
    calm, harder = (row["jitter_sent_ms"] for row in rows)
    text = (
        f"p50 {calm['p50']:.1f}, p99 {calm['p99']:.1f}, longest {calm['p100']:.1f} ms of {rows[0]['intervals']} periods; with "
        f"a busy process per core besides: p99 {harder['p99']:.1f} ms"
    )
    return text, found["kept"] and rows[0]["intervals"] >= 3000


def soak(found: dict) -> tuple[str, bool]:
    """soak.json."""
    growth, goals = found["rss_growth_percent"], found["goals"]
    each = [v for name, v in growth.items() if name != "all" and v is not None]
    troubles = len(found["failures"]) + len(found["log_complaints"])
    text = (
        f"{found['minutes']:.0f} min, {goals['attempted']} goals, {found['commands']} commands: memory of a process "
        f"at most {max(each, default=float('nan')):+.1f} %, of all {growth['all'] or 0:+.1f} %; "
        f"{len(found['missed_watchdogs'])} watchdogs missed, {troubles} exceptions or errors, "
        f"{len(found['command_violations'])} commands beyond a limit"
    )
    return text, found["kept"] and found["minutes"] >= 60


def surprise(found: dict) -> tuple[str, bool]:
    """surprise.json."""
    held = {kind: row["held"] for kind, row in found["disturbed"].items()}
    alarms = found["normal"]["episodes_with"]["hold"]
    text = ", ".join(f"{kind.replace('_', ' ')} {v['count']} / {v['of']}" for kind, v in held.items())
    through = sum(row["reached_unheld"] for row in found["disturbed"].values())
    text += f" held; of the others {through} reached the goal all the same; normal runs held by mistake: {alarms['count']} / {alarms['of']}"
    return text, all(v["count"] == v["of"] for v in held.values()) and alarms["count"] == 0


BARS: tuple[tuple[str, str, Callable[[dict], tuple[str, bool]]], ...] = (
    (
        "12 faults, 10 times each: no command beyond a limit, at rest within 0.5 s of the detection limit, reason "
        "published, recovery",
        "fault_injection",
        faults,
    ),
    ("e-stop service to last motion command: p99 at most 50 ms at the publisher", "estop", estop),
    ("1,000,000 random and adversarial plans: no command beyond limits, no exception", "guard_fuzz", fuzz),
    (
        "publish period at 50 Hz beside a planner at full load: p99 jitter at most 10 ms, 2 cores",
        "guard_jitter",
        jitter,
    ),
    (
        "one hour with random goals: no growth of memory over 5 %, no missed watchdog, no unhandled exception",
        "soak",
        soak,
    ),
    (
        "moved camera, covered lens, hand, frozen image each lead to hold; normal runs do not",
        "surprise",
        surprise,
    ),
)


def table(results: Path) -> str:
    """Markdown. results: the folder of the JSON files; a missing one gives a row that says so."""
    lines = ["| bar | measured | kept | script |", "|---|---|---|---|"]
    for bar, name, read in BARS:
        path = results / f"{name}.json"
        text, kept = read(json.loads(path.read_text())) if path.is_file() else (NOT_MEASURED, None)
        verdict = {True: "yes", False: "**no**", None: ""}[kept]
        lines.append(f"| {bar} | {text} | {verdict} | `benchmarks/{name}.py` |")
    return "\n".join(lines)
