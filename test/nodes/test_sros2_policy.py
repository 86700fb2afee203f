"""The SROS2 policy is what the nodes create, and lets nobody but the guard command the arm."""

from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

import pytest

from jepa_ros.nodes.bringup.graph import OUTPUT_TOPICS, Graph, find
from jepa_ros.nodes.describe.sros2_policy import policy

COMMANDS = [
    *OUTPUT_TOPICS.values(),
    *(f"action_publisher/dry_run/{topic}" for topic in OUTPUT_TOPICS.values()),
]
NODES = {"simulator", "action_publisher", "encoder", "world_model", "cost", "planner", "single"}


@pytest.fixture(scope="module")
def committed():
    return find("config/sros2/policy.xml").read_text()


@pytest.fixture(scope="module")
def rules(committed):
    """(enclave, kind, right, full name or pattern) of every rule."""
    found = []
    for enclave in ElementTree.fromstring(committed).iter("enclave"):
        for profile in enclave.iter("profile"):
            for group in profile:
                ((right, verdict),) = group.attrib.items()
                assert verdict == "ALLOW"
                for entry in group:
                    name = entry.text if entry.text.startswith("/") else f"{profile.get('ns')}/{entry.text}"
                    found.append((enclave.get("path").removeprefix("/jepa/"), entry.tag, right, name))
    return found


def may(rules, kind, right, name):
    """Enclaves that may do so."""
    return {
        e for e, k, r, pattern in rules if (k, r) == (kind, right) and fnmatchcase(f"/jepa/{name}", pattern)
    }


def test_committed_policy_is_what_the_nodes_create(committed):
    assert policy() == committed, (
        "run: python -m jepa_ros.nodes.describe.sros2_policy config/sros2/policy.xml"
    )


@pytest.mark.parametrize("topic", COMMANDS)
def test_only_the_guard_may_command(rules, topic):
    assert may(rules, "topic", "publish", topic) == {"action_publisher"}


@pytest.mark.parametrize(
    "kind, right, name, expected",
    [
        ("topic", "publish", "plan", {"planner", "single"}),
        ("topic", "publish", "action_publisher/safety_status", {"action_publisher"}),
        ("topic", "publish", "joint_states", {"simulator", "driver"}),
        ("topic", "publish", "image", {"simulator", "driver"}),
        ("topic", "publish", "image/compressed", {"simulator", "driver"}),
        ("topic", "publish", "embedding", {"encoder", "single"}),
        ("topic", "publish", "rollouts", {"world_model"}),
        ("topic", "publish", "costs", {"cost"}),
        ("topic", "publish", "deadman", {"operator"}),
        ("topic", "publish", "goal_image", {"operator"}),
        ("topic", "subscribe", "joint_trajectory", {"simulator", "driver", "operator", "recorder"}),
        ("service", "request", "action_publisher/arm", {"operator"}),
        ("service", "request", "action_publisher/estop", {"operator"}),
        ("service", "request", "action_publisher/reset_estop", {"operator"}),
        ("service", "request", "action_publisher/set_parameters", {"operator"}),
        ("service", "request", "world_model/load_checkpoint", {"operator"}),
        ("service", "request", "planner/change_state", {"operator"}),
        ("service", "reply", "action_publisher/arm", {"action_publisher"}),
        ("action", "call", "reach_goal", {"operator"}),
        ("action", "execute", "reach_goal", {"planner", "single"}),
    ],
)
def test_who_may_do_what(rules, kind, right, name, expected):
    assert may(rules, kind, right, name) == expected


def test_nobody_publishes_or_answers_by_a_pattern(rules):
    assert {e for e, _, _, name in rules if "*" in name} == {"operator", "recorder"}
    assert {(k, r) for _, k, r, name in rules if "*" in name} == {("topic", "subscribe")}


def test_every_process_has_its_enclave(rules, checkpoint, tmp_path):
    assert {enclave for enclave, *_ in rules} == NODES | {"driver", "operator", "recorder"}
    for composition in ("distributed", "single"):
        for process in Graph(composition=composition, checkpoint=checkpoint).processes(tmp_path):
            enclave = process.arguments[process.arguments.index("--enclave") + 1]
            assert enclave == f"/jepa/{process.executable}" and process.executable in NODES


def test_file_is_of_the_schema(committed):
    """What policy.xsd of sros2 0.13 asks for; where that is installed, by itself."""
    content = {
        "policy": ["enclaves"],
        "enclaves": ["enclave"],
        "enclave": ["profiles"],
        "profiles": ["profile"],
    }
    content |= {"profile": ["topics", "services", "actions"]}
    content |= {"topics": ["topic"], "services": ["service"], "actions": ["action"]}
    rights = {
        "topics": {"publish", "subscribe"},
        "services": {"reply", "request"},
        "actions": {"call", "execute"},
    }
    attributes = {"policy": {"version"}, "enclave": {"path"}, "profile": {"ns", "node"}}
    root = ElementTree.fromstring(committed)
    assert root.tag == "policy" and root.get("version") == "0.2.0"
    for element in root.iter():
        assert {child.tag for child in element} <= set(content.get(element.tag, ()))
        assert bool(len(element)) == (element.tag in content)
        if element.tag in rights:
            assert len(element.attrib) == 1 and set(element.attrib) < rights[element.tag]
        else:
            assert set(element.attrib) == attributes.get(element.tag, set())
    sros2 = pytest.importorskip("sros2.policy", reason="sros2 is not installed")
    sros2.load_policy(Path(find("config/sros2/policy.xml")))
