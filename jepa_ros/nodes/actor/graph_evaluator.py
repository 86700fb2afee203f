"""Candidates scored by the ROS graph: candidates -> world_model -> rollouts -> cost -> costs; proposals from world_model."""

import time
from collections.abc import Callable

import numpy as np
from sensor_msgs.msg import Image

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.msg import ActionCandidates, ActionProposals, CandidateCosts, Embedding, ProposalRequest
from jepa_ros.nodes.actor.inbox import Inbox
from jepa_ros.nodes.actor.pursuit import PlanRequest
from jepa_ros.nodes.actor.target import EncoderSilent
from jepa_ros.nodes.base.lifecycle import ManagedNode
from jepa_ros.nodes.base.topic_reader import TopicReader
from jepa_ros.nodes.wire import qos, tensor
from jepa_ros.planning.memory import Context
from jepa_ros.planning.protocols import REDUCTIONS, EvaluationTimeout
from jepa_ros.srv import EncodeImage

_ASK_AGAIN_S = 1.0


class GraphLink:
    """The planner's side of the graph: made once per configure, it makes one evaluator per plan.

    An answer is taken by plan_id and iteration; a late or foreign one is dropped and counted.
    """

    gradients = False  # none pass through messages

    def __init__(self, node: ManagedNode, spec: ActionSpec, inbox: Inbox, costs_timeout_s: float):
        self.spec, self.inbox, self.costs_timeout_s = spec, inbox, costs_timeout_s
        self.dropped = 0
        self._candidates = node.publisher(ActionCandidates, "candidates", qos.LATENT)
        self._costs = node.reader(CandidateCosts, "costs", qos.LATENT)
        self._requests = node.publisher(ProposalRequest, "proposal_request", qos.LATENT)
        self._proposals = node.reader(ActionProposals, "proposals", qos.LATENT)
        inbox.wake_too = self._wake
        node.on_release(lambda: setattr(inbox, "wake_too", None))
        self._encode = node.create_client(EncodeImage, "encoder/encode")
        node.on_release(lambda: node.destroy_client(self._encode))

    def _wake(self) -> None:
        self._costs.wake()
        self._proposals.wake()

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
        self._candidates.publish(candidates)
        asked = candidates.plan_id, candidates.iteration
        return self._answer(
            self._costs,
            lambda answer: (answer.plan_id, answer.iteration) == asked,
            "no costs within {:g} s: are world_model and cost running, with the checkpoint of the encoder?",
        )

    def ask_heads(self, request: ProposalRequest) -> ActionProposals:
        """Publish and wait for what policy or slow level answer to this plan_id and iteration."""
        self._requests.publish(request)
        asked = request.plan_id, request.iteration
        return self._answer(
            self._proposals,
            lambda answer: (answer.plan_id, answer.iteration) == asked,
            "no proposals within {:g} s: is world_model running, with the checkpoint of the encoder?",
        )

    def _answer(self, reader: TopicReader, fits: Callable[[object], bool], silence: str):
        ends = time.monotonic() + self.costs_timeout_s
        while (left := ends - time.monotonic()) > 0:
            answer = reader.take(left)
            self.inbox.check()
            if answer is None:
                continue
            if fits(answer):
                return answer
            self.dropped += 1
        raise EvaluationTimeout(silence.format(self.costs_timeout_s))


class GraphEvaluator:
    """``evaluator(actions (S, H, KA)) -> costs (S,)`` for one plan. Milliseconds add up over its
    iterations."""

    def __init__(self, link: GraphLink, request: PlanRequest):
        self._link, self._request = link, request
        self._dropped_before = link.dropped
        self._answers: list[CandidateCosts] = []
        self._reduction, self.policy_ms = REDUCTIONS.index(request.reduction), 0.0
        self._heads_asked = 0
        self._asked = 0  # also what was not answered in time: a late answer is no answer to the next
        context = request.context
        self._fixed = dict(
            header=request.header,
            plan_id=request.plan_id,
            goal_id=request.goal_id,
            model_id=request.model_id,
            joint_names=list(link.spec.joint_names),
            context_latents=tensor.to_msg("context_latents", context.latents),
            context_proprio=tensor.to_msg("context_proprio", context.proprio),
            context_actions=tensor.to_msg("context_actions", context.actions),
        )

    def __call__(self, actions: np.ndarray) -> np.ndarray:
        candidates = ActionCandidates(
            iteration=self._asked,
            reduction=self._reduction,
            **self._fixed,
            actions=tensor.to_msg("actions", actions.astype(np.float32)),
        )
        self._asked += 1
        answer = self._link.ask(candidates)
        self._answers.append(answer)
        return tensor.from_msg(answer.totals)

    def ends(self) -> np.ndarray:
        """(S,) energies that the last call's candidates have after their last block."""
        return tensor.from_msg(self._answers[-1].steps)[:, -1]

    def steps(self, at: tuple[int, int]) -> list[float]:
        """Energies after every block of the candidate ``at`` (iteration, index)."""
        return tensor.from_msg(self._answers[at[0]].steps)[at[1]].tolist()

    def propose(self, context: Context, goal: np.ndarray) -> tuple[np.ndarray, bool]:
        """What the policy would do, see Propose, from the request's own context towards its goal (D,)."""
        del context, goal
        answer = self._ask_heads()
        return tensor.from_msg(answer.actions), answer.things_first

    def foresee(
        self, context: Context, goal: np.ndarray, macros: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where macro-actions lead, see Foresee, from the request's own context for its goal (D,)."""
        del context, goal
        answer = self._ask_heads(macros=tensor.to_msg("macros", macros))
        return tensor.from_msg(answer.latents), tensor.from_msg(answer.blocks)

    def _ask_heads(self, **asked) -> ActionProposals:
        request = ProposalRequest(
            iteration=self._heads_asked,
            goal=tensor.to_msg("goal", self._request.goal),
            **self._fixed,
            **asked,
        )
        self._heads_asked += 1
        answer = self._link.ask_heads(request)
        self.policy_ms += answer.policy_ms
        return answer

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
        """(D,) latent after the first block of the candidate ``at``, the best of its iteration; (F, D) of several
        futures."""
        return tensor.from_msg(self._answers[at[0]].best_next)
