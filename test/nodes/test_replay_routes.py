"""Where the topics of a bag go in a replay, and which time it is."""

import numpy as np
import pytest

from jepa_ros.data.bag_files import Connection
from jepa_ros.data.topics import Topics, absolute
from jepa_ros.errors import JepaError
from jepa_ros.nodes.bags.replay_clock import ReplayClock
from jepa_ros.nodes.bags.replay_routes import (
    COMMAND_TYPES,
    LIVE,
    find_routes,
    image_transport,
    require_harmless,
)

KINDS = {
    "image": "sensor_msgs/msg/Image",
    "compressed": "sensor_msgs/msg/CompressedImage",
    "info": "sensor_msgs/msg/CameraInfo",
    "joints": "sensor_msgs/msg/JointState",
    "trajectory": "trajectory_msgs/msg/JointTrajectory",
    "twist": "geometry_msgs/msg/Twist",
    "tf": "tf2_msgs/msg/TFMessage",
    "clock": "rosgraph_msgs/msg/Clock",
    "goal": "jepa_ros/msg/Goal",
    "plan": "jepa_ros/msg/ActionPlan",
    "diagnostics": "diagnostic_msgs/msg/DiagnosticArray",
}


def routes(topics, roles=Topics(), **kwargs):
    """Topic to kind -> (Routes, source to target)."""
    connections = [Connection(topic, KINDS.get(kind, kind), 1) for topic, kind in topics.items()]
    found = find_routes(connections, roles, **kwargs)
    for route in found.routes:
        require_harmless(route.target, route.msgtype, kwargs.get("namespace", "jepa"))
    return found, {route.source: route.target for route in found.routes}


def test_topics_of_another_robot_reach_the_names_of_the_live_graph():
    found, targets = routes(
        {
            "/arm/joint_states": "joints",
            "/arm/cam/color/image_raw": "image",
            "/arm/cam/color/camera_info": "info",
            "/arm/depth/camera_info": "info",
            "/arm/controller/joint_trajectory": "trajectory",
            "/arm/cmd_vel": "twist",
            "/arm/plan": "plan",
            "/arm/goal": "goal",
            "/tf": "tf",
            "/tf_static": "tf",
            "/other/tf": "tf",
            "/clock": "clock",
            "/diagnostics": "diagnostics",
        },
        namespace="here",
        recorded_namespace="/arm",
    )
    assert targets == {
        "/arm/joint_states": "/here/joint_states",
        "/arm/cam/color/image_raw": "/here/image",
        "/arm/cam/color/camera_info": "/here/camera_info",
        "/arm/depth/camera_info": "/here/recorded/depth/camera_info",
        "/arm/controller/joint_trajectory": "/here/recorded/controller/joint_trajectory",
        "/arm/cmd_vel": "/here/recorded/cmd_vel",
        "/arm/plan": "/here/recorded/plan",
        "/arm/goal": "/here/goal",
        "/tf": "/tf",
        "/tf_static": "/tf_static",
        "/other/tf": "/here/recorded/other/tf",
        "/diagnostics": "/here/recorded/diagnostics",
    }
    assert found.clock == "/clock" and not found.notes
    assert {r.source for r in found.routes if r.latched} == {"/tf_static", "/arm/goal"}
    assert set(found.command_topics) == {
        "/here/joint_trajectory",
        "/here/commands",
        "/here/twist_cmds",
        "/arm/controller/joint_trajectory",
        "/arm/cmd_vel",
    }


@pytest.mark.parametrize("kind", COMMAND_TYPES)
@pytest.mark.parametrize("name", [*LIVE, "joint_trajectory", "plan", "recordings/plan", "/recorded/plan"])
def test_commands_are_refused_outside_recorded_whatever_the_topic_is_called(kind, name):
    with pytest.raises(JepaError, match="recorded/ only"):
        require_harmless(absolute(name, "ns"), kind, "ns")
    require_harmless(f"/ns/recorded/{name.strip('/')}", kind, "ns")


def test_what_is_not_known_to_be_harmless_is_refused_outside_recorded():
    with pytest.raises(JepaError, match="recorded/ only"):
        require_harmless("/ns/joint_commands", KINDS["joints"], "ns")
    with pytest.raises(JepaError, match="recorded/ only"):
        require_harmless("/ns/goal", KINDS["joints"], "ns")


@pytest.mark.parametrize("kind", ["trajectory", "twist", "plan", "std_msgs/msg/Float64MultiArray"])
def test_a_command_with_a_sensors_name_is_played_under_recorded(kind):
    names = ("/r/image", "/r/goal", "/r/camera_info", "/tf", "/r/image/compressed", "/clock")
    _, targets = routes({name: kind for name in names} | {"/r/joint_states": "joints"})
    assert all(targets[name].startswith("/jepa/recorded/") for name in names)
    assert targets["/r/joint_states"] == "/jepa/joint_states"


def test_a_camera_is_played_in_every_form_in_which_it_was_recorded():
    _, raw = routes({"/a/image_raw": "image", "/a/image_raw/compressed": "compressed"})
    assert raw == {"/a/image_raw": "/jepa/image", "/a/image_raw/compressed": "/jepa/image/compressed"}
    _, compressed = routes({"/a/image_raw/compressed": "compressed", "/a/joint_states": "joints"})
    assert compressed["/a/image_raw/compressed"] == "/jepa/image/compressed"


def test_several_cameras_need_a_word_and_the_others_stay_under_recorded():
    cameras = {"/left/image_raw": "image", "/right/image_raw": "image", "/right/camera_info": "info"}
    cameras |= {"/left/camera_info": "info"}
    with pytest.raises(JepaError, match="/left/image_raw, /right/image_raw"):
        routes(cameras)
    _, targets = routes(cameras, Topics(image="/right/image_raw"))
    assert targets == {
        "/right/image_raw": "/jepa/image",
        "/right/camera_info": "/jepa/camera_info",
        "/left/image_raw": "/jepa/recorded/left/image_raw",
        "/left/camera_info": "/jepa/recorded/left/camera_info",
    }


def test_names_under_recorded_never_meet():
    _, targets = routes(
        {"/jepa/plan": "plan", "/plan": "plan", "/j/joint_states": "joints"}, namespace="jepa"
    )
    assert targets["/jepa/plan"] != targets["/plan"]
    assert {targets["/jepa/plan"], targets["/plan"]} == {"/jepa/recorded/jepa/plan", "/jepa/recorded/plan"}


def test_a_replay_of_a_replay_keeps_out_of_the_live_graph_too():
    found, targets = routes({"/jepa/recorded/joint_trajectory": "trajectory", "/jepa/joint_states": "joints"})
    assert targets["/jepa/recorded/joint_trajectory"].startswith("/jepa/recorded/")
    assert "/jepa/recorded/joint_trajectory" not in found.command_topics


def test_the_recorded_goal_stays_out_where_that_is_asked_for():
    topics = {"/jepa/goal": "goal", "/jepa/joint_states": "joints"}
    assert routes(topics)[1]["/jepa/goal"] == "/jepa/goal"
    assert routes(topics, goal=False)[1]["/jepa/goal"].startswith("/jepa/recorded/")


def test_missing_sensors_are_said():
    found, _ = routes({"/jepa/joint_states": "joints"})
    assert ["image" in note for note in found.notes] == [True]
    with pytest.raises(JepaError, match="/jepa/plan"):
        routes({"/jepa/plan": "plan"})


def test_messages_of_another_version_of_this_package_are_left_out():
    old = Connection("/jepa/goal", KINDS["goal"], 1, "string id\n")
    joints = Connection("/jepa/joint_states", KINDS["joints"], 1)
    found = find_routes([old, joints], Topics())
    assert [route.source for route in found.routes] == ["/jepa/joint_states"]
    assert any("another version" in note for note in found.notes)


def test_image_transport_is_what_the_bag_holds(tmp_path):
    from jepa_ros.data.bag_writer import BagWriter
    from jepa_ros.data.messages import make_header, message_class

    message = message_class(KINDS["compressed"])(
        header=make_header(1), format="png", data=np.zeros(1, np.uint8)
    )
    with BagWriter(tmp_path / "bag", {"/c/image/compressed": KINDS["compressed"]}) as bag:
        bag.write("/c/image/compressed", 1, message)
    assert image_transport(tmp_path / "bag", Topics()) == "compressed"


# The clock.


def test_the_clock_is_as_recorded_at_its_points_and_even_in_between():
    logged = np.array([0, 100, 300]) * 10**6
    clock = ReplayClock(logged, logged // 2 + 7)  # a simulator at half real time
    assert [clock.at(int(t)) for t in logged] == [int(t) // 2 + 7 for t in logged]
    assert clock.at(200 * 10**6) == 100 * 10**6 + 7


def test_the_clock_goes_on_at_real_time_outside_its_points():
    clock = ReplayClock(np.array([1000, 2000]), np.array([50_000, 51_000]))
    assert clock.at(400) == 49_400 and clock.at(2500) == 51_500


def test_the_clock_never_goes_back_but_where_it_was_set_back():
    rng = np.random.default_rng(0)
    logged = np.cumsum(rng.integers(1, 10**8, 200))
    times = logged + rng.integers(-(10**8), 10**8, 200)
    reset = 120
    times[reset:] -= 10**10
    clock = ReplayClock(logged, times)
    at = [clock.at(t) for t in range(int(logged[0]), int(logged[-1]), 10**7)]
    back = np.flatnonzero(np.diff(at) < 0)
    assert len(back) == 1 and at[back[0]] - at[back[0] + 1] > 9 * 10**9
    assert clock.at(int(logged[reset])) == times[reset]
    assert clock.at(int(logged[reset]) - 1) > 5 * 10**9  # goes on until then
