"""What reading bags gave and what it could not use."""

from dataclasses import dataclass, field
from pathlib import Path

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.episodes import Episode


@dataclass(frozen=True)
class Problem:
    """One thing wrong in one bag.

    source: the bag.  topic: the topic, or "" where the file as a whole is meant.  text: what is wrong, what
    to do.
    skipped: the bag was left out (else its healthy part is used).
    """

    source: Path
    topic: str
    text: str
    skipped: bool

    def __str__(self) -> str:
        where = f"{self.source} {self.topic}".rstrip()
        return f"{'skipped' if self.skipped else 'used   '} {where}: {self.text}"


@dataclass
class BagResult:
    """What reading one bag gave.

    digest: of the bag's content.  lasting: the same would come of reading it again; False where the machine,
    not the bag, was in the way.
    """

    path: Path
    episodes: list[Episode] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    digest: str = ""
    lasting: bool = True


@dataclass
class LoadReport:
    """The outcome of read_episodes.

    used, skipped: bags.  problems: everything found wrong.  episodes, frames: what was kept.
    seconds: recorded time that was kept.  digest: "sha256:..." over the contents of the used bags, whatever
    their order and place.  spec: the ActionSpec the episodes follow.
    """

    used: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    episodes: int = 0
    frames: int = 0
    seconds: float = 0.0
    digest: str = ""
    spec: ActionSpec | None = None

    def __str__(self) -> str:
        rows = [
            ("bags used", "bags skipped", "episodes", "frames", "minutes"),
            (
                str(len(self.used)),
                str(len(self.skipped)),
                str(self.episodes),
                str(self.frames),
                f"{self.seconds / 60:.1f}",
            ),
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
        ]
        if self.digest:
            lines.append(f"data digest {self.digest}")
        return "\n".join(lines + [str(p) for p in self.problems])
