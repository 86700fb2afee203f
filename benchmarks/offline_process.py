"""`jepa offline` in a process of its own, with its time and its memory."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from jepa_ros.errors import JepaError
from jepa_ros.evaluation.provenance import libraries, machine, source_commit

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = ROOT / "models" / "reach"
SAMPLE_S = 0.1


@dataclass(frozen=True)
class Measured:
    """One run. seconds: wall clock from start to end of the process.  cpu_seconds: of all its threads.

    result: what --json gave.
    memory: (seconds since the start, MB) of the process and its children together, sampled.
    peak_mb: the most of them, or of what the system counted for the largest process.
    """

    seconds: float
    cpu_seconds: float
    result: dict
    memory: list[tuple[float, float]]
    peak_mb: float


def run_offline(bag: Path) -> Measured:
    """Evaluate the shipped checkpoint on a bag with default settings, report included; JepaError on error."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        command = [sys.executable, "-m", "jepa_ros.cli.main", "offline", "--bags", str(bag)]
        command += [
            "--checkpoint",
            str(CHECKPOINT),
            "--report",
            str(Path(folder) / "report"),
            "--json",
            str(out),
        ]
        with open(Path(folder) / "log", "w+") as log:
            began, memory = time.perf_counter(), []
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)
            while True:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                resident = _resident_mb(process.pid)
                if resident:  # nothing: it ended in between
                    memory.append((round(time.perf_counter() - began, 2), round(resident, 1)))
                time.sleep(SAMPLE_S)
            seconds = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            log.seek(0)
            if process.returncode != 0:
                raise JepaError(f"{' '.join(command)} ended with {process.returncode}:\n{log.read()[-4000:]}")
        peak = max(usage.ru_maxrss / 1e3, *(mb for _, mb in memory))
        cpu = usage.ru_utime + usage.ru_stime
        return Measured(seconds, round(cpu, 2), json.loads(out.read_text()), memory, round(peak, 1))


def where_and_when() -> dict:
    """What a figure depends on, for its file."""
    return {
        "machine": machine(),
        "load_average_before": [round(load, 2) for load in os.getloadavg()],
        "libraries": libraries(),
        "commit": source_commit(),
        "measured": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def folder_megabytes(path: Path) -> float:
    """MB of the files in a bag's folder."""
    return round(sum(f.stat().st_size for f in path.iterdir()) / 1e6, 1)


def _resident_mb(pid: int) -> float:
    """Resident memory of a process and its descendants; a page that two of them share counts twice."""
    total = 0.0
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
        total = int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                total += _resident_mb(int(child))
    except (OSError, IndexError):  # it ended in between
        pass
    return total
