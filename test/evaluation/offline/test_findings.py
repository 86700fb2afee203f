"""What is said follows from the figures: a good model is not blamed, a bad one is not praised."""

import copy

import pytest

from jepa_ros.evaluation.offline.findings import findings

GOOD = {
    "bags": [
        {"name": "run", "problems": [], "stages": {"image_to_command_ms": {"p50": 60, "p95": 90, "n": 9}},
         "deadline_misses": 0, "late_answers": 0, "vetoed": 0},
    ],
    "checkpoints": [
        {"name": "model", "measures": {
            "prediction": {"gain_over_copy": 0.8, "action_gain": 0.8},
            "actions": {"rank": {"mean": 0.05, "candidates": 255}, "cosine": {"median": 0.9}},
            "goal_distance": {"spearman_time": {"mean": 0.9}, "spearman_distance": {"mean": 0.95}},
            "surprise": {"threshold": 0.1, "share_above": 0.01},
            "health": {"effective_rank": 9.0, "dim": 64, "ood": {"share_above": 0.01}},
            "reproduced": {"plans": 1, "bit_equal": 1, "embeddings": 9, "embeddings_bit_equal": 9, "note": ""},
        }},
    ],
}  # fmt: skip


def tones(change=lambda result: None):
    result = copy.deepcopy(GOOD)
    change(result)
    return {f["anchor"]: f for f in findings(result)} | {"all": findings(result)}


def test_plans_that_other_heads_proposed_are_named_and_not_blamed():
    def change(result):
        result["checkpoints"][0]["measures"]["reproduced"] |= {
            "plans": 0,
            "bit_equal": 0,
            "note": "other heads",
        }

    found = tones(change)["reproduced"]
    assert found["tone"] == "note" and found["text"].endswith("ther heads.")


def test_a_healthy_run_is_praised_throughout():
    found = tones()["all"]
    assert len(found) == 8 and {f["tone"] for f in found} == {"good"} and not any(f["todo"] for f in found)


@pytest.mark.parametrize(
    "path, value, anchor, words",
    [
        (("prediction", "gain_over_copy"), -0.9, "prediction", "1.90 times that of copying"),
        (("prediction", "action_gain"), 0.02, "prediction", "hardly looks at the actions"),
        (("actions", "rank", "mean"), 0.5, "actions", "0.50"),
        (("goal_distance", "spearman_distance", "mean"), 0.2, "goal_distance", "0.20"),
        (("surprise", "share_above"), 0.2, "surprise", "20.0 %"),
        (("health", "ood", "share_above"), 0.4, "health", "40.0 %"),
        (("health", "effective_rank"), 1.2, "health", "collapsed"),
        (("prediction",), None, "prediction", "no episode is long enough"),
    ],
)
def test_what_is_wrong_is_said_with_a_remedy(path, value, anchor, words):
    def change(result):
        place = result["checkpoints"][0]["measures"]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    (bad,) = [f for f in tones(change)["all"] if f["tone"] == "bad"]
    assert bad["anchor"] == anchor and words in bad["text"].replace("No ", "no ") and bad["todo"]


def test_data_problems_and_slow_graphs_are_said():
    def change(result):
        bag = result["bags"][0]
        bag["deadline_misses"] = 3
        bag["stages"]["image_to_command_ms"]["p95"] = 800.0
        bag["problems"] = [
            {"severity": "error", "kind": "too slow", "topic": "/image", "text": "comes at 2 Hz"},
            {"severity": "warning", "kind": "gap", "topic": "/image", "text": "a gap"},
        ]

    found = tones(change)["all"]
    texts = " ".join(f["text"] for f in found)
    assert "3 plans ended at the deadline" in texts and "800 ms" in texts and "1 problem in" in texts
    assert "run /image: comes at 2 Hz" in texts


def test_without_calibration_it_says_how_to_get_one():
    def change(result):
        result["checkpoints"][0]["measures"]["surprise"]["threshold"] = None

    assert "jepa calibrate" in tones(change)["surprise"]["todo"]


def test_two_checkpoints_are_told_apart():
    result = copy.deepcopy(GOOD)
    result["checkpoints"].append(copy.deepcopy(result["checkpoints"][0]) | {"name": "other"})
    texts = [f["text"] for f in findings(result) if f["anchor"] == "prediction"]
    assert sum(t.startswith("model: ") for t in texts) == sum(t.startswith("other: ") for t in texts) == 2
