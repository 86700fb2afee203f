"""Starts the processes of a graph, watches them, keeps their logs, and stops them in order. No ROS import
here."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from jepa_ros.errors import JepaError
from jepa_ros.nodes.bringup.graph import Graph, Process

_GRACE_S = 8.0
_TAIL = 15  # lines


class Bringup:
    """A context manager: on exit everything that was started has ended.

    Every process is in a session of its own, so a Ctrl-C in the terminal reaches only the caller, who stops
    them in order: planner first, then the action publisher, which holds the arm, the simulator last. Where the
    caller is killed they end by themselves, because their standard input closes.
    """

    def __init__(self, graph: Graph, log_folder: Path):
        self.graph, self.log_folder = graph, Path(log_folder)
        self._processes: dict[str, Process] = {}
        self._running: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> "Bringup":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def start(self) -> None:
        """Start every process; returns at once."""
        self._processes = {p.executable: p for p in self.graph.processes(self.log_folder)}
        for name in self._processes:
            self.start_one(name)

    def start_one(self, name: str) -> None:
        """Start one process (again); its log file is appended to."""
        process = self._processes[name]
        environment = os.environ | {
            "PYTHONUNBUFFERED": "1",
            "JEPA_ROS_END_WITH_STDIN": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
            "RCUTILS_COLORIZED_OUTPUT": "0",
        }
        with open(self.log_path(name), "ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", f"jepa_ros.nodes.{name}", *process.arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def stop_one(self, name: str, signum: int = signal.SIGINT) -> int:
        """Signal one process and wait for its end; returns its exit code."""
        process = self._running[name]
        if process.poll() is None:
            process.send_signal(signum)
        return self._wait(process)

    def stop(self) -> None:
        """End all processes, in the reverse order of starting; their first reaction is awaited before the
        next."""
        for name in reversed(list(self._running)):
            self.stop_one(name)

    @property
    def pids(self) -> dict[str, int]:
        """Name of every process that was started to its id."""
        return {name: process.pid for name, process in self._running.items()}

    @property
    def exit_codes(self) -> dict[str, int | None]:
        """Name of every process that was started to its exit code; None while it runs."""
        return {name: process.poll() for name, process in self._running.items()}

    def check(self) -> None:
        """Raise JepaError with the end of its log where a process has ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise JepaError(
                    f"process {name} ended with exit code {process.returncode}; "
                    f"its log {self.log_path(name)} "
                    f"ends:\n{self.log_tail(name)}"
                )

    def log_path(self, name: str) -> Path:
        """The log file of a process."""
        return self.log_folder / f"{name}.log"

    def log_tail(self, node: str) -> str:
        """The last lines that the process of a node (or of that name) wrote."""
        name = next(
            (p.executable for p in self._processes.values() if node in (p.executable, *p.nodes)), node
        )
        path = self.log_path(name)
        return "\n".join(path.read_text(errors="replace").splitlines()[-_TAIL:]) if path.is_file() else ""

    @staticmethod
    def _wait(process: subprocess.Popen) -> int:
        for signum in (signal.SIGTERM, signal.SIGKILL):
            try:
                process.wait(_GRACE_S)
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signum)
        process.stdin.close()
        return process.wait()
