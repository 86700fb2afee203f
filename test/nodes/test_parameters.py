"""Parameters are declared, bounded and described; mistakes are named."""

import pytest
from rcl_interfaces.srv import DescribeParameters, SetParameters
from rclpy.parameter import Parameter

from jepa_ros.errors import JepaError
from jepa_ros.nodes.action_publisher import ActionPublisherNode
from jepa_ros.nodes.base.lifecycle import AUTOSTART, ManagedNode
from jepa_ros.nodes.base.parameters import Param
from jepa_ros.nodes.describe.reference import NODES


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


def test_a_mistyped_parameter_of_the_robot_is_named_by_nodes_that_read_them(world, monkeypatch):
    warnings = []
    monkeypatch.setattr(
        "rclpy.impl.rcutils_logger.RcutilsLogger.warning", lambda self, text, **_: warnings.append(text)
    )
    world.make(ActionPublisherNode, start=False, parameters={"robot.position_uper": [1.0] * 6})
    assert warnings == [
        "unknown parameter 'robot.position_uper' is ignored; did you mean 'robot.position_upper'?"
    ]


def test_parameter_set_out_of_bounds_is_refused_and_described(world):
    node = world.make(Small)
    (result,) = node.set_parameters([Parameter("mode", value="medium")])
    assert not result.successful and "slow, fast" in result.reason
    (result,) = node.set_parameters([Parameter("speed", value=3.0)])
    assert result.successful and node.param("speed") == 3.0
    assert node.describe_parameter("speed").description == "How fast."


NONSENSE = (
    float("nan"),
    float("inf"),
    -1e300,
    -1,
    2**62,
    True,
    "",
    "no\nsense",
    [],
    [float("nan")],
    ["a"],
    [b"\0"],
)


@pytest.mark.parametrize("kind", NODES, ids=lambda kind: kind.NAME)
def test_no_nonsense_value_ends_a_node_or_passes_its_bounds(world, kind):
    world.make(kind, start=False)
    table = {param.name: param for param in (AUTOSTART, *kind.PARAMS)}
    service = f"{kind.NAME}/set_parameters"
    for nonsense in NONSENSE:
        wanted = [Parameter(name, value=nonsense).to_parameter_msg() for name in table]
        results = world.call(SetParameters, service, SetParameters.Request(parameters=wanted)).results
        for param, result in zip(table.values(), results, strict=True):
            if result.successful:
                assert not param.read_only and param.coerce(nonsense) == nonsense
            else:
                assert param.name in result.reason or "Wrong parameter type" in result.reason
    described = world.call(
        DescribeParameters,
        f"{kind.NAME}/describe_parameters",
        DescribeParameters.Request(names=list(table)),
    ).descriptors
    for param, descriptor in zip(table.values(), described, strict=True):
        assert descriptor.description == param.description and descriptor.read_only == param.read_only
        numeric = type(param.default) in (int, float)
        assert bool(descriptor.integer_range or descriptor.floating_point_range) == numeric, param.name
