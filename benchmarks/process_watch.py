"""Memory, threads, open files and processor time of processes, from /proc; and what their logs complain about."""

import os
import re
from collections import Counter
from pathlib import Path

COMPLAINT = re.compile(
    rb"Traceback \(most recent call last\)|\[(ERROR|FATAL)\]|Segmentation fault|core dumped"
)
_WARNING = re.compile(rb"\[WARN(?:ING)?\] \[[\d.]+\] (.*)")
_TICKS = os.sysconf("SC_CLK_TCK")


def sample(pid: int) -> dict[str, float] | None:
    """rss_mib, pss_mib, uss_mib, threads, files, cpu_s; None where the process has ended."""
    try:
        fields = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        kib = {line.split(":")[0]: int(line.split()[1]) for line in fields}
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        files = len(os.listdir(f"/proc/{pid}/fd"))
    except (OSError, IndexError, ValueError):
        return None
    return {
        "rss_mib": kib["Rss"] / 1024,
        "pss_mib": kib["Pss"] / 1024,
        "uss_mib": (kib["Private_Clean"] + kib["Private_Dirty"]) / 1024,
        "threads": int(stat[17]),
        "files": files,
        "cpu_s": (int(stat[11]) + int(stat[12])) / _TICKS,
    }


class LogScan:
    """Reads what was added to log files; ``complaints`` holds lines of exceptions and errors, ``warnings`` counts
    the others by text, without their numbers."""

    def __init__(self, paths: dict[str, Path]):
        self._paths, self._read = paths, dict.fromkeys(paths, 0)
        self.complaints: list[str] = []
        self.warnings: Counter = Counter()

    def look(self) -> None:
        """Scan the whole lines that are new."""
        for name, path in self._paths.items():
            if not path.is_file():
                continue
            with path.open("rb") as log:
                log.seek(self._read[name])
                added = log.read()
            added = added[: added.rfind(b"\n") + 1]
            self._read[name] += len(added)
            for line in added.splitlines():
                if COMPLAINT.search(line) and len(self.complaints) < 100:
                    self.complaints.append(f"{name}: {line.decode(errors='replace')[:500]}")
                if warning := _WARNING.search(line):
                    words = re.sub(r"\d+(\.\d+)?", "#", warning[1].decode(errors="replace"))[:160]
                    self.warnings[f"{name}: {words}"] += 1
