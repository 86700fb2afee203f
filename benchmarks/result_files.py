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
    with "+" is one with changes. Where several commits or runtimes took part, that is said."""
    machine = content.get("machine") or {}
    commits, runtimes = (_listed(content.get(key, [])) for key in ("commit", "runtime"))
    commits = [f"{commit[:7]}{'+' * commit.endswith('+')}" for commit in commits]
    words = [
        content.get("date", ""),
        _named("commit", commits),
        _named("runtime", runtimes) if len(runtimes) > 1 else "",
        f"{machine['processor']}, {machine['cores']} cores" if "processor" in machine else "",
    ]
    return ", ".join(word for word in words if word)


def _listed(found: str | list[str]) -> list[str]:
    return [found] if isinstance(found, str) else found


def _named(what: str, found: list[str]) -> str:
    mixed = len(found) > 1
    return f"{'mixed ' * mixed}{what}{'s' * mixed} {' and '.join(found)}" if found else ""


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
