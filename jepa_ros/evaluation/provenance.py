"""What it takes to repeat a measurement: versions, commit, machine."""

import importlib.metadata
import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path

LIBRARIES = ("numpy", "torch", "onnxruntime", "mujoco")


def source_commit() -> str:
    """The commit of the source tree, with "+" where files differ from it; "unknown" outside one."""

    def git(*words):
        try:
            return subprocess.run(
                ["git", "-C", str(Path(__file__).resolve().parent), *words],
                capture_output=True,
                text=True,
                timeout=10,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None

    head = git("rev-parse", "HEAD")
    if head is None or head.returncode != 0:
        return "unknown"
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/")
    return head.stdout.strip() + ("+" if changed is None or changed.stdout.strip() else "")


def today() -> str:
    """The date in UTC, such as 2026-11-21."""
    return datetime.now(timezone.utc).date().isoformat()


def machine() -> dict:
    """Processor, usable cores, memory in GiB, system and Python."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def libraries() -> dict[str, str]:
    """Versions of the libraries that the figures depend on."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
