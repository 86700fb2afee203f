"""Peak resident memory of a process, as Linux counts it."""

from pathlib import Path


def peak_mib(pid: int | str = "self") -> float | None:
    """MiB since the process began, or since ``forget_peak``; None where it ended, or where the system has no /proc."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024, 1)
    return None


def forget_peak() -> None:
    """From now on the peak of this process is what it has now, or more."""
    Path("/proc/self/clear_refs").write_text("5")
