"""All checks in their order: listen, judge, draw."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from jepa_ros.errors import JepaError
from jepa_ros.nodes.bringup.graph import Graph
from jepa_ros.nodes.doctor.clock import check_clock
from jepa_ros.nodes.doctor.contract import check_contract
from jepa_ros.nodes.doctor.expected import Expected, expect
from jepa_ros.nodes.doctor.finding import Finding, Findings, Level
from jepa_ros.nodes.doctor.heard import Heard
from jepa_ros.nodes.doctor.joints import check_joints, positions_of
from jepa_ros.nodes.doctor.latency import Budget, check_latency, measure
from jepa_ros.nodes.doctor.listening import Listener
from jepa_ros.nodes.doctor.look import check_view, draw
from jepa_ros.nodes.doctor.topics import check_topics
from jepa_ros.nodes.doctor.view import View
from jepa_ros.nodes.guard.guard_params import needs_urdf
from jepa_ros.nodes.wire import images


@dataclass(frozen=True)
class Diagnosis:
    """findings: in the order of the checks.  view, budget: figures; None where they could not be taken.
    picture: None where none was drawn.  heard_s: how long it was listened."""

    findings: tuple[Finding, ...]
    view: View | None
    budget: Budget | None
    picture: Path | None
    heard_s: float

    def count(self, level: Level) -> int:
        """Findings of a level."""
        return sum(finding.level == level for finding in self.findings)

    def to_dict(self) -> dict:
        """A JSON-serialisable dict; figures that are unknown are null."""
        return {
            "errors": self.count(Level.ERROR),
            "warnings": self.count(Level.WARN),
            "findings": [finding.to_dict() for finding in self.findings],
            "view": _finite(asdict(self.view)) if self.view else None,
            "latency": asdict(self.budget) if self.budget else None,
            "picture": str(self.picture) if self.picture else None,
            "listened_s": round(self.heard_s, 3),
        }


def examine(
    graph: Graph,
    timeout_s: float,
    picture: Path,
    on_findings: Callable[[Findings], None] = lambda findings: None,
) -> Diagnosis:
    """Discover and listen, each at most timeout_s, and judge. on_findings: called after every check.

    JepaError for a robot, params_file or checkpoint that cannot be found or read.
    """
    expect(graph)  # what the user gave is wrong at once, and not after listening
    with Listener(graph.namespace) as listener:
        expected = expect(graph, listener.discover(timeout_s))
        heard = listener.listen(expected, timeout_s, needs_urdf(expected.guard))
    return judge(expect(graph, heard.parameters), heard, picture, on_findings)


def judge(
    expected: Expected,
    heard: Heard,
    picture: Path,
    on_findings: Callable[[Findings], None] = lambda findings: None,
) -> Diagnosis:
    """Every check on what was heard. No ROS is needed."""
    findings: list[Finding] = []

    def tell(found: Findings) -> None:
        findings.extend(found)
        on_findings(found)

    tell(check_topics(expected, heard))
    tell(check_clock(expected, heard))
    tell(check_joints(expected, heard))
    image, problem = _image(expected, heard)
    found, checkpoint = check_contract(expected, heard, image)
    found.extend(problem)
    tell(found)
    view = budget = drawn = None
    if checkpoint is not None:
        joints = _joints(expected, heard)
        found, view = check_view(checkpoint, image, joints, expected)
        if view is not None:
            drawn = _draw(found, picture, checkpoint, image, view, expected)
        tell(found)
        if image is None:
            image = np.zeros((*checkpoint.model.image_size, 3), np.uint8)
        if joints is None:
            joints = np.mean([checkpoint.spec.position_lower, checkpoint.spec.position_upper], axis=0)
        budget = measure(checkpoint, image, joints, expected)
    tell(check_latency(expected, heard, budget))
    return Diagnosis(tuple(findings), view, budget, drawn, heard.seconds)


def _image(expected: Expected, heard: Heard) -> tuple[np.ndarray | None, Findings]:
    found, message = Findings("checkpoint"), heard.stream(expected.image.name).newest
    if message is None:
        return None, found
    try:
        return images.from_msg(message), found
    except JepaError as error:
        found.error(expected.image.name, str(error), "set the camera driver's encoding")
        return None, found


def _draw(found, picture, checkpoint, image, view, expected) -> Path | None:
    try:
        draw(picture, checkpoint, image, view, expected.image.name)
        return picture
    except OSError as error:
        found.warn(str(picture), f"the picture cannot be written: {error.strerror}", "give --picture FILE")
        return None


def _joints(expected: Expected, heard: Heard) -> np.ndarray | None:
    message = heard.stream(expected.joint_states.name).newest
    return None if message is None else positions_of(message, expected.guard.param("robot.joint_names"))


def _finite(values: dict) -> dict:
    return {key: None if value != value else value for key, value in values.items()}
