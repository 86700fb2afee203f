"""`benchmarks/ablations.py` on recorded bags: what is finished is not repeated, what was not chosen is kept."""

import json

import ablations
import pytest

from jepa_ros.data.collect import CollectSettings, collect

SMALL = "--batch 4 --clip 4 --latent-dim 8 --head-steps 2 --no-cache"


@pytest.fixture(scope="module")
def bags(tmp_path_factory):
    out = tmp_path_factory.mktemp("bags") / "reach"
    collect(out, 4, CollectSettings(frames=30), workers=1)
    return out


@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("without_export")
def test_variants_are_trained_and_driven_once(bags, tmp_path, monkeypatch, capsys):
    trained, real = [], ablations.jepa
    monkeypatch.setattr(ablations, "jepa", lambda words: trained.append(words) or real(words))
    out = tmp_path / "ablations.json"

    def run(*options: str) -> dict:
        words = ["--bags", str(bags), "--train", SMALL, "--steps", "2", "--threads", "1"]
        words += ["--episodes", "1", "--blocks", "1", "--work", str(tmp_path / "work"), "--json", str(out)]
        assert ablations.main([*words, *options]) == 0, capsys.readouterr().err
        return json.loads(out.read_text())

    first = run("--only", "policy_proposals")
    assert len(trained) == 1 and list(first["variants"]) == ["whole", "policy_proposals"]
    whole, search = (first["variants"][name]["runs"][0] for name in ("whole", "policy_proposals"))
    assert whole["model_id"] == search["model_id"] and len(whole["tasks"]["reach"]["outcomes"]) == 1
    assert search["tasks"]["reach"]["policy_share"] == 0.0

    second = run("--only", "multi_step")
    assert len(trained) == 2 and trained[1][-2:] == ["--unroll", "1"]
    assert list(second["variants"]) == ["whole", "policy_proposals", "multi_step"]
    assert second["variants"]["whole"] == first["variants"]["whole"]
    assert second["variants"]["multi_step"]["runs"][0]["model_id"] != whole["model_id"]
    assert second["training"]["steps"] == 2 and second["training"]["loss"]["unroll"] == 0
    assert str(tmp_path) not in out.read_text()

    assert run("--only", "multi_step")["variants"] == second["variants"] and len(trained) == 2
    words = ["--bags", str(bags), "--steps", "3", "--work", str(tmp_path / "work"), "--json", str(out)]
    assert ablations.main(words) == 2
    assert "was trained by another command" in capsys.readouterr().err


def test_what_cannot_be_is_refused_before_anything_is_trained(bags, tmp_path, capsys):
    words = ["--bags", str(bags), "--work", str(tmp_path), "--json", str(tmp_path / "a.json")]
    for more, told in (
        (["--only", "hope"], "unknown hope; known: whole, temporal_distance"),
        (["--tasks", "knit"], "unknown task 'knit'"),
        (["--set", "levels=9"], "levels"),
        (["--train", "--encoder resnet"], "invalid choice: 'resnet'"),
    ):
        assert ablations.main([*words, *more]) == 2
        assert told in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.safetensors"))
