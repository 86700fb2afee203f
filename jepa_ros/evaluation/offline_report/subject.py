"""One checkpoint as the report speaks of it."""

from dataclasses import dataclass

from jepa_ros.evaluation.offline_report.words import shorten

COLOURS = ("blue", "vermilion", "green", "purple")


@dataclass(frozen=True)
class Subject:
    """letter: "A", "B", ... where several checkpoints stand side by side, "" for one alone."""

    letter: str
    name: str
    colour: str
    measures: dict

    def measure(self, name: str) -> dict:
        """A measure of the result, empty where it was not taken."""
        return self.measures.get(name) or {}

    @property
    def short(self) -> str:
        """For legends and table heads."""
        name = shorten(self.name, 24)
        return f"{self.letter}\u00a0·\u00a0{name}" if self.letter else name

    def entitle(self, title: str) -> str:
        return f"{title}: {self.short}" if self.letter else title

    def slug(self, name: str) -> str:
        return f"{name}_{self.letter.lower()}" if self.letter else name


def subjects(result: dict) -> list[Subject]:
    checkpoints = result.get("checkpoints") or []
    letters = "ABCDEFGH" if len(checkpoints) > 1 else [""]
    return [
        Subject(
            letters[i % len(letters)], str(c.get("name")), COLOURS[i % len(COLOURS)], c.get("measures") or {}
        )
        for i, c in enumerate(checkpoints)
    ]
