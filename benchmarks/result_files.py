"""Result files in docs/results/, and what all tables of them share."""

import json
from collections.abc import Sequence
from pathlib import Path

NOT_MEASURED = "not measured"


def read(file: Path) -> dict | None:
    """The content, None where there is no such file."""
    return json.loads(file.read_text()) if file.is_file() else None


def made_by(content: dict) -> str:
    """When, at which commit and on what a result was measured; what the file does not tell is left out. A commit
    with "+" is one with changes."""
    machine, commit = content.get("machine") or {}, content.get("commit", "")
    words = [
        content.get("date", ""),
        f"commit {commit[:7]}{'+' * commit.endswith('+')}" if commit else "",
        f"{machine['processor']}, {machine['cores']} cores" if "processor" in machine else "",
    ]
    return ", ".join(word for word in words if word)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
