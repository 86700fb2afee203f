"""From bags to a result: complete, deterministic, honest about bags that cannot be used."""

import json
import shutil
from dataclasses import replace

import pytest

from jepa_ros.cli.main import main
from jepa_ros.errors import JepaError
from jepa_ros.evaluation.offline.offline import Settings, run_offline

QUICK = Settings(horizon=2, plan_every_s=2.0, landscapes=1)
OF_THE_RUN = ("created", "speed", "commit")


@pytest.fixture(scope="module")
def outcome(bags, checkpoint):
    return run_offline(bags, [checkpoint], QUICK)


def test_every_measure_is_there(outcome, bags):
    result = outcome.result
    assert [b["name"] for b in result["bags"]] == [b.name for b in bags]
    assert all(b["frames"] == 40 and b["digest"].startswith("sha256:") for b in result["bags"])
    (checkpoint,) = result["checkpoints"]
    measures = checkpoint["measures"]
    assert set(measures) == {
        "prediction", "actions", "goal_distance", "landscapes", "surprise", "health", "reproduced",
    }  # fmt: skip
    assert measures["reproduced"] is None  # collected bags hold no plans
    assert measures["prediction"]["horizons"] == [1, 2] and len(measures["landscapes"]) == 1
    assert result["comparison"] is None and result["findings"]
    assert {f["tone"] for f in result["findings"]} <= {"good", "bad", "note"}
    image = next(t for t in result["bags"][0]["topics"] if t["topic"] == "/jepa/image")
    assert (image["count"], image["dropped"]) == (40, 0) and image["rate_hz"] == pytest.approx(10, rel=0.01)
    number = measures["landscapes"][0]["thumbnail"]
    assert outcome.thumbnails[number].shape == (64, 64, 3) and outcome.thumbnails[number].std() > 5


def test_the_result_is_json_and_the_same_again_in_one_thread(outcome, bags, checkpoint, monkeypatch):
    monkeypatch.setattr("jepa_ros.evaluation.offline.offline.WORKERS", 1)
    text = json.dumps(outcome.result, allow_nan=False)
    again = run_offline(bags, [checkpoint], QUICK).result
    first, second = json.loads(text), json.loads(json.dumps(again))
    for result in (first, second):
        for name in OF_THE_RUN:
            result.pop(name)
    assert first == second


def test_two_checkpoints_are_compared(bags, checkpoint, tmp_path):
    """An untrained copy beside the shipped one: it must lose."""
    import torch

    from jepa_ros.world_model.model import WorldModel

    torch.manual_seed(0)
    model = WorldModel(checkpoint.model.config, checkpoint.spec).eval().requires_grad_(False)
    untrained = replace(checkpoint, model=model, model_id="untrained", path=tmp_path / "untrained")
    result = run_offline(bags, [untrained, checkpoint], QUICK).result
    comparison = result["comparison"]
    assert (comparison["a"], comparison["b"]) == ("untrained", checkpoint.path.name)
    assert comparison["verdict"].startswith(f"{checkpoint.path.name} is better than untrained")
    blind = next(r for r in comparison["rows"] if "shuffled" in r["measure"])
    assert blind["says"] == "b" and blind["ci"][1] < 0
    assert any(f["tone"] == "bad" and f["text"].startswith("untrained: ") for f in result["findings"])


def test_an_unusable_bag_is_an_entry_and_the_rest_is_used(bags, checkpoint, tmp_path):
    shutil.copytree(bags[0], tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.mcap").write_bytes(b"no bag at all")
    result = run_offline([tmp_path], [checkpoint], QUICK).result
    bad, good = result["bags"]
    assert bad["frames"] == 0 and bad["problems"][0]["severity"] == "error"
    assert good["frames"] == 40 and result["checkpoints"][0]["measures"]["prediction"]
    assert any(f["tone"] == "bad" and "bad" in f["text"] for f in result["findings"])
    shutil.rmtree(tmp_path / "good")
    with pytest.raises(JepaError, match="none of the 1 bags gives an episode"):
        run_offline([tmp_path], [checkpoint], QUICK)


def test_bags_of_one_name_are_told_apart(bags, checkpoint, tmp_path):
    for folder in ("monday", "tuesday"):
        shutil.copytree(bags[0], tmp_path / folder / "run")
    result = run_offline([tmp_path], [checkpoint], replace(QUICK, plans=False)).result
    assert [b["name"] for b in result["bags"]] == ["monday/run", "tuesday/run"]
    assert result["checkpoints"][0]["measures"]["actions"] is None


def test_the_command_writes_report_and_json(bags, tmp_path, capsys):
    files = tmp_path / "deep" / "result.json", tmp_path / "report"
    arguments = ["offline", "--bags", *map(str, bags[:2]), "--checkpoint", "reach", "--plan-every", "2"]
    assert main([*arguments, "--json", str(files[0]), "--report", str(files[1])]) == 0
    printed = capsys.readouterr().out
    assert "times real time" in printed and str(files[1] / "report.html") in printed
    assert json.loads(files[0].read_text())["format"] == 1
    assert "<html" in (files[1] / "report.html").read_text()[:2000].lower()
    assert len(list((files[1] / "plots").glob("*.png"))) >= 5


@pytest.mark.parametrize(
    "options, named",
    [
        (["--bags", "nowhere", "--checkpoint", "reach"], "nowhere: no such file"),
        (["--bags", "{bag}", "--checkpoint", "no_model"], "checkpoint 'no_model'"),
        (["--bags", "{bag}", *["--checkpoint", "reach"] * 3], "given 3 times"),
        (["--bags", "{bag}", "--checkpoint", "reach", "--horizon", "0"], "horizon is 0"),
        (["--bags", "{bag}", "--checkpoint", "reach", "--plan-every", "0"], "plan_every_s is 0"),
        (["--bags", "{bag}", "--checkpoint", "reach", "--report", "{file}"], "--report"),
        (["--bags", "{bag}", "--checkpoint", "reach", "--json", "{folder}"], "cannot write"),
    ],
)
def test_bad_input_is_one_line(bags, tmp_path, capsys, options, named):
    (tmp_path / "file").touch()
    places = {"bag": bags[0], "file": tmp_path / "file", "folder": tmp_path}
    assert main(["offline", *(o.format(**places) for o in options)]) == 2
    error = capsys.readouterr().err
    assert named in error and "Traceback" not in error
