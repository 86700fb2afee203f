"""Parameters are declared, bounded and described; mistakes are named."""

import pytest

from jepa_ros.errors import JepaError
from jepa_ros.nodes.lifecycle import ManagedNode
from jepa_ros.nodes.parameters import Param


class Small(ManagedNode):
    NAME = "small"
    PARAMS = (
        Param("speed", 1.5, "How fast.", 0.0, 10.0),
        Param("mode", "slow", "How.", choices=("slow", "fast")),
        Param("limits", [1.0, 2.0], "Limits.", 0.0, 5.0),
    )

    def _setup(self):
        pass


@pytest.mark.parametrize("value, expected", [(2, 2.0), (3.5, 3.5)])
def test_integer_is_taken_for_a_float(value, expected):
    assert Small.PARAMS[0].coerce(value) == expected and type(Small.PARAMS[0].coerce(value)) is float


@pytest.mark.parametrize(
    "param, value, says",
    [
        (0, 11.0, "[0.0, 10.0]"),
        (0, "fast", "must be a float"),
        (0, float("nan"), "[0.0, 10.0]"),
        (0, True, "must be a float"),
        (1, "medium", "slow, fast"),
        (2, [1.0, 9.0], "[0.0, 5.0]"),
        (2, ["a"], "list of float"),
        (2, 1.0, "list of float"),
    ],
)
def test_bad_value_is_refused_with_its_name_and_range(param, value, says):
    with pytest.raises(JepaError) as error:
        Small.PARAMS[param].coerce(value)
    assert Small.PARAMS[param].name in str(error.value) and says in str(error.value)


def test_bad_override_names_node_and_parameter(world):
    with pytest.raises(JepaError, match=r"/small: parameter speed is 99"):
        world.make(Small, start=False, parameters={"speed": 99.0})


def test_override_counts_and_unknown_one_is_named_with_the_nearest(world, monkeypatch):
    warnings = []
    monkeypatch.setattr(
        "rclpy.impl.rcutils_logger.RcutilsLogger.warning", lambda self, text, **_: warnings.append(text)
    )
    node = world.make(Small, parameters={"speed": 2, "sped": 3.0, "robot.rate_hz": 5.0})
    assert node.param("speed") == 2.0 and node.param("mode") == "slow"
    assert warnings == ["unknown parameter 'sped' is ignored; did you mean 'speed'?"]


def test_parameter_set_out_of_bounds_is_refused_and_described(world):
    from rclpy.parameter import Parameter

    node = world.make(Small)
    (result,) = node.set_parameters([Parameter("mode", value="medium")])
    assert not result.successful and "slow, fast" in result.reason
    (result,) = node.set_parameters([Parameter("speed", value=3.0)])
    assert result.successful and node.param("speed") == 3.0
    assert node.describe_parameter("speed").description == "How fast."
