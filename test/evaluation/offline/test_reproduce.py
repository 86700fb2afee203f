"""What a bag tells of how it was recorded: which images were encoded, and when the planner searched."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from jepa_ros.costs.energy import DEFAULT_WEIGHTS, OBJECTS, Energy
from jepa_ros.costs.risk import Risk
from jepa_ros.data.recorded import RecordedEmbedding, RecordedGoal, RecordedPlan
from jepa_ros.data.recording_reader import read_recording
from jepa_ros.evaluation.actor import respond
from jepa_ros.evaluation.offline.reproduce import LiveSettings, reproduce
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.episode import PlanningEpisode
from jepa_ros.planning.joint_history import JointHistory
from jepa_ros.planning.memory import ShortTermMemory
from jepa_ros.planning.receding_horizon import Planner
from jepa_ros.planning.sub_goals import SubGoals
from jepa_ros.world_model.checkpoint import load_checkpoint, save_checkpoint, save_heads
from jepa_ros.world_model.futures import Futures
from jepa_ros.world_model.heads import Heads, HeadsConfig
from jepa_ros.world_model.model import ModelConfig, WorldModel
from jepa_ros.world_model.trust import HEADS, file_sha256


@pytest.fixture
def recording(bags, checkpoint):
    return read_recording(bags[0], spec=checkpoint.spec)


def test_an_image_that_the_encoder_skipped_is_compared_by_the_one_it_encoded(recording, checkpoint):
    stamps = [int(s) for s in recording.streams.image_stamps[:12:5]]
    found = dict(recording.images(range(12), None))
    latents = [checkpoint.model.embed(found[i]) for i in (0, 5, 10)]

    def embedding(at, of, encoded):
        return RecordedEmbedding(0, stamps[at], checkpoint.model_id, latents[of], stamps[encoded])

    recording.embeddings = [embedding(0, 0, 0), embedding(1, 0, 0), embedding(2, 2, 2)]
    told = reproduce(recording, checkpoint)
    assert (told.embeddings, told.embeddings_bit_equal, told.largest_latent_difference) == (3, 3, 0.0)
    recording.embeddings[1] = embedding(1, 0, 1)
    wrong = reproduce(recording, checkpoint)
    assert (wrong.embeddings, wrong.embeddings_bit_equal) == (3, 2) and wrong.largest_latent_difference > 0


@pytest.mark.parametrize(
    "parameters, replan",
    [({"replan": "event"}, "event"), ({"replan": "always"}, "always"), ({"samples": 64}, "always")],
    ids=["event", "always", "recorded before there was a choice"],
)
def test_plans_are_repeated_as_they_were_made(recording, parameters, replan):
    recording.metadata["parameters"] = {"/jepa/planner": parameters}
    assert LiveSettings.of(recording).planner.replan == replan


@pytest.mark.parametrize("told", [{}, {"stall_plans": 5}])
def test_plans_of_before_other_proposals_were_tried_are_repeated_without(recording, told):
    recording.metadata["parameters"] = {"/jepa/planner": {"mode": "policy"} | told}
    assert LiveSettings.of(recording).planner.stall_plans == told.get("stall_plans", 0)


@pytest.mark.parametrize("told, margin", [({}, 0.0), ({"surprise.arm_margin": 3.0}, 3.0)])
def test_looks_of_before_the_gate_saw_the_arm_are_judged_without(recording, told, margin):
    judged = {"surprise.enabled": True, "surprise.margin": 0.7}
    recording.metadata["parameters"] = {"/jepa/planner": judged | told}
    assert dict(LiveSettings.of(recording).surprise) == {"arm_margin": margin, "margin": 0.7}


def test_a_bag_that_tells_nothing_of_its_planner_is_repeated_by_the_defaults(recording):
    recording.metadata.pop("parameters", None)
    assert LiveSettings.of(recording).planner == PlannerConfig()


@pytest.fixture
def with_heads(checkpoint, tmp_path):
    """The checkpoint, and heads of random weights beside it."""
    folder = shutil.copytree(checkpoint.path, tmp_path / "with_heads")
    add_heads(folder, 1)
    return load_checkpoint(folder)


def add_heads(folder, seed, objects=0):
    """Returns their sha256. objects: of features, for which nothing is in its place."""
    torch.manual_seed(seed)
    model = load_checkpoint(folder).model
    config = HeadsConfig(width=16, depth=1, hypotheses=4, horizon=2, objects=objects)
    heads = Heads(config, model.latent_dim, model.context, model.spec)
    if objects:
        heads.objects.features[-1].weight.data *= 100
    save_heads(folder, heads)
    return file_sha256(folder / HEADS)


def planned(recording, checkpoint, propose, risk=Risk(), weights=DEFAULT_WEIGHTS, off=0.0, **others):
    """Three plans in hybrid, as a live graph would have recorded them; how often the policy made one.

    weights: of the live energy.  off: rad, added to the joints at the image's stamp, which it plans from.  others: parameters of
    other nodes than the planner."""
    parameters = {
        "mode": "hybrid",
        "hybrid_left": 9.0,
        "replan": "always",
        "samples": 16,
        "iterations": 2,
        "horizon": 2,
    }
    nodes = {"planner": parameters} | others
    recording.metadata["parameters"] = {f"/jepa/{name}": values for name, values in nodes.items()}
    settings = LiveSettings.of(recording)
    streams, model, names = recording.streams, checkpoint.model, checkpoint.spec.joint_names
    looks = {
        int(streams.image_stamps[i]): model.embed(image)
        for i, image in recording.images(range(0, 9, 4), None)
    }
    goal = model.embed(dict(recording.images([32], None))[32])
    history = JointHistory(names, settings.joint_state_tolerance_s, length=10**6)
    for stamp, position in zip(streams.joint_stamps, streams.joint_positions, strict=True):
        history.add(int(stamp), names, position)
    episode = PlanningEpisode(
        Planner(checkpoint.spec, settings.planner),
        ShortTermMemory(checkpoint.spec, model.context, settings.memory_gap_s),
    )
    recording.goals = [RecordedGoal(0, 0, "g", checkpoint.model_id, goal)]
    recording.plans, recording.embeddings = [], []
    for n, (stamp, latent) in enumerate(looks.items()):
        proprio = history.at(stamp) + off
        episode.look(latent, proprio, stamp * 1e-9)
        energy = Energy.of(checkpoint, dict(weights), risk)
        actions = respond(episode, model, energy, goal, propose, checkpoint.goal_tolerance)
        recording.plans.append(
            RecordedPlan(
                n,
                stamp,
                f"p{n}",
                "g",
                checkpoint.model_id,
                names,
                actions,
                latent,
                episode.solution.cost,
                proprio,
            )
        )
    return episode.makers["policy"]


def test_a_plan_is_made_again_from_the_joints_that_it_tells(recording, with_heads):
    """Live, a joint state may come late, and the plan starts from the one before."""
    planned(recording, with_heads, None, off=0.02)
    told = reproduce(recording, with_heads)
    assert (told.plans, told.bit_equal, told.note) == (3, 3, "")
    untold = np.zeros(0)  # as in a bag from before plans told it
    recording.plans = [replace(plan, proprio=untold) for plan in recording.plans]
    assert reproduce(recording, with_heads).bit_equal < 3


@pytest.mark.parametrize("rate_hz", [10, 500])
def test_a_plan_that_tells_no_joints_is_made_again_from_those_of_its_image(recording, with_heads, rate_hz):
    streams = recording.streams
    stamps = np.arange(streams.joint_stamps[0], streams.joint_stamps[-1] + 1, 10**9 // rate_hz)
    joints = [np.interp(stamps, streams.joint_stamps, positions) for positions in streams.joint_positions.T]
    joints = {"joint_stamps": stamps, "joint_logged": stamps, "joint_positions": np.stack(joints, axis=1)}
    recording.streams = replace(streams, **joints)
    planned(recording, with_heads, None)
    recording.plans = [replace(plan, proprio=np.zeros(0)) for plan in recording.plans]
    assert reproduce(recording, with_heads).bit_equal == 3


def test_what_was_searched_without_heads_is_searched_again_though_there_are_some_now(recording, with_heads):
    assert planned(recording, with_heads, None) == 0
    told = reproduce(recording, with_heads)
    assert (told.plans, told.bit_equal, told.note) == (3, 3, "")


def test_what_heads_proposed_is_proposed_again_by_them_and_by_no_others(recording, with_heads):
    folder = with_heads.path
    assert planned(recording, with_heads, with_heads.heads.propose) == 3
    recording.metadata["heads_sha256"] = recorded = file_sha256(folder / HEADS)
    told = reproduce(recording, with_heads)
    assert (told.plans, told.bit_equal, told.note) == (3, 3, "")
    other = add_heads(folder, 2)
    for there in (f"others, {other[:12]}", "none"):
        told = reproduce(recording, load_checkpoint(folder))
        assert (told.plans, told.bit_equal, told.largest_difference_rad) == (0, 0, 0.0)
        assert recorded[:12] in told.note and there in told.note
        (folder / HEADS).unlink(missing_ok=True)
    del recording.metadata["heads_sha256"]  # recorded where the checkpoint does not lie
    recording.metadata["parameters"]["/jepa/planner"]["mode"] = "policy"
    told = reproduce(recording, load_checkpoint(folder))
    assert told.plans == 0 and "the bag does not tell which heads" in told.note


@pytest.fixture
def with_objects(with_heads):
    """The checkpoint, and beside it heads that have found objects, out of place in every look."""
    add_heads(with_heads.path, 1, objects=3)
    return load_checkpoint(with_heads.path)


SCORED = {"weights.objects": 10.0, "checkpoint": "somewhere"}
NO_OBJECTS = DEFAULT_WEIGHTS | {OBJECTS: 0.0}


def test_what_was_planned_with_objects_in_the_energy_is_planned_again_with_them(recording, with_objects):
    made = planned(recording, with_objects, with_objects.heads.propose, cost=SCORED)
    recording.metadata["heads_sha256"] = file_sha256(with_objects.path / HEADS)
    told = reproduce(recording, with_objects)
    assert made == 3 and (told.plans, told.bit_equal, told.note) == (3, 3, "")
    costs = [plan.expected_cost for plan in recording.plans]
    planned(recording, with_objects, with_objects.heads.propose, weights=NO_OBJECTS, cost=SCORED)
    assert all(a > b for a, b in zip(costs, (plan.expected_cost for plan in recording.plans), strict=True))


@pytest.mark.parametrize(
    "cost, heads_then",
    [
        ({}, True),  # before there was the term
        (SCORED, False),
        (SCORED | {"weights.objects": 0.0}, True),
        (SCORED | {"checkpoint": ""}, True),
        (SCORED | {"checkpoint_sha256": 64 * "a"}, True),
    ],
    ids=["no such term yet", "no heads yet", "no weight", "no checkpoint", "heads not pinned"],
)
def test_what_was_searched_without_objects_in_the_energy_is_not_planned_with_them(
    recording, with_objects, cost, heads_then
):
    propose = with_objects.heads.propose if heads_then else None
    planned(recording, with_objects, propose, weights=NO_OBJECTS, cost=cost)
    if heads_then:
        recording.metadata["heads_sha256"] = file_sha256(with_objects.path / HEADS)
    assert dict(LiveSettings.of(recording).weights)[OBJECTS] == 0
    told = reproduce(recording, with_objects)
    assert (told.plans, told.bit_equal, told.note) == (3, 3, "")


def test_the_live_planner_knew_whether_there_was_such_a_term(recording):
    """Heads that had found nothing then may have found something by now."""
    recording.metadata |= {"heads_sha256": 64 * "c", "parameters": {"/jepa/cost": SCORED}}
    for names, weight in (([], 10.0), (["goal_distance"], 0.0), (["goal_distance", OBJECTS], 10.0)):
        recording.statuses = [{"term_names": []}, {"term_names": names}]
        settings = LiveSettings.of(recording)
        assert dict(settings.weights)[OBJECTS] == weight


def test_plans_of_several_futures_are_repeated_with_the_same_ones_joined_alike(
    recording, checkpoint, tmp_path
):
    torch.manual_seed(0)
    config = ModelConfig(latent_dim=16, predictor_width=32, predictor_depth=1, codes=4)
    save_checkpoint(tmp_path, WorldModel(config, checkpoint.spec), {"goal_tolerance": 0.05})
    live, offline = load_checkpoint(tmp_path), load_checkpoint(tmp_path)
    live.model.futures = Futures(3, seed=5)
    told = {
        "cost": {"risk": "mix", "risk_weight": 0.9, "risk_tail": 0.4},
        "world_model": {"futures": 3, "futures_seed": 5},
    }
    planned(recording, live, None, Risk("mix", 0.9, 0.4), **told)
    again = reproduce(recording, offline)
    assert (again.plans, again.bit_equal, again.note) == (3, 3, "")
    assert offline.model.futures == Futures(), "what is measured beside it is not changed"
    for node in told:
        wrong = {f"/jepa/{name}": values for name, values in told.items() if name != node}
        recording.metadata["parameters"] = recording.metadata["parameters"] | {f"/jepa/{node}": {}} | wrong
        assert reproduce(recording, offline).bit_equal < 3, node


@pytest.mark.parametrize(
    "mode, pin, term, used",
    [
        ("hybrid", "a", 0.0, False),
        ("policy", "a,b", 0.0, True),
        ("search", "", 0.0, False),
        ("search", "", 1.0, True),
    ],
)
def test_heads_that_had_no_part_in_the_plans_do_not_matter(recording, mode, pin, term, used):
    digests = ",".join(64 * digit for digit in pin.split(",")) if pin else ""
    recording.metadata["heads_sha256"] = "c" * 64
    recording.metadata["parameters"] = {
        "/jepa/planner": {"mode": mode, "checkpoint_sha256": digests},
        "/jepa/cost": {"weights.temporal_distance": term},
    }
    assert LiveSettings.of(recording).heads_sha256 == ("c" * 64 if used else "")


def test_plans_by_way_of_a_sub_goal_are_repeated_as_one_pursuit(recording, checkpoint):
    """The live planner passes a sub-goal at the third look, and goes on with the memory that it has."""
    config = PlannerConfig(mode="search", samples=16, iterations=2, horizon=2)
    streams, model, names = recording.streams, checkpoint.model, checkpoint.spec.joint_names
    pictures = dict(recording.images(range(0, 33, 4), None))
    looks = {int(streams.image_stamps[i]): model.embed(image) for i, image in pictures.items()}
    latents = list(looks.values())
    way = np.stack([latents[2], latents[-1]])
    history = JointHistory(names, LiveSettings().joint_state_tolerance_s, length=10**6)
    for stamp, position in zip(streams.joint_stamps, streams.joint_positions, strict=True):
        history.add(int(stamp), names, position)
    episode = PlanningEpisode(
        Planner(checkpoint.spec, config),
        ShortTermMemory(checkpoint.spec, model.context, LiveSettings().memory_gap_s),
    )
    episode.sub_goals, energy = SubGoals(way, 1e-3), Energy.of(checkpoint, dict(DEFAULT_WEIGHTS))
    recording.goals = [
        RecordedGoal(0, 0, goal_id, checkpoint.model_id, latent, part_of)
        for goal_id, latent, part_of in (("g.0", way[0], "g"), ("g", way[1], ""))
    ]
    recording.plans = []
    for n, (stamp, latent) in enumerate(list(looks.items())[:5]):
        episode.look(latent, history.at(stamp), stamp * 1e-9)
        goal_id = recording.goals[episode.sub_goals.index].goal_id
        actions = respond(episode, model, energy, episode.sub_goals.latent)
        recording.plans.append(
            RecordedPlan(
                n, stamp, f"p{n}", goal_id, checkpoint.model_id, names, actions, latent, episode.solution.cost
            )
        )
    assert [plan.goal_id for plan in recording.plans] == ["g.0", "g.0", "g", "g", "g"]
    told = reproduce(recording, checkpoint, LiveSettings(config))
    assert (told.plans, told.bit_equal, told.largest_difference_rad) == (5, 5, 0.0)
    recording.goals[0] = RecordedGoal(0, 0, "g.0", checkpoint.model_id, way[0])  # as if two goals
    assert reproduce(recording, checkpoint, LiveSettings(config)).bit_equal < 5
