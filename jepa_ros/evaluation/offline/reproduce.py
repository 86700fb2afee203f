"""Plans that a live graph published, planned again from the bag: the same, to the bit, or by how much not.

Live graph and offline evaluation run the same classes: encoder, short-term memory, planner, world model, energy. So
with the bag's images and goal, the joints that each plan tells (of older bags: those of the image's stamp), the planner's seed,
the same runtime and enough time for every plan, they plan the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby

import numpy as np

from jepa_ros.costs.energy import DEFAULT_WEIGHTS, OBJECTS, Energy, wanted_heads
from jepa_ros.costs.risk import Risk
from jepa_ros.data.recorded import RecordedPlan
from jepa_ros.data.recording import Recording
from jepa_ros.evaluation.actor import respond
from jepa_ros.evaluation.agents import policy
from jepa_ros.export.verify import TOLERANCE
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.episode import PlanningEpisode
from jepa_ros.planning.joint_history import DEFAULT_TOLERANCE_S, JointHistory
from jepa_ros.planning.memory import DEFAULT_GAP_S, ShortTermMemory
from jepa_ros.planning.receding_horizon import Planner
from jepa_ros.planning.surprise import SurpriseGate
from jepa_ros.world_model.checkpoint import Checkpoint
from jepa_ros.world_model.futures import Futures
from jepa_ros.world_model.trust import HEADS, file_sha256, pinned_digests

_HISTORY_NS = 2_000_000_000
_MOST_PLANS = 100
"""Recorded plans of a bag that are planned again, its first ones: each takes as long as it took live."""
_MOST_EMBEDDINGS = 300
"""Recorded embeddings that are compared, spread over the bag."""


@dataclass(frozen=True)
class LiveSettings:
    """What live planner, cost node and world model were run with; the nodes' defaults where the bag does not tell.

    surprise: settings of the planner's surprise gate, names and values; None where it judged nothing.
    heads_sha256: of the heads that proposed, or gave a cost term; "" where none did, or the bag does not tell.
    """

    planner: PlannerConfig = PlannerConfig()
    weights: tuple[tuple[str, float], ...] = tuple(DEFAULT_WEIGHTS.items())
    memory_gap_s: float = DEFAULT_GAP_S
    joint_state_tolerance_s: float = DEFAULT_TOLERANCE_S
    surprise: tuple[tuple[str, float], ...] | None = None
    heads_sha256: str = ""
    risk: Risk = Risk()
    futures: Futures = Futures()

    @classmethod
    def of(cls, recording: Recording) -> "LiveSettings":
        """From the parameters that `jepa record` keeps in a bag's metadata."""
        parameters = recording.metadata.get("parameters", {})
        by_node = {name.rsplit("/", 1)[-1]: values for name, values in parameters.items()}
        planner, cost, model = (by_node.get(name, {}) for name in ("planner", "cost", "world_model"))
        known = {f.name for f in fields(PlannerConfig)}
        weights = {name: cost.get(f"weights.{name}", weight) for name, weight in DEFAULT_WEIGHTS.items()}
        heads_sha256 = recording.metadata.get("heads_sha256", "")
        if not _scored_objects(recording, cost):
            weights[OBJECTS] = 0.0
        gate = {k.removeprefix("surprise."): v for k, v in planner.items() if k.startswith("surprise.")}
        judged = gate.pop("enabled", False)
        gate = {"arm_margin": 0.0} | gate  # without the parameter, as before there was one
        search = {k: v for k, v in planner.items() if k in known}
        if search:  # without the parameters, as before they were there, every look is searched for
            search = {"replan": "always", "mode": "search", "replan_energy": 0.0, "stall_plans": 0} | search
        config = PlannerConfig.from_dict(search)
        pin = planner.get("checkpoint_sha256", "")
        trusted = not pin or pinned_digests(pin)[1]
        used = trusted and (config.mode != "search" or wanted_heads(weights) or weights[OBJECTS] > 0)
        return cls(
            config,
            tuple(weights.items()),
            planner.get("memory_gap_s", DEFAULT_GAP_S),
            planner.get("joint_state_tolerance_s", DEFAULT_TOLERANCE_S),
            tuple(gate.items()) if judged else None,
            heads_sha256 if used else "",
            Risk(
                cost.get("risk", Risk.kind),
                cost.get("risk_weight", Risk.weight),
                cost.get("risk_tail", Risk.tail),
            ),
            Futures(model.get("futures", Futures.count), model.get("futures_seed", Futures.seed)),
        )


@dataclass(frozen=True)
class Reproduction:
    """Of ``plans`` that the recorded graph made with this checkpoint, how many came out again bit for bit; none are counted
    where other heads had a part in them.

    largest_difference_rad: of any raw action in the first plan of a goal that differs, else 0 (later plans of
    that goal start from another memory).  embeddings, largest_latent_difference: the same for the latents of
    images.  note: why plans may differ, in words; "" where none does.
    """

    plans: int
    bit_equal: int
    largest_difference_rad: float
    embeddings: int
    embeddings_bit_equal: int
    largest_latent_difference: float
    note: str


def reproduce(
    recording: Recording, checkpoint: Checkpoint, settings: LiveSettings | None = None
) -> Reproduction | None:
    """Plan again what the bag's graph planned; None where the bag holds no plan and no embedding of this
    checkpoint. settings: None takes those that the bag tells."""
    whole = {g.goal_id: g.pursuit for g in recording.goals}
    plans = [p for p in recording.plans if p.model_id == checkpoint.model_id]
    pursuits = [list(group) for _, group in groupby(plans, lambda p: whole.get(p.goal_id, p.goal_id))]
    pursuits = _searched(pursuits)
    plans = [plan for pursuit in pursuits for plan in pursuit]
    seen = [e for e in recording.embeddings if e.encoder_id == checkpoint.model_id]
    seen = seen[:: max(1, -(-len(seen) // _MOST_EMBEDDINGS))]
    if not plans and not seen:
        return None
    settings = settings or LiveSettings.of(recording)
    foreign = _foreign_heads(checkpoint, settings) if plans else ""
    if foreign:
        plans, pursuits = [], []
    latents = _latents(recording, checkpoint, {p.stamp_ns for p in plans} | {e.stamp_ns for e in seen})
    compared = [(e.latent, latents[e.stamp_ns]) for e in seen if e.stamp_ns in latents]
    reused = [
        e for e in recording.embeddings if e.encoder_id == checkpoint.model_id and e.encoded_ns != e.stamp_ns
    ]
    told = {e.stamp_ns: e.latent for e in reused}  # the encoded image may be from before the bag began
    outcomes = []
    if pursuits:
        repeat = _Repeat(recording, checkpoint, settings, told | latents)
        usual, checkpoint.model.futures = checkpoint.model.futures, settings.futures
        try:
            outcomes = [repeat.pursuit(pursuit) for pursuit in pursuits]
        finally:
            checkpoint.model.futures = usual
    equal = sum(n for n, _ in outcomes)
    missed = sum(s["deadline_misses"] > 0 for s in _last_statuses(recording))
    apart = float(max((np.abs(a - b).max() for a, b in compared), default=0.0))
    notes = [foreign] if foreign else []
    if 0 < apart <= TOLERANCE:
        notes.append(
            f"the live encoder computed with another runtime than {checkpoint.model.runtime}, or on another machine: its "
            f"embeddings differ by up to {apart:.0e}; --runtime chooses"
        )
    elif equal < len(plans) and missed:
        notes.append(f"{missed} goals had plans that ended at their deadline, with fewer iterations")
    elif equal < len(plans):
        notes.append("the bag lacks a goal, or an image or joint state that the live planner had")
    return Reproduction(
        len(plans),
        equal,
        max((d for _, d in outcomes), default=0.0),
        len(compared),
        sum(np.array_equal(a, b) for a, b in compared),
        apart,
        "; ".join(notes),
    )


def merge(found: Sequence[Reproduction]) -> dict | None:
    """Of several bags together, as a dict of Reproduction's fields; None where there is nothing."""
    if not found:
        return None
    counts = ("plans", "bit_equal", "embeddings", "embeddings_bit_equal")
    return {
        **{name: sum(getattr(r, name) for r in found) for name in counts},
        "largest_difference_rad": max(r.largest_difference_rad for r in found),
        "largest_latent_difference": max(r.largest_latent_difference for r in found),
        "note": "; ".join(dict.fromkeys(r.note for r in found if r.note)),
    }


def _scored_objects(recording: Recording, cost: Mapping) -> bool:
    """Whether the live energy had a term of objects: as the planner's statuses say, else by the parameters ``cost`` of a cost
    node that knew the term and had heads to ask. Heads may have come since the bag was recorded, or found more."""
    told = [status["term_names"] for status in recording.statuses if status.get("term_names")]
    if told:
        return any(OBJECTS in names for names in told)
    pin = cost.get("checkpoint_sha256", "")
    heads = recording.metadata.get("heads_sha256") and (not pin or pinned_digests(pin)[1])
    return bool(f"weights.{OBJECTS}" in cost and cost.get("checkpoint") and heads)


def _foreign_heads(checkpoint: Checkpoint, settings: LiveSettings) -> str:
    """Why plans in which heads had a part cannot be made again, in words; "" where they can."""
    recorded, file = settings.heads_sha256, checkpoint.path / HEADS
    if not recorded:
        untold = "plans were not made again: the bag does not tell which heads proposed them"
        return untold if settings.planner.mode == "policy" else ""
    found = file_sha256(file) if file.is_file() else ""
    if found == recorded:
        return ""
    return (
        f"plans were not made again: their heads have sha256 {recorded[:12]}, and beside the checkpoint there are "
        f"{f'others, {found[:12]}' if found else 'none'}; put the recorded {HEADS} there"
    )


def _searched(pursuits: Sequence[list[RecordedPlan]]) -> list[list[RecordedPlan]]:
    """The first ``_MOST_PLANS`` plans, without those not to move at the end of a goal, which cut it short; the others are
    of looks that the surprise gate held the arm for."""
    found, left = [], _MOST_PLANS
    for plans in pursuits:
        while plans and not plans[-1].predicted.size:
            plans = plans[:-1]
        found, left = [*found, plans[:left]], left - len(plans[:left])
    return [plans for plans in found if plans]


def _latents(recording: Recording, checkpoint: Checkpoint, stamps: set[int]) -> dict[int, np.ndarray]:
    """Stamp to latent (D,) of the images with these stamps: of the image that the live encoder took for it."""
    told = {e.stamp_ns: e.encoded_ns for e in recording.embeddings if e.encoder_id == checkpoint.model_id}
    sources = {stamp: told.get(stamp, stamp) for stamp in stamps}
    known = recording.streams.image_stamps
    wanted = np.flatnonzero(np.isin(known, list(set(sources.values()))))
    latents = {
        int(known[index]): checkpoint.model.embed(image) for index, image in recording.images(wanted, None)
    }
    return {stamp: latents[source] for stamp, source in sources.items() if source in latents}


def _last_statuses(recording: Recording) -> list[dict]:
    """The last status of every goal."""
    return list({s["goal_id"]: s for s in recording.statuses if s["goal_id"]}.values())


class _Repeat:
    def __init__(self, recording: Recording, checkpoint: Checkpoint, settings: LiveSettings, latents: dict):
        self.streams, self.checkpoint, self.latents, self.settings = (
            recording.streams,
            checkpoint,
            latents,
            settings,
        )
        self.goals = {g.goal_id: g.latent for g in recording.goals}
        self.tolerances = {s["plan_id"]: s["tolerance"] for s in recording.statuses}
        self.energy = Energy.of(checkpoint, dict(settings.weights), settings.risk)
        self.propose = policy(checkpoint, settings.planner.mode) if settings.heads_sha256 else None
        gate = None
        if settings.surprise is not None and checkpoint.calibration is not None:
            gate = SurpriseGate.calibrated(checkpoint.calibration, **dict(settings.surprise))
        self.episode = PlanningEpisode(
            Planner(checkpoint.spec, settings.planner),
            ShortTermMemory(checkpoint.spec, checkpoint.model.context, settings.memory_gap_s),
            gate,
        )

    def pursuit(self, plans: list[RecordedPlan]) -> tuple[int, float]:
        """(plans that are equal, largest difference of the first that is not, rad) of one goal and its sub-goals."""
        self.episode.reset()
        self.tolerance = self.tolerances.get(plans[0].plan_id, self.checkpoint.goal_tolerance)
        equal, difference, last, sought = 0, 0.0, 0, plans[0].goal_id
        for plan in plans:
            proprio = plan.proprio if plan.proprio.size else self._joints(plan.stamp_ns)
            if plan.goal_id not in self.goals or plan.stamp_ns not in self.latents or proprio is None:
                break
            self.episode.look(
                self.latents[plan.stamp_ns], proprio, plan.stamp_ns * 1e-9, set_back=plan.stamp_ns < last
            )
            last = plan.stamp_ns
            if plan.goal_id != sought:
                sought = plan.goal_id
                self.episode.turn()
            actions = respond(
                self.episode,
                self.checkpoint.model,
                self.energy,
                self.goals[plan.goal_id],
                self.propose,
                self.tolerance,
                lambda: self.checkpoint.network,
            )
            if np.array_equal(actions, plan.actions):
                equal += 1
            else:
                same_shape = actions.shape == plan.actions.shape
                difference = float(np.abs(actions - plan.actions).max()) if same_shape else float("inf")
                break
        return equal, difference

    def _joints(self, stamp_ns: int) -> np.ndarray | None:
        """(A,) rad as a live planner's joint history gives them at a stamp, where every message came in time."""
        stamps, names = self.streams.joint_stamps, self.checkpoint.spec.joint_names
        rows = np.flatnonzero(np.abs(stamps - stamp_ns) <= _HISTORY_NS)
        history = JointHistory(names, self.settings.joint_state_tolerance_s, length=max(1, len(rows)))
        for row in rows:
            history.add(int(stamps[row]), names, self.streams.joint_positions[row])
        return history.at(stamp_ns)
