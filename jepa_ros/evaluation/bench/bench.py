"""What the parts of a run share: the checkpoint's model by runtime, and models of other latent widths."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from jepa_ros.errors import JepaError
from jepa_ros.evaluation.bench.effort import Effort
from jepa_ros.evaluation.bench.subjects import Subject
from jepa_ros.export.choose import with_runtime
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.world_model.checkpoint import load_checkpoint, save_checkpoint
from jepa_ros.world_model.device import require_device
from jepa_ros.world_model.model import WorldModel


class NotHere(JepaError):
    """A part cannot be measured on this machine, or with this checkpoint."""


@dataclass(frozen=True)
class Settings:
    """checkpoint: its folder.  exported: the folder of its export, "" is its own.  runtimes: as ``with_runtime`` takes
    them.  folder: where models of other widths lie while the run lasts.  Another process gets this."""

    checkpoint: Path
    exported: str
    runtimes: tuple[str, ...]
    device: str
    threads: int
    folder: Path
    effort: Effort
    planner: PlannerConfig = PlannerConfig()


@dataclass
class Bench:
    """subjects: of the checkpoint's model, by the name of the runtime that computes it.  asked: that name to what was
    asked for, such as "auto".  model_id: the checkpoint's.  width: D of its model."""

    settings: Settings

    def __post_init__(self):
        torch.set_num_threads(self.settings.threads)
        self._wide: dict[int, dict[str, Subject]] = {}
        self.asked: dict[str, str] = {}
        self.subjects = self._load(self.settings.checkpoint, self.settings.exported)
        self.width = self.any_subject.model.latent_dim

    @property
    def effort(self) -> Effort:
        """How much is measured."""
        return self.settings.effort

    @property
    def planner(self) -> PlannerConfig:
        """The default settings."""
        return self.settings.planner

    @property
    def any_subject(self) -> Subject:
        """Where it does not matter which."""
        return next(iter(self.subjects.values()))

    def of_width(self, width: int) -> dict[str, Subject]:
        """Subjects of a model of that latent width, random weights unless it is the checkpoint's; of the runtimes that
        need no export where the effort has no time for it."""
        if width == self.width:
            return self.subjects
        if width not in self._wide:
            path = self.settings.folder / f"width_{width}"
            if not path.exists():
                self._make(width, path)
            self._wide[width] = self._load(path)
        return self._wide[width]

    def beside(self, width: int) -> dict[str, Subject]:
        """The same, loaded beside the checkpoint's model even where that is as wide; others are let go."""
        self._wide.clear()
        if width == self.width:
            return self._load(self.settings.checkpoint, self.settings.exported)
        return self.of_width(width)

    def _load(self, path: Path, exported: str = "") -> dict[str, Subject]:
        found = {}
        for runtime in self.settings.runtimes:
            if runtime == "onnx" and path != self.settings.checkpoint and not self.effort.export_widths:
                continue
            checkpoint = load_checkpoint(path, self.settings.device)
            subject = Subject(with_runtime(checkpoint, runtime, exported, self.settings.threads).model)
            found[subject.runtime], self.asked[subject.runtime] = subject, runtime
            if path == self.settings.checkpoint:
                self.model_id = checkpoint.model_id
        return found

    def _make(self, width: int, path: Path) -> None:
        original = load_checkpoint(self.settings.checkpoint)
        torch.manual_seed(0)
        model = WorldModel(replace(original.model.config, latent_dim=width), original.spec)
        save_checkpoint(path, model, {"goal_tolerance": original.goal_tolerance})
        if "onnx" in self.settings.runtimes and self.effort.export_widths:
            from jepa_ros.export.writer import export_checkpoint

            export_checkpoint(load_checkpoint(path))


@contextmanager
def open_bench(
    checkpoint: Path, runtimes: tuple[str, ...], device: str, threads: int, effort: Effort
) -> Iterator[tuple[Bench, dict[str, str]]]:
    """The bench, and why runtimes are left out. runtimes: to be measured; () are all that are there.

    A checkpoint without an export is exported for the run. JepaError where what was asked for cannot be had.
    """
    require_device(device)
    with tempfile.TemporaryDirectory(prefix="jepa_bench_") as name:
        folder, exported, left_out = Path(name), "", {}
        if torch.device(device).type != "cpu":
            found = runtimes or ("torch", "auto")
        else:
            found = runtimes or ("torch", "onnx")
            if "onnx" in found:
                try:
                    exported = _export_of(checkpoint, folder, threads)
                except JepaError as error:
                    if runtimes:
                        raise
                    left_out["onnx"], found = str(error), ("torch",)
        yield Bench(Settings(checkpoint, exported, found, device, threads, folder, effort)), left_out


def _export_of(path: Path, folder: Path, threads: int) -> str:
    """The folder of an export of the checkpoint in ``path``: "" where it holds one that fits, else a new one."""
    checkpoint = load_checkpoint(path)
    try:
        with_runtime(checkpoint, "onnx", "", threads)
        return ""
    except JepaError:
        from jepa_ros.export.writer import export_checkpoint

        export_checkpoint(checkpoint, folder / "onnx")
        return str(folder / "onnx")
