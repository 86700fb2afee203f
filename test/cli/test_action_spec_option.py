"""`--action-spec` takes the contract in either form, and names what it cannot take."""

import json
from pathlib import Path

import pytest

from jepa_ros.cli.action_spec_option import read_action_spec
from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError

SPEC = ActionSpec(("x", "y"), (-0.1,) * 2, (0.1,) * 2, (-1.0,) * 2, (1.0,) * 2, block=2)
ROBOTS = Path(__file__).parents[2] / "config/robots"


def test_an_action_spec_is_read_from_json_and_from_a_robots_parameter_file(tmp_path):
    (tmp_path / "arm.json").write_text(json.dumps(SPEC.to_dict()))
    assert read_action_spec(tmp_path / "arm.json") == SPEC
    assert read_action_spec(ROBOTS / "ur5e.yaml").joint_names[0] == "shoulder_pan_joint"
    assert (
        read_action_spec(ROBOTS / "mock_hardware.yaml").joint_names[0] == "shoulder_pan"
    )  # of what it is based on
    for content in (
        "{",
        "[1]",
        "/**: {ros__parameters: {}}",
        "/**: {ros__parameters: {robot: {rate_hz: 10.0}}}",
        "/**: 3",
        "/**/bringup: {ros__parameters: {based_on: nobody}}",
    ):
        (tmp_path / "bad.yaml").write_text(content)
        with pytest.raises(JepaError, match="--action-spec .*bad.yaml: .*see docs"):
            read_action_spec(tmp_path / "bad.yaml")
