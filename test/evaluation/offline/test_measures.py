"""Each measure on recordings with a known answer: it must tell a good model from a bad one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from jepa_ros.evaluation.offline.actions import Comparison, Replanner, summarise
from jepa_ros.evaluation.offline.bootstrap import mean_interval, paired_interval
from jepa_ros.evaluation.offline.compare import Evidence, compare
from jepa_ros.evaluation.offline.health import health
from jepa_ros.evaluation.offline.landscape import choose_frames, landscape
from jepa_ros.evaluation.offline.prediction import prediction
from jepa_ros.evaluation.offline.progress import goal_distance, spearman
from jepa_ros.evaluation.offline.rollouts import open_loop, start_frames
from jepa_ros.evaluation.offline.surprise import surprise
from jepa_ros.planning.config import PlannerConfig

H = 3


@pytest.fixture(scope="module")
def errors(tracks, checkpoint):
    return open_loop(tracks, checkpoint.model, H, seed=0)


@pytest.fixture(scope="module")
def replanner(checkpoint):
    return Replanner(checkpoint, PlannerConfig(horizon=H, samples=32, iterations=3), seed=0)


def through(model, wrap):
    """The model with ``unroll`` replaced by wrap(original, z, q, past, blocks)."""
    original = type(model).unroll

    class Changed(type(model)):
        def unroll(self, z, q, past, blocks, *code):
            return wrap(lambda *a: original(self, *a, *code), z, q, past, blocks)

    changed = Changed(model.config, model.spec)
    changed.load_state_dict(model.state_dict())
    return changed.eval()


def test_errors_are_those_of_the_model_block_by_block(tracks, checkpoint, errors):
    model, block = checkpoint.model, checkpoint.spec.block
    track, frame = tracks[0], start_frames(tracks[0], model, 1)[3]
    begin = [frame - block, frame]
    latents, _ = model.rollout(
        torch.from_numpy(track.latents[begin]),
        torch.from_numpy(track.proprio[begin]),
        torch.from_numpy(track.actions[frame - block : frame].reshape(1, -1)),
        torch.from_numpy(track.actions[frame : frame + H * block].reshape(1, H, -1)),
    )
    seen = track.latents[frame + block * np.arange(1, H + 1)]
    expected = np.sqrt(np.mean((latents[0].numpy() - seen) ** 2, axis=1))
    assert np.allclose(errors[0].model[3], expected, atol=1e-5)
    copied = np.sqrt(np.mean((track.latents[frame] - seen) ** 2, axis=1))
    assert np.allclose(errors[0].copy_last[3], copied, atol=1e-6)


def test_beyond_the_end_nothing_is_known(tracks, checkpoint, errors):
    block = checkpoint.spec.block
    for e in errors:
        assert np.array_equal(
            np.isnan(e.model), e.starts[:, None] + block * np.arange(1, H + 1) >= len(e.track)
        )


def test_the_shipped_model_predicts_and_looks_at_actions(errors):
    p = prediction(errors, 0)
    assert p["horizons"] == [1, 2, 3] and p["n"] == sum(len(e.starts) for e in errors)
    assert p["gain_over_copy"] > 0.5 and p["action_gain"] > 0.5
    assert all(m < c for m, c in zip(p["model"], p["copy_last"], strict=True))
    assert all(low <= m <= high for m, (low, high) in zip(p["model"], p["model_ci"], strict=True))


def test_a_model_blind_to_actions_shows(tracks, checkpoint):
    blind = through(checkpoint.model, lambda f, z, q, past, blocks: f(z, q, past, torch.zeros_like(blocks)))
    p = prediction(open_loop(tracks, blind, H, 0), 0)
    assert p["model"] == p["shuffled"] and p["action_gain"] == 0


def test_a_model_that_copies_gains_nothing(tracks, checkpoint):
    def copy(f, z, q, past, blocks):
        steps = blocks.shape[1]
        return z[:, -1:].expand(-1, steps, -1), q[:, -1:].expand(-1, steps, -1)

    p = prediction(open_loop(tracks, through(checkpoint.model, copy), H, 0), 0)
    assert p["gain_over_copy"] == pytest.approx(0, abs=1e-6)


def test_tracks_too_short_to_predict_from(tracks, checkpoint):
    short = replace(
        tracks[0],
        **{n: getattr(tracks[0], n)[:5] for n in ("latents", "proprio", "actions", "stamps", "image_index")},
    )
    assert open_loop([short], checkpoint.model, H, 0) == []
    assert prediction([], 0) is None and surprise([], None, 4) is None


def test_a_planted_jump_is_the_surprise(tracks, checkpoint):
    jumped = tracks[2].latents.copy()
    jumped[25:] = jumped[25:][:, ::-1]
    changed = [*tracks[:2], replace(tracks[2], latents=jumped), *tracks[3:]]
    s = surprise(open_loop(changed, checkpoint.model, 1, 0), checkpoint.calibration, checkpoint.spec.block)
    spike = s["spikes"][0]
    assert spike["bag"] == tracks[2].bag and 25 <= np.searchsorted(tracks[2].stamps, spike["stamp_s"]) < 29
    assert (
        spike["surprise"] > s["threshold"]
        and spike["image_index"] == tracks[2].image_index[np.searchsorted(tracks[2].stamps, spike["stamp_s"])]
    )
    plain = surprise(open_loop(tracks, checkpoint.model, 1, 0), checkpoint.calibration, 4)
    assert plain["share_above"] < s["share_above"] and plain["spikes"][:1] != s["spikes"][:1]


def test_without_calibration_spikes_stand_out_of_the_recording(tracks, checkpoint):
    jumped = replace(tracks[0], latents=np.concatenate([tracks[0].latents[:20], tracks[0].latents[20:] + 3]))
    s = surprise(open_loop([jumped, *tracks[1:]], checkpoint.model, 1, 0), None, 4)
    assert s["threshold"] is None and s["share_above"] is None and s["spikes"][0]["bag"] == tracks[0].bag


def test_spearman_by_known_answers():
    x = np.arange(10.0)
    assert spearman(x, x**3) == pytest.approx(1) and spearman(x, -np.exp(x)) == pytest.approx(-1)
    assert spearman(np.array([1, 2, 2, 4]), np.array([1, 3, 2, 4])) == pytest.approx(0.9486833)
    assert spearman(x, np.zeros(10)) is None


def test_distance_to_the_end_falls_along_a_straight_way(tracks):
    way = np.linspace(0, 1, 40)[:, None] * np.ones((1, 64), np.float32)
    straight = replace(tracks[0], latents=way.astype(np.float32), end_effector=way[:, :3])
    g = goal_distance([straight, replace(straight, index=1)], 0)
    assert g["spearman_time"]["mean"] == pytest.approx(1) and g["spearman_distance"]["mean"] == pytest.approx(
        1
    )
    astray = np.concatenate(
        [np.abs(way[:-1] - 1) * 0.5, [[0.5] * 64]]
    )  # nears the last frame first, then leaves
    wrong = goal_distance(
        [replace(straight, latents=astray[::-1] * 0 + np.linspace(1, 0, 40)[:, None] ** 0)], 0
    )
    assert wrong["spearman_time"] is None


def test_an_unknown_end_effector_leaves_the_true_distance_out(tracks):
    g = goal_distance([replace(t, end_effector=None) for t in tracks], 0)
    assert g["spearman_distance"] is None and g["episodes"][0]["ee_distance_m"] is None


def test_the_recorded_block_is_better_than_chance_where_motion_has_a_purpose(tracks, replanner):
    places = replanner.moments(tracks, 1.0)
    rows = [[replanner.compare(t, f) for t, f in places]]
    a = summarise(rows, replanner.spec.joint_names)
    assert a["n"] == len(places) >= 16 and len({t.bag for t, _ in places}) == len(tracks)
    assert a["rank"]["mean"] < 0.3 and a["cosine"]["median"] > 0.3
    again = [replanner.compare(t, f) for t, f in places]
    assert np.array_equal([c.rank for c in rows[0]], [c.rank for c in again], equal_nan=True)


def test_agreement_by_known_answers():
    same = Comparison(0, np.array([0.1, -0.2, 0.0]), np.array([0.2, -0.4, 0.3]), 0.0)
    assert same.same_sign[:2].tolist() == [1, 1] and np.isnan(same.same_sign[2])
    still = Comparison(0, np.zeros(3), np.array([0.2, 0, 0]), 0.5)
    assert np.isnan(still.cosine)
    against = Comparison(0, np.array([0.1, 0, 0]), np.array([-0.3, 0, 0]), 1.0)
    a = summarise([[against, still]], ("a", "b", "c"))
    assert a["cosine"]["values"] == [pytest.approx(-1)] and a["sign_agreement"] == [0.0, None, None]
    assert a["mae_rad"] == [pytest.approx(0.3), 0, 0] and a["rank"]["mean"] == 0.75


def test_a_landscape_holds_the_energies_that_the_planner_sees(tracks, replanner):
    (track, frame), *_ = choose_frames(replanner, tracks, 2)
    land = landscape(replanner, track, frame)
    cost = np.array(land["cost"])
    spec = replanner.spec
    jx, jy = spec.joint_names.index(land["joint_x"]), spec.joint_names.index(land["joint_y"])
    blocks = np.zeros((1, H, spec.block, spec.dim))
    moves = track.actions[frame : frame + spec.block].sum(0)
    moves[jx], moves[jy] = land["x"][3], land["y"][8]
    blocks[0, 0] = moves / spec.block
    energy = replanner.evaluator(track, frame, replanner.planner.reduction).evaluate(blocks.reshape(1, H, -1))
    assert cost[8, 3] == pytest.approx(float(energy[0]), abs=1e-4)
    row, column = np.unravel_index(cost.argmin(), cost.shape)
    assert land["least"] == [land["x"][column], land["y"][row]]


def test_health_tells_familiar_from_foreign_frames(tracks, checkpoint):
    usual = health(tracks, checkpoint.calibration)
    assert usual["ood"]["share_above"] < 0.1 and usual["effective_rank"] > 3
    foreign = health([replace(t, latents=t.latents + 2) for t in tracks], checkpoint.calibration)
    assert foreign["ood"]["share_above"] == 1
    flat = health(
        [replace(t, latents=np.outer(np.arange(40.0), np.ones(64)).astype(np.float32)) for t in tracks], None
    )
    assert flat["effective_rank"] == pytest.approx(1, abs=0.01) and flat["ood"] is None


def test_intervals_cover_and_pair():
    rng = np.random.default_rng(0)
    values = [rng.normal(m, 0.1, 30) for m in rng.normal(5, 1, 20)]
    low, high = mean_interval(values)
    assert low < np.mean(np.concatenate(values)) < high and high - low > 0.4  # episodes differ, not frames
    assert mean_interval([]) is None
    better = [v - 0.05 for v in values]
    low, high = paired_interval(values, better, np.mean)
    assert low == pytest.approx(-0.05, abs=1e-6) and high == pytest.approx(-0.05, abs=1e-6)


def evidence(name, shift):
    found, rng = Evidence(name), np.random.default_rng(1)
    for i in range(12):
        found.add("rank", ("bag", i), np.clip(rng.uniform(0.1, 0.2, 10) + shift, 0, 1))
        found.add("cosine", ("bag", i), rng.uniform(-1, 1, 10))
    return found


def test_the_better_checkpoint_is_named():
    outcome = compare(evidence("old", 0.2), evidence("new", 0.0), 0)
    rank, cosine = outcome["rows"]
    assert rank["says"] == "b" and rank["ci"][1] < 0 and rank["difference"] == pytest.approx(-0.2)
    assert cosine["says"] == "same" and cosine["difference"] == 0
    assert outcome["verdict"] == "new is better than old on 1 of 2 figures and worse on none."
    assert compare(evidence("old", 0), evidence("new", 0.2), 0)["verdict"].startswith(
        "old is better than new"
    )
    assert "No difference" in compare(evidence("a", 0), evidence("b", 0), 0)["verdict"]
