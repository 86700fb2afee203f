"""The tables of measured results, made from the JSON files in docs/results/.

python benchmarks/results_table.py            print the tables
python benchmarks/results_table.py --write    put them between the markers in README.md, docs/safety.md,
                                                docs/results.md and docs/uncertain_futures.md
"""

import argparse
import json
from pathlib import Path

import ablation_tables
import bars_tables
import safety_bars
import shift_seeds
import training_speed
import uncertain_tables
from result_files import NOT_MEASURED, made_by, read

from jepa_ros.evaluation.bench.tables import bars_table
from jepa_ros.evaluation.shifts.figures import rate_words

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
BEGIN, END = "<!-- results{}: benchmarks/results_table.py --write -->", "<!-- /results -->"
"""Around a table; where a page has several, with its name."""
NAMES = {
    "planner": "**jepa_ros**, `models/reach`",
    "oracle": "same planner, simulator as world model",
    "decoded_joints": "joint angles decoded from the goal image, proportional control",
    "decoded_by_sight": "the same, the arm's own joints decoded from the camera image as well",
    "behaviour_cloning": "goal-conditioned behaviour cloning",
    "random": "random motion",
    "no_op": "no motion",
}


def load(name: str) -> dict:
    """A result file of docs/results/."""
    return json.loads((RESULTS / name).read_text())


def closed_loop_row(name: str, figures: dict, words: str = "") -> str:
    """One agent of `jepa evaluate`; words: in place of its name."""
    low, high = figures["wilson_95"]
    plan = f"{figures['plan_ms_p50']:.0f} / {figures['plan_ms_p95']:.0f} ms" if name == "planner" else ""
    return (
        f"| {words or NAMES[name]} | {figures['successes']} / {figures['episodes']} | {100 * low:.0f} - {100 * high:.0f} % | "
        f"{1e3 * figures['median_error_m']:.0f} mm | {plan} |"
    )


def closed_loop_table() -> list[str]:
    """Success without ROS, beside the baselines."""
    measured, oracle = load("evaluate_reach.json"), load("evaluate_reach_oracle.json")
    agents = {"planner": measured, **measured["baselines"], "oracle": oracle}
    ranked = (
        "planner",
        "decoded_joints",
        "decoded_by_sight",
        "behaviour_cloning",
        "random",
        "no_op",
        "oracle",
    )
    return [
        f"`{' '.join(measured['command'])}`",
        "",
        "| closed loop, unseen goals, within 2 cm for 0.5 s | success | Wilson 95 % | median error | plan p50 / p95 |",
        "|---|---|---|---|---|",
        *(closed_loop_row(name, agents[name]) for name in ranked),
    ]


def push_table() -> list[str]:
    """Success of the checkpoint that also pushes, without ROS, beside the baselines; and on reach."""
    push, reach = load("evaluate_push.json"), load("evaluate_reach_by_it.json")
    baselines = push["baselines"]
    return [
        f"`{' '.join(push['command'])}`, and the same with `--task reach --baselines none`",
        "",
        "| closed loop, unseen goals, `models/reach_push` | success | Wilson 95 % | median error | plan p50 / p95 |",
        "|---|---|---|---|---|",
        closed_loop_row("planner", push, "**jepa_ros**, push: the cube within 3 cm for 0.5 s, in 30 s"),
        *(closed_loop_row(name, baselines[name]) for name in NAMES if name in baselines),
        closed_loop_row(
            "planner", reach, "**jepa_ros**, reach, by the same checkpoint: within 2 cm for 0.5 s"
        ),
    ]


def graph_table() -> list[str]:
    """Success and latency through the ROS graph."""
    results = {name: load(f"demo_{name}.json") for name in ("distributed", "single", "push")}
    lines = [
        f'`make demo ARGS="--episodes {results["distributed"]["episodes"]}"` (and `--composition single`, `--task push`)',
        "",
        "| through the ROS graph | success (Wilson 95 %) | plan p50 / p95 | image to command p50 / p95 |",
        "|---|---|---|---|",
    ]
    for found in results.values():
        lines.append(
            f"| {found['task']}, `{found['composition']}` | {rate_words(found['successes'], found['episodes'])} | {found['plan_ms_p50']:.0f} / "
            f"{found['plan_ms_p95']:.0f} ms | {found['image_to_command_ms_p50']:.0f} / "
            f"{found['image_to_command_ms_p95']:.0f} ms |"
        )
    return lines


def shifts_table() -> list[str]:
    """Success where light, colours or the camera are not what they were, over training seeds."""
    first, last = load("shifts_reach.json")["seeds"]
    lines = [
        f"`jepa evaluate --shifts --strengths medium --episodes {last - first + 1} --seed {first}` for each of three training "
        "seeds, put together by `python benchmarks/shift_seeds.py` ([every shift](docs/results/shifts_reach.md))",
        "",
        "| visual shifts, medium strength | clean success | mean of the shifts | the worst shift |",
        "|---|---|---|---|",
    ]
    for goals, file in (("", "shifts_reach.json"), (", goal picture clean", "shifts_reach_clean_goals.json")):
        found = shift_seeds.summary(load(file))
        lines += [f"| {name}{goals} | {' | '.join(words)} |" for name, words in found.items()]
    return lines


def training_table() -> list[str]:
    """What the shipped checkpoint cost."""
    config = json.loads((ROOT / "models" / "reach" / "config.json").read_text())
    data, training, metrics = (config[key] for key in ("data", "training", "metrics"))
    collected = load("collect.json")
    return [
        f"`{collected['command']}`, then `jepa train --bags bags/reach --out models/reach --augmentation {training['augmentation']} "
        f"--steps {training['steps']} --precision {training['precision']} --threads {training['threads']} --seed {training['seed']} --head-steps 0`",
        "",
        "| the shipped checkpoint | |",
        "|---|---|",
        f"| `jepa collect`: {data['episodes']} bags, {data['frames']} frames, {collected['megabytes']} MB | {collected['motions']} "
        f"motions in {collected['scenes']} scenes each in {collected['seconds']} s ({collected['times_real_time']} times real time) |",
        f"| `jepa train`, {training['steps']} steps, {training['threads']} thread(s) | "
        f"{metrics['training_seconds'] / 60:.0f} min |",
        f"| networks of the baselines, {training['baseline_steps']} steps | "
        f"{(metrics['total_seconds'] - metrics['training_seconds']) / 60:.0f} min |",
    ]


def offline_table() -> list[str]:
    """Speed and memory of the evaluation of recorded bags."""
    speed, memory = load("offline_speed.json"), load("offline_memory.json")
    return [
        f"`{speed['command']}`, `{memory['command']}`: start-up, encoding and report included",
        "",
        "| `jepa offline` on a bag of | size | recorded | spent | times real time | peak memory |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {bag['megabytes']:.0f} MB | {bag['recorded_s']:.0f} s | {bag['spent_s']:.1f} s | "
            f"{bag['times_real_time']:.0f} | {bag['peak_mb']:.0f} MB |"
            for name, bag in [*speed["bags"].items(), *memory["bags"].items()]
        ),
    ]


def recording_table() -> list[str]:
    """What the recorder lost, and what the cache of read bags gains."""
    rate, cache = load("record_rate.json"), load("bag_cache.json")
    images, joints = rate["topics"]["image"], rate["topics"]["joint_states"]
    recorded = rate.get("command", f"python benchmarks/record_rate.py --seconds {rate['seconds']:g}")
    return [
        f"`{recorded}`, `{cache['command']}`",
        "",
        "| recording and reading | |",
        "|---|---|",
        f"| `jepa record`, {rate['image']}, {rate['seconds']:.0f} s | {images['recorded']} of {images['published']} images, "
        f"{joints['recorded']} of {joints['published']} joint states; {rate['recorder_cpu_share']:.0%} of a core |",
        f"| reading {cache['bags']} bags, then again from the cache | {cache['seconds']['without cache']:.1f} s, "
        f"{cache['seconds']['with cache, from then on']:.1f} s |",
    ]


def bench_tables() -> list[str]:
    """Speed, its bars, and what selective work saves."""
    content = load("bench/bench.json")
    parts, machine, load_average = content["parts"], content["machine"], content["load_average"]
    return [
        f"`{content['command']}`, {machine['processor']}, {machine['cores']} cores, load average "
        f"{load_average['before']:g} before and {load_average['after']:g} after "
        "([all of it](docs/results/bench/bench.md), [growth](docs/results/bench/growth.png))",
        "",
        *bars_table(content).splitlines(),
        "",
        "| one thread, median / p95 | torch | ONNX Runtime | times as fast |",
        "|---|---|---|---|",
        *(_beside(name, rows) for name, rows in _runtimes(content)),
        "",
        "| selective work, closed loop, `reach` | frames skipped | looks searched | compute saved | success |",
        "|---|---|---|---|---|",
        *(
            f"| frame skipping {'on' if row['frame_skipping'] else 'off'}, `replan: {row['replan']}` | "
            f"{row['frames_skipped']:.0%} | {row['looks_searched']:.0%} | {row['compute_saved']:.0%} | "
            f"{row['successes']} / {parts['selective']['episodes']} |"
            for row in parts["selective"]["rows"]
        ),
    ]


def _runtimes(content: dict) -> list[tuple[str, list[dict]]]:
    parts, planner = content["parts"], content["planner"]
    samples, iterations, horizon = (planner[name] for name in ("samples", "iterations", "horizon"))
    rollout = {"candidates": samples, "horizon": horizon}
    plan = {**rollout, "solver": planner["solver"], "iterations": iterations}
    wanted = (
        ("encode one picture of 64x64", parts["encode"]["rows"], {"picture": "64x64"}),
        (f"a rollout, {samples} candidates x {horizon} blocks", parts["rollout"]["rows"], rollout),
        (f"a whole plan, {iterations} iterations of {samples} candidates", parts["plan"]["rows"], plan),
        ("image to command in one process, without ROS", parts["plan"]["image_to_command"], plan),
    )
    return [(name, [row for row in rows if keys.items() <= row.items()]) for name, rows, keys in wanted]


def _beside(name: str, rows: list[dict]) -> str:
    torch, onnx = (next(row for row in rows if row["runtime"] == runtime) for runtime in ("torch", "onnx"))
    times = (f"{row['median_ms']:.2f} / {row['p95_ms']:.2f} ms" for row in (torch, onnx))
    return f"| {name} | {' | '.join(times)} | {torch['median_ms'] / onnx['median_ms']:.1f} |"


def tables() -> str:
    """All tables, as Markdown."""
    measured = (
        "evaluate_reach.json",
        "evaluate_push.json",
        "evaluate_reach_by_it.json",
        "demo_distributed.json",
        "demo_single.json",
        "demo_push.json",
        "bench/bench.json",
    )
    machines = [load(name)["machine"] for name in measured]
    processors = " and ".join(dict.fromkeys(machine["processor"] for machine in machines))
    parts = [
        closed_loop_table(),
        push_table(),
        shifts_table(),
        graph_table(),
        bench_tables(),
        training_table(),
        offline_table(),
        recording_table(),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + (
        "\n\nThe baselines' networks learned from the same bags, augmented alike; without augmentation, "
        f"in the one scene that they had then seen, they reach {_without_augmentation()}. "
        f"Measured on {machines[0]['cores']} cores ({processors}), no GPU; collection and "
        "training ran beside other work. Raw figures: "
        "[docs/results](docs/results/README.md)."
    )


def _without_augmentation() -> str:
    found = load("evaluate_reach_not_augmented.json")["baselines"]
    named = {
        "decoded_joints": "joints from the goal image",
        "decoded_by_sight": "from both images",
        "behaviour_cloning": "cloning",
    }
    return ", ".join(
        f"{found[key]['successes']} / {found[key]['episodes']} ({words})" for key, words in named.items()
    )


def results_page() -> dict[str, str]:
    """The tables of docs/results.md by the names of their markers; links as from that page."""
    nothing = f"{NOT_MEASURED.capitalize()}."
    measured, speed = bars_tables.contents(RESULTS), read(RESULTS / "training_speed.json")
    tables = {
        "bars": bars_tables.bars(RESULTS),
        **{
            bar: bars_tables.task_table(measured[bar]) if bar in measured else nothing
            for bar in bars_tables.BARS
        },
        "fresh goals": bars_tables.fresh(RESULTS),
        "ablations": ablation_tables.table(RESULTS),
        "the shipped checkpoint": "\n".join(
            [*closed_loop_table(), "", _origin("evaluate_reach.json", "evaluate_reach_oracle.json")]
        ),
        "the checkpoint that also pushes": "\n".join(
            [*push_table(), "", _origin("evaluate_push.json", "evaluate_reach_by_it.json")]
        ),
        "shifts": "\n".join(shifts_table()),
        "the graph": "\n".join(
            [*graph_table(), "", _origin("demo_distributed.json", "demo_single.json", "demo_push.json")]
        ),
        "training speed": training_speed.table(speed).partition("\n")[2].strip() if speed else nothing,
    }
    return {f" of {name}": text.replace("](docs/", "](") for name, text in tables.items()}


def uncertain_page() -> dict[str, str]:
    """The tables of docs/uncertain_futures.md by the names of their markers."""
    return {f" of {name}": text for name, text in uncertain_tables.tables(RESULTS).items()}


def _origin(*names: str) -> str:
    """How the files of a table's rows came about, in the rows' order; once where it is the same for all."""
    words = "; ".join(dict.fromkeys(made_by(load(name)) for name in names))
    return f"{words[0].upper()}{words[1:]}."


def fill(page: str, tables: dict[str, str]) -> str:
    """The page with every table between its markers; ValueError where it lacks some of them."""
    for name, text in tables.items():
        begin = BEGIN.format(name)
        before, found, rest = page.partition(begin)
        _, ended, after = rest.partition(END)
        if not (found and ended):
            raise ValueError(f"there is no {begin} ... {END} in the page")
        page = f"{before}{begin}\n{text}\n{END}{after}"
    return page


def main() -> None:
    """Print or write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="put the tables into the pages")
    write = parser.parse_args().write
    for page, tables_of_it in (
        (ROOT / "README.md", {"": tables()}),
        (ROOT / "docs" / "safety.md", {"": safety_bars.table(RESULTS)}),
        (ROOT / "docs" / "results.md", results_page()),
        (ROOT / "docs" / "uncertain_futures.md", uncertain_page()),
    ):
        if write:
            page.write_text(fill(page.read_text(), tables_of_it))
        else:
            print("\n\n".join(tables_of_it.values()))


if __name__ == "__main__":
    main()
