"""Bars are met, missed, or said not to be measured."""

from jepa_ros.evaluation.bench.bars import bars

TWO_CORES = {"cores": 2, "gpu": None}


def graph(single, distributed, searches=40):
    def row(p95):
        searched = {"median_ms": p95 / 2, "p95_ms": p95, "repetitions": searches}
        kept = {
            "median_ms": 1.0,
            "p95_ms": 2.0,
            "repetitions": 200,
        }  # looks at which plans were kept go beside it
        return {"image_to_command": kept, "image_to_command_searched": searched}

    return {"compositions": {"single": row(single), "distributed": row(distributed)}}


def growth(rounds=20, **exponents):
    def plan(low, high):
        no_faster = None if rounds < 8 else True if high <= 1 else False if low > 1 else None
        return {
            "exponent": (low + high) / 2,
            "interval_95": [low, high],
            "no_faster_than_linear": no_faster,
            "repetitions": rounds,
        }

    return {
        "axes": {
            axis: {"runtimes": {name: {"plan": plan(*interval)} for name, interval in found.items()}}
            for axis, found in exponents.items()
        }
    }


def met(parts, machine=TWO_CORES):
    return [bar.met for bar in bars(parts, machine)]


def test_nothing_measured_meets_nothing():
    found = bars({}, TWO_CORES)
    assert [bar.met for bar in found] == [None] * 5 and all("not measured" in bar.measured for bar in found)


def test_p95_decides_per_composition():
    assert met({"graph": graph(49.9, 80.1)})[:2] == [True, False]
    assert met({"graph": graph(50.1, 79.9)})[:2] == [False, True]


def test_a_handful_of_searches_decides_nothing():
    found = bars({"graph": graph(1, 1, searches=19)}, TWO_CORES)[0]
    assert found.met is None and "more --goals" in found.note


def test_other_machines_than_the_bars_are_named():
    assert "here are 16" in bars({"graph": graph(1, 1)}, {"cores": 16, "gpu": None})[0].note
    rows = [
        {
            "candidates": 300,
            "iterations": 10,
            "median_ms": 7,
            "p95_ms": 9,
            "repetitions": 9,
            "runtime": "torch",
        }
    ]
    parts = {"plan": {"image_to_command": rows}}
    other, h100 = (
        bars(parts, {"cores": 2, "gpu": name})[2] for name in ("NVIDIA L4", "NVIDIA H100 80GB HBM3")
    )
    assert other.met and "here is NVIDIA L4" in other.note
    assert h100.met and not h100.note
    rows[0]["p95_ms"] = 10.5
    assert bars(parts, {"cores": 2, "gpu": "NVIDIA H100"})[2].met is False


def test_growth_is_linear_only_where_every_runtime_says_so():
    found = growth(
        candidates={"torch": (0.7, 0.9), "onnx": (0.8, 1.0)},
        horizon={"torch": (0.7, 0.9), "onnx": (0.9, 1.1)},
    )
    assert met({"growth": found})[3:] == [True, None]
    assert bars({"growth": found}, TWO_CORES)[4].note == "an interval holds 1: more rounds tell"
    few = growth(rounds=7, candidates={"torch": (0.7, 0.9)}, horizon={"torch": (0.7, 0.9)})
    assert {(bar.met, bar.note) for bar in bars({"growth": few}, TWO_CORES)[3:]} == {
        (None, "7 rounds, at least 8 tell")
    }
    found = growth(candidates={"torch": (1.1, 1.2), "onnx": (0.9, 1.1)}, horizon={"torch": (0.1, 0.2)})
    assert met({"growth": found})[3:] == [False, True]
