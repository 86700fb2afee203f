"""What a run keeps in its folder while it trains: figures, their picture, the state to go on from."""

import json
from pathlib import Path

import torch
from tqdm import tqdm

from jepa_ros.errors import JepaError
from jepa_ros.training.config import TrainingConfig
from jepa_ros.training.distributed import Ranks
from jepa_ros.training.pace import Pace
from jepa_ros.training.plots import plot_training
from jepa_ros.training.selection import in_words
from jepa_ros.world_model.checkpoint import write_whole

METRICS = "metrics.jsonl"
STATE = "training_state.pt"


class Journal:
    """Of a run in the folder ``out``; only the first of several processes reads and writes there.

    parts: what has a state_dict, by name; None for what this run does not have.
    fingerprint: of settings and data; a state with another is refused, and so is a process with another.
    Made before the first step: puts the saved state into ``parts``, ``step`` and ``pace``.
    """

    def __init__(self, out: Path, fingerprint: str, config: TrainingConfig, ranks: Ranks, **parts):
        self._out, self._fingerprint, self._ranks = out, fingerprint, ranks
        self._parts = {name: part for name, part in parts.items() if part is not None}
        mine = [fingerprint, torch.__version__]
        if ranks.from_first(mine) != mine:
            raise JepaError(
                f"process {ranks.rank} has other settings, other bags or another torch than process 0; give all the same"
            )
        state = ranks.from_first(self._saved() if ranks.first else None)
        self.step, seconds, data_seconds = 0, 0.0, 0.0
        if state is not None:
            self.step, seconds, data_seconds = state["step"], state["seconds"], state.get("data_seconds", 0.0)
            for name, part in self._parts.items():
                part.load_state_dict(state[name])
        self.pace = Pace(config.batch * config.clip, self.step, seconds, data_seconds)
        if ranks.first:
            _cut_metrics(out / METRICS, self.step)
        self._bar = tqdm(
            total=config.steps,
            initial=self.step,
            desc="world model",
            unit="step",
            mininterval=2,
            disable=not ranks.first,
        )

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_) -> None:
        self._bar.close()

    def stepped(self) -> int:
        """One more step is done; returns how many are."""
        self.step += 1
        self._bar.update()
        return self.step

    def row(self, figures: dict[str, float]) -> None:
        """Log the figures of this step, with the pace."""
        if not self._ranks.first:
            return
        row = {"step": self.step, **figures, **self.pace.row()}
        with open(self._out / METRICS, "a") as log:
            log.write(json.dumps({k: round(v, 6) for k, v in row.items()}) + "\n")
        self._bar.set_postfix(loss=f"{row['loss']:.3f}", rank=f"{row['effective_rank']:.1f}", refresh=False)

    def candidate(self, found: dict) -> None:
        """Log how a candidate of this step did, see Candidates."""
        with open(self._out / METRICS, "a") as log:
            log.write(json.dumps(found) + "\n")
        self._bar.write(in_words(found))

    def save(self) -> None:
        """Keep the state, so that the run can go on from here, and draw the figures."""
        if not self._ranks.first:
            return
        partial = (self._out / STATE).with_suffix(".partial")
        torch.save(
            {
                "fingerprint": self._fingerprint,
                "step": self.step,
                "seconds": self.pace.seconds,
                "data_seconds": self.pace.data_seconds,
                **{name: part.state_dict() for name, part in self._parts.items()},
            },
            partial,
        )
        partial.replace(self._out / STATE)
        plot_training(self._out / METRICS, self._out / "training.png")

    def _saved(self) -> dict | None:
        if not (self._out / STATE).is_file():
            return None
        state = torch.load(self._out / STATE, weights_only=True, map_location="cpu")
        if state["fingerprint"] != self._fingerprint:
            raise JepaError(
                f"{self._out / STATE} is of a run with other settings or other bags: repeat that command to go on "
                "with it, or choose another --out, or delete the file to start over"
            )
        return state


def _cut_metrics(path: Path, step: int) -> None:
    """Keep the rows up to ``step``: what was logged after the state was saved is logged again. A last row that a kill left
    torn is dropped."""
    rows = path.read_text().splitlines(keepends=True) if step and path.is_file() else []
    if rows and not _is_whole(rows[-1]):
        rows.pop()
    write_whole(path, "".join(row for row in rows if json.loads(row)["step"] <= step).encode())


def _is_whole(row: str) -> bool:
    try:
        return row.endswith("\n") and bool(json.loads(row))
    except json.JSONDecodeError:
        return False
