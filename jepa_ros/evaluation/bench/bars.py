"""What issue and documentation promise, beside what this run measured."""

from dataclasses import asdict, dataclass

from jepa_ros.evaluation.bench.exponent import LEAST_ROUNDS

COMMAND_BARS_MS = {"single": 50.0, "distributed": 80.0}
GPU_BAR_MS = 10.0
LEAST_PLANS = 20
"""Searched plans without which a p95 says nothing."""
GPU_SETTINGS = {"candidates": 300, "iterations": 10}
LINEAR_AXES = ("candidates", "horizon")


@dataclass(frozen=True)
class Bar:
    """limit, measured: in words.  met: None where it was not measured, or cannot be told.  note: what else to know."""

    name: str
    limit: str
    measured: str
    met: bool | None
    note: str = ""

    def to_dict(self) -> dict:
        """JSON-serialisable."""
        return asdict(self)


def bars(parts: dict, machine: dict) -> list[Bar]:
    """Every bar, in the order of the issue; parts: by name, as the run measured them."""
    found = [_command(name, limit, parts, machine) for name, limit in COMMAND_BARS_MS.items()]
    found.append(_gpu(parts, machine))
    return found + [_linear(axis, parts) for axis in LINEAR_AXES]


def _command(composition: str, limit: float, parts: dict, machine: dict) -> Bar:
    name, allowed = f"image to command, `{composition}`, default settings", f"p95 at most {limit:.0f} ms"
    if "graph" not in parts:
        return Bar(name, allowed, "not measured", None)
    measured = parts["graph"]["compositions"][composition]
    found, searched = measured["image_to_command"], measured["image_to_command_searched"]
    told = (
        f"all looks p95 {found['p95_ms']:.1f} ms of {found['repetitions']}, median {found['median_ms']:.1f}"
    )
    if not searched or searched["repetitions"] < LEAST_PLANS:
        return Bar(name, allowed, told, None, f"fewer than {LEAST_PLANS} searched plans: more --goals tell")
    return Bar(
        name,
        allowed,
        f"p95 {searched['p95_ms']:.1f} ms of {searched['repetitions']} searched plans; {told}",
        searched["p95_ms"] <= limit,
        "" if machine["cores"] == 2 else f"the bar is for 2 cores, here are {machine['cores']}",
    )


def _gpu(parts: dict, machine: dict) -> Bar:
    name = "image to command in one process, 300 candidates, 10 iterations, H100"
    allowed = f"p95 at most {GPU_BAR_MS:.0f} ms"
    if not machine["gpu"]:
        return Bar(name, allowed, "not measured: no GPU in this run", None)
    rows = parts.get("plan", {}).get("image_to_command", [])
    rows = [row for row in rows if GPU_SETTINGS.items() <= row.items()]
    if not rows:
        return Bar(name, allowed, "not measured", None)
    best = min(rows, key=lambda row: row["p95_ms"])
    return Bar(
        name,
        allowed,
        f"p95 {best['p95_ms']:.2f} ms (median {best['median_ms']:.2f}, {best['repetitions']} plans, {best['runtime']})",
        best["p95_ms"] <= GPU_BAR_MS,
        "" if "H100" in machine["gpu"] else f"the bar is for an H100, here is {machine['gpu']}",
    )


def _linear(axis: str, parts: dict) -> Bar:
    """Met where every runtime's interval ends at 1 or below; not met where one begins above."""
    name, allowed = f"time of a plan over {axis}", "no faster than linear: exponent at most 1"
    if "growth" not in parts:
        return Bar(name, allowed, "not measured", None)
    runtimes = parts["growth"]["axes"][axis]["runtimes"]
    plans = {runtime: row["plan"] for runtime, row in runtimes.items()}
    words = ", ".join(
        f"{plan['exponent']:.2f} ({plan['interval_95'][0]:.2f} - {plan['interval_95'][1]:.2f}) {runtime}"
        for runtime, plan in plans.items()
    )
    said = [plan["no_faster_than_linear"] for plan in plans.values()]
    met = False if False in said else None if None in said else True
    rounds = min(plan["repetitions"] for plan in plans.values())
    few = (
        f"{rounds} rounds, at least {LEAST_ROUNDS} tell"
        if rounds < LEAST_ROUNDS
        else "an interval holds 1: more rounds tell"
    )
    return Bar(name, allowed, words, met, few if met is None else "")
