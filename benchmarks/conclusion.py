"""How a benchmark with bars ends: its figures printed and written, its verdict as the exit status."""

import json
from pathlib import Path

from jepa_ros.evaluation import provenance
from jepa_ros.evaluation.report import write_json


def conclude(bars: dict[str, bool], figures: dict, settings: dict, file: Path | None, **more) -> int:
    """Print bars and figures; write them, what it takes to repeat them, and ``more`` to the file, where there is
    one. The exit status: 0 where every bar was kept."""
    shown = {"bars": bars, "kept": all(bars.values()), **figures, "commit": provenance.source_commit()}
    print(json.dumps(shown, indent=1))
    if file:
        origin = {"machine": provenance.machine(), "libraries": provenance.libraries()}
        write_json(file, shown | {"settings": settings} | origin | more)
    return 0 if shown["kept"] else 1
