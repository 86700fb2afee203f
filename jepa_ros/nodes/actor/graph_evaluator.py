"""Candidates scored by the ROS graph: candidates -> world_model -> rollouts -> cost -> costs."""

import time

import numpy as np
from sensor_msgs.msg import Image

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.msg import ActionCandidates, CandidateCosts, Embedding
from jepa_ros.nodes.actor.inbox import Inbox
from jepa_ros.nodes.actor.pursuit import PlanRequest
from jepa_ros.nodes.base.lifecycle import ManagedNode
from jepa_ros.nodes.wire import qos, tensor
from jepa_ros.planning.protocols import REDUCTIONS, EvaluationTimeout
from jepa_ros.srv import EncodeImage

_ASK_AGAIN_S = 1.0


class EncoderSilent(JepaError):
    """The goal image was not encoded in time."""


class GraphLink:
    """The planner's side of the graph: made once per configure, it makes one evaluator per plan.

    An answer is taken by plan_id and iteration; a late or foreign one is dropped and counted.
    """

    def __init__(self, node: ManagedNode, spec: ActionSpec, inbox: Inbox, costs_timeout_s: float):
        self.spec, self.inbox, self.costs_timeout_s = spec, inbox, costs_timeout_s
        self.dropped = 0
        self._candidates = node.publisher(ActionCandidates, "candidates", qos.LATENT)
        self._costs = node.reader(CandidateCosts, "costs", qos.LATENT)
        inbox.wake_too = self._costs.wake
        node.on_release(lambda: setattr(inbox, "wake_too", None))
        self._encode = node.create_client(EncodeImage, "encoder/encode")
        node.on_release(lambda: node.destroy_client(self._encode))

    def evaluator(self, request: PlanRequest) -> "GraphEvaluator":
        """The evaluator of one plan."""
        return GraphEvaluator(self, request)

    def encode(self, image: Image, timeout_s: float) -> Embedding:
        """The goal image's embedding, by the encoder's service. EncoderSilent where it does not
        answer, JepaError where it refuses. Asked again every second: a request to, or an answer of, an encoder that
        was just restarted may be lost."""
        ends = time.monotonic() + timeout_s
        while not self._encode.wait_for_service(0.1):
            self.inbox.check()
            if time.monotonic() > ends:
                raise EncoderSilent(f"{self._encode.srv_name} is not there; is the encoder running?")
        asked, answered = [], None
        while answered is None:
            left = ends - time.monotonic()
            if left <= 0:
                raise EncoderSilent(
                    f"{self._encode.srv_name} did not answer within {timeout_s:g} s; is the encoder busy?"
                )
            asked.append(self._encode.call_async(EncodeImage.Request(image=image)))
            asked[-1].add_done_callback(lambda _: self.inbox.notify(lambda: None))
            answered = self.inbox.wait_for(
                lambda: next((future for future in asked if future.done()), None), min(left, _ASK_AGAIN_S)
            )
        response = answered.result()
        if not response.success:
            raise JepaError(f"the encoder refused the goal image: {response.message}")
        return response.embedding

    def ask(self, candidates: ActionCandidates) -> CandidateCosts:
        """Publish and wait for the costs of this plan_id and iteration."""
        ends = time.monotonic() + self.costs_timeout_s
        self._candidates.publish(candidates)
        while (left := ends - time.monotonic()) > 0:
            answer = self._costs.take(left)
            self.inbox.check()
            if answer is None:
                continue
            if (answer.plan_id, answer.iteration) == (candidates.plan_id, candidates.iteration):
                return answer
            self.dropped += 1
        raise EvaluationTimeout(
            f"no costs within {self.costs_timeout_s:g} s: are world_model and cost running, with "
            "the checkpoint of the encoder?"
        )


class GraphEvaluator:
    """``evaluator(actions (S, H, KA)) -> costs (S,)`` for one plan. Milliseconds add up over its
    iterations."""

    def __init__(self, link: GraphLink, request: PlanRequest):
        self._link, self._request = link, request
        self._dropped_before = link.dropped
        self._answers: list[CandidateCosts] = []
        self._asked = 0  # also what was not answered in time: a late answer is no answer to the next
        context = request.context
        self._fixed = dict(
            header=request.header,
            plan_id=request.plan_id,
            goal_id=request.goal_id,
            model_id=request.model_id,
            reduction=REDUCTIONS.index(request.reduction),
            joint_names=list(link.spec.joint_names),
            context_latents=tensor.to_msg("context_latents", context.latents),
            context_proprio=tensor.to_msg("context_proprio", context.proprio),
            context_actions=tensor.to_msg("context_actions", context.actions),
        )

    def __call__(self, actions: np.ndarray) -> np.ndarray:
        candidates = ActionCandidates(
            iteration=self._asked,
            **self._fixed,
            actions=tensor.to_msg("actions", actions.astype(np.float32)),
        )
        self._asked += 1
        answer = self._link.ask(candidates)
        self._answers.append(answer)
        return tensor.from_msg(answer.totals)

    @property
    def dropped(self) -> int:
        """Answers dropped since this plan began."""
        return self._link.dropped - self._dropped_before

    @property
    def rollout_ms(self) -> float:
        """Time of the world model."""
        return sum(a.rollout_ms for a in self._answers)

    @property
    def cost_ms(self) -> float:
        """Time of the cost terms."""
        return sum(a.cost_ms for a in self._answers)

    def terms(self, at: tuple[int, int]) -> tuple[list[str], list[float]]:
        """Names and weighted terms of the candidate ``at`` (iteration, index)."""
        answer = self._answers[at[0]]
        return list(answer.term_names), tensor.from_msg(answer.terms)[:, at[1]].tolist()

    def predicted(self, at: tuple[int, int]) -> np.ndarray:
        """(D,) latent after the first block of the candidate ``at``, the best of its iteration."""
        return tensor.from_msg(self._answers[at[0]].best_next)
