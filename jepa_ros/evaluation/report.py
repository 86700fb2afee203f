"""The figures of an evaluation: one summary per agent, a table, a JSON file."""

import errno
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from jepa_ros.errors import JepaError
from jepa_ros.evaluation.closed_loop import EpisodeResult
from jepa_ros.evaluation.statistics import percentile, wilson_interval

SUMMARY_FIELDS = (
    "episodes",
    "successes",
    "success_rate",
    "wilson_95",
    "median_error_m",
    "median_seconds",
    "plan_ms_p50",
    "plan_ms_p95",
    "encode_ms_p50",
    "encode_ms_p95",
    "plan_ms_per_episode",
    "searches_per_episode",
    "policy_share",
    "candidates_per_episode",
)


def summarise(results: Sequence[EpisodeResult]) -> dict:
    """Figures over episodes, the keys SUMMARY_FIELDS; None where there is nothing to measure.

    median_seconds: robot time until success, over the successful episodes.  ..._per_episode: means.  policy_share: of the
    plans that were made anew, those that the policy made without a search.
    """
    trials, successes = len(results), sum(r.success for r in results)
    plan_ms = [ms for r in results for ms in r.plan_ms]
    encode_ms = [ms for r in results for ms in r.encode_ms]
    imagined = [r.candidates for r in results if r.candidates]
    makers = [r.made_by for r in results if r.made_by]
    made = Counter(maker for found in makers for maker in found)
    anew = made["policy"] + made["search"]
    return {
        "episodes": trials,
        "successes": successes,
        "success_rate": successes / trials if trials else None,
        "wilson_95": list(wilson_interval(successes, trials)),
        "median_error_m": percentile([r.final_error_m for r in results], 50),
        "median_seconds": percentile([r.seconds for r in results if r.success], 50),
        "plan_ms_p50": percentile(plan_ms, 50),
        "plan_ms_p95": percentile(plan_ms, 95),
        "encode_ms_p50": percentile(encode_ms, 50),
        "encode_ms_p95": percentile(encode_ms, 95),
        "plan_ms_per_episode": _mean([sum(r.plan_ms) for r in results]),
        "searches_per_episode": _mean([found.count("search") for found in makers]),
        "policy_share": made["policy"] / anew if anew else None,
        "candidates_per_episode": _mean([sum(counts) for counts in imagined]),
    }


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def unavailable(reason: str) -> dict:
    """The summary of a baseline that could not run: every figure null, and why."""
    return {**dict.fromkeys(SUMMARY_FIELDS), "unavailable": reason}


def rows(results: Sequence[EpisodeResult]) -> list[dict]:
    """One JSON-serialisable dict per episode; times rounded to a microsecond."""
    out = []
    for result in results:
        row = asdict(result)
        for name in ("plan_ms", "encode_ms"):
            row[name] = [round(ms, 3) for ms in row[name]]
        out.append(row)
    return out


def table(summaries: dict[str, dict]) -> str:
    """Agents to summaries, as aligned text."""
    header = (
        "agent",
        "success",
        "Wilson 95 %",
        "median error",
        "time to goal",
        "plan p50 / p95",
        "searches",
        "policy",
    )
    lines, notes = [header], []
    for name, figures in summaries.items():
        if "unavailable" in figures:
            lines.append((name, "not run", "", "", "", "", "", ""))
            notes.append(f"{name} was not run: {figures['unavailable']}")
            continue
        low, high = figures["wilson_95"]
        seconds, searches = figures["median_seconds"], figures["searches_per_episode"]
        share = figures["policy_share"]
        lines.append(
            (
                name,
                f"{figures['successes']}/{figures['episodes']}",
                f"{100 * low:.1f} - {100 * high:.1f} %",
                f"{1e3 * figures['median_error_m']:.1f} mm",
                "-" if seconds is None else f"{seconds:.1f} s",
                f"{figures['plan_ms_p50']:.1f} / {figures['plan_ms_p95']:.1f} ms",
                "" if searches is None else f"{searches:.1f} an episode",
                "" if share is None else f"{share:.0%} of plans",
            )
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    text = [
        "  ".join(
            [line[0].ljust(widths[0])] + [cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True)]
        )
        for line in lines
    ]
    text.insert(1, "-" * len(text[0]))
    return "\n".join([line.rstrip() for line in text] + notes)


def require_writable(path: str | Path) -> None:
    """JepaError where `write_json` could not write ``path``; makes its folder, leaves no file."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
        partial.unlink()
    except OSError as error:
        raise JepaError(f"cannot write {path}: {error.strerror or error}; choose another place") from error


def write_json(path: str | Path, content: dict) -> None:
    """Write ``content`` whole or not at all; JepaError where the place cannot be written."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: str | Path, text: str) -> None:
    """The same for text."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise JepaError(f"cannot write {path}: {error.strerror or error}; choose another place") from error
