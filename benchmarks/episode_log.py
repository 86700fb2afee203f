"""Closed-loop episodes that survive a kill: a line of JSON each in a file, and what is there is not run again. Each says by which
commit it was run, so that a result can tell them all."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench_command import one_or_all

from jepa_ros.errors import JepaError
from jepa_ros.evaluation.closed_loop import EpisodeResult
from jepa_ros.evaluation.provenance import source_commit
from jepa_ros.evaluation.report import rows, summarise, write_text
from jepa_ros.evaluation.runner import PLANNER, Bench, Settings, run_jobs
from jepa_ros.planning.config import MODES
from jepa_ros.world_model.trust import file_sha256

COMMIT = source_commit()
"""Of this process, whatever is committed while it runs."""


@dataclass(frozen=True)
class LoggedEpisode(EpisodeResult):
    """commit: that ran it.  runtime: what computed the checkpoint's model, "" without one. Older files tell neither."""

    commit: str = "unknown"
    runtime: str = "unknown"


def complete(
    file: Path, settings: Settings, agents: Sequence[str], seeds: Sequence[int], processes: int = 1
) -> dict[str, list[LoggedEpisode]]:
    """Run what ``file`` lacks of every agent on every seed; all of them by agent, in the order of the seeds.

    Agents take turns on a seed, and in who begins, so that a machine that is busy for a while is so for all of them alike.
    JepaError where the file holds episodes of other settings or of another model.
    """
    common = header(settings)
    done = read(file, common)
    jobs = [job for job in turns(agents, seeds) if job not in done]
    if jobs:
        source = {"commit": COMMIT, "runtime": runtime(settings)}
        write_lines(file, [common, *rows(list(done.values()))])
        with open(file, "a") as log:
            for job, result in run_jobs(settings, jobs, processes):
                row = rows([result])[0] | source
                log.write(json.dumps(row) + "\n")
                log.flush()
                done[job] = LoggedEpisode(**row)  # as it will be read
                print(f"\r{file}: {len(done)} episodes", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    return {agent: [done[agent, seed] for seed in seeds] for agent in agents}


def is_complete(file: Path, settings: Settings, agents: Sequence[str], seeds: Sequence[int]) -> bool:
    """Whether ``complete`` would have nothing left to run."""
    done = read(file, header(settings))
    return all(job in done for job in turns(agents, seeds))


def turns(agents: Sequence[str], seeds: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Every agent on every seed, seed by seed; another agent begins each time."""
    for turn, seed in enumerate(seeds):
        first = turn % len(agents)
        yield from ((agent, seed) for agent in [*agents[first:], *agents[:first]])


def header(settings: Settings) -> dict:
    """What the episodes of a file have in common: settings, and the checkpoint, where there is one, by its content."""
    common = {key: value for key, value in asdict(settings).items() if key not in ("checkpoint", "sha256")}
    folder = settings.checkpoint
    weights = [] if folder is None else sorted(Path(folder).glob("*.safetensors"))
    return json.loads(json.dumps(common | {"sha256": {file.name: file_sha256(file) for file in weights}}))


def runtime(settings: Settings) -> str:
    """What computes the checkpoint's model, "" without one."""
    checkpoint = Bench(settings).checkpoint
    return "" if checkpoint is None else checkpoint.model.runtime


def read_lines(file: Path) -> list[dict]:
    """The lines of JSON in ``file``, none where there is no file. One that a kill left half-written is left out."""
    whole = file.read_text().rpartition("\n")[0] if file.is_file() else ""
    return [json.loads(line) for line in whole.splitlines()]


def write_lines(file: Path, lines: Iterable[dict]) -> None:
    """``file`` anew, whole or not at all."""
    write_text(file, "".join(json.dumps(line) + "\n" for line in lines))


def read(file: Path, expected: dict) -> dict[tuple[str, int], LoggedEpisode]:
    """The episodes in ``file`` by agent and seed, none where there is no file; JepaError where its header is not ``expected``."""
    lines = read_lines(file)
    if not lines:
        return {}
    if lines[0] != expected:
        differing = sorted(key for key in {*expected, *lines[0]} if lines[0].get(key) != expected.get(key))
        raise JepaError(
            f"{file} holds episodes of another run, or of another version of the program ({', '.join(differing)} differ): "
            "give the command that began it, choose another --work, or delete the file"
        )
    return {(row["agent"], row["seed"]): LoggedEpisode(**row) for row in lines[1:]}


def figures(episodes: Sequence[LoggedEpisode]) -> dict:
    """What tables need of one agent's episodes: a character, and a number of each, per episode; its summary; what made them."""
    return {
        "outcomes": "".join("01"[result.success] for result in episodes),
        "errors_mm": [round(1e3 * result.final_error_m, 1) for result in episodes],
        "planning_ms": [round(sum(result.plan_ms), 2) for result in episodes],
        "seconds": [round(result.seconds, 2) for result in episodes],
        **summarise(episodes),
        "commits": sorted({result.commit for result in episodes}),
        "runtimes": sorted({result.runtime for result in episodes}),
    }


def made_with(parts: Sequence[dict]) -> dict:
    """For a result file, of its parts, such as ``figures``: the commit and the runtime; where several took part, a list."""
    keys = ("commit", "runtime")
    return {key: one_or_all(one for part in parts for one in part.get(f"{key}s", ())) for key in keys}


def available(settings: Settings, names: Sequence[str]) -> list[str]:
    """The agents that can run; the others are told on stderr. JepaError where one of them is the planner."""
    bench, found = Bench(settings, say=lambda text: print(text, file=sys.stderr)), []
    for name in names:
        try:
            bench.agent(name)
            found.append(name)
        except JepaError as error:
            if name in (PLANNER, *MODES):
                raise
            print(f"{name} is left out: {error}", file=sys.stderr)
    return found
