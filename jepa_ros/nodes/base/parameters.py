"""Declared, bounded and described parameters: one table per node, checked at start and at every `ros2 param
set`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node

from jepa_ros.errors import JepaError

_FOREIGN = ("use_sim_time", "start_type_description_service")
_FOREIGN_PREFIXES = ("qos_overrides.",)
_ROBOT = "robot."  # given to every node; not every node reads it


@dataclass(frozen=True)
class Param:
    """One parameter. Its type is the default's: bool, int, float, str, or a list of float or str.

    low, high: inclusive bounds of a number, or of every number in a list.  choices: the allowed strings.
    read_only: counts at start only; changes are refused.
    """

    name: str
    default: object
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False

    def coerce(self, value):
        """The value in this parameter's type (a YAML `5` is a fine 5.0); JepaError where it cannot be, or is
        out of bounds."""
        if isinstance(self.default, float) and type(value) is int:
            value = float(value)
        if isinstance(self.default, (list, tuple)):
            kind = type(self.default[0])
            items = list(value) if isinstance(value, (list, tuple)) or hasattr(value, "tolist") else None
            if items is None or any(not isinstance(v, (kind, int) if kind is float else kind) for v in items):
                raise JepaError(f"parameter {self.name} is {value!r}; it must be a list of {kind.__name__}")
            value = [kind(v) for v in items]
        elif type(value) is not type(self.default):
            raise JepaError(f"parameter {self.name} is {value!r}; it must be a {type(self.default).__name__}")
        numbers = value if isinstance(value, list) else [value]
        for number in numbers:
            if (
                self.low is not None
                and not number >= self.low
                or self.high is not None
                and not number <= self.high
            ):
                raise JepaError(
                    f"parameter {self.name} is {value!r}; it must lie in [{self.low}, {self.high}]"
                )
        if self.choices and value not in self.choices:
            raise JepaError(f"parameter {self.name} is {value!r}; choose one of {', '.join(self.choices)}")
        return value

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` prints."""
        descriptor = ParameterDescriptor(description=self.description, read_only=self.read_only)
        bounds = {} if self.low is None else {"from_value": self.low, "to_value": self.high}
        if bounds and type(self.default) is float:
            descriptor.floating_point_range = [FloatingPointRange(**bounds)]
        elif bounds and type(self.default) is int:
            descriptor.integer_range = [IntegerRange(**{k: int(v) for k, v in bounds.items()})]
        elif bounds:
            descriptor.additional_constraints = f"each in [{self.low:g}, {self.high:g}]"
        if self.choices:
            descriptor.additional_constraints = "one of: " + ", ".join(self.choices)
        return descriptor


def declare(
    node: Node, params: Iterable[Param], refuse_change: Callable[[str, object], str]
) -> frozenset[str]:
    """Declare ``params`` on a node made with ``automatically_declare_parameters_from_overrides=True``. Returns the names
    of those that were given a value at start.

    refuse_change: (name, value) -> why a parameter may not be changed now, "" where it may; asked for every
        parameter of the node, use_sim_time too.
    Raises JepaError for a bad value; warns of a name that no parameter has, with the nearest one that exists.
    """
    table = {param.name: param for param in params}
    given = {name: p.value for name, p in node.get_parameters_by_prefix("").items()}
    reads_robot = any(name.startswith(_ROBOT) for name in table)
    foreign = _FOREIGN_PREFIXES if reads_robot else (*_FOREIGN_PREFIXES, _ROBOT)
    for name in given:
        if name in table:
            node.undeclare_parameter(name)
        elif name not in _FOREIGN and not name.startswith(foreign):
            near = get_close_matches(name, table, n=1)
            node.get_logger().warning(
                f"unknown parameter {name!r} is ignored" + (f"; did you mean {near[0]!r}?" if near else "")
            )
    for name, param in table.items():
        try:
            value = param.coerce(given.get(name, param.default))
        except JepaError as error:
            raise JepaError(f"node {node.get_fully_qualified_name()}: {error}") from None
        node.declare_parameter(name, value, param.descriptor(), ignore_override=True)

    def check(changes):
        for change in changes:
            try:
                if change.name in table:
                    table[change.name].coerce(change.value)
            except JepaError as error:
                return SetParametersResult(successful=False, reason=str(error))
            if reason := refuse_change(change.name, change.value):
                return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)
    return frozenset(given) & frozenset(table)
