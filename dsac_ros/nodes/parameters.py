# SPDX-License-Identifier: Apache-2.0
"""ROS parameters of a node: declarations, checks and the files in config/ from one dataclass.

The parameters of a node are a frozen dataclass whose fields are made by `parameter` and
`from_setting`: see relocalizer_parameters.py and mapper_parameters.py. An instance holds values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from dsac_ros import config
from dsac_ros.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from rclpy.node import Node

ParameterValue = bool | int | float | str | list[float] | list[str]


class NodeParameters(Protocol):
    """A dataclass of the parameters of a lifecycle node."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def autostart(self) -> bool:
        """True if the node configures and activates itself."""

    @property
    def bond_heartbeat_period(self) -> float:
        """Time between heartbeats for a lifecycle manager [s]; 0: none."""


P = TypeVar('P', bound=NodeParameters)
S = TypeVar('S', bound='DataclassInstance')

# Bounds of an open-ended range: not every tool reads infinity.
MAX_FLOAT = 1e9
MAX_INTEGER = 2**31 - 1


@dataclass(frozen=True)
class Spec:
    """Description of one parameter and its valid values."""

    group: str
    name: str
    default: ParameterValue
    description: str
    unit: str = ''
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False

    @property
    def text(self) -> str:
        """Description with the unit."""
        return f'{self.description} [{self.unit}]' if self.unit else self.description

    def check(self, value: Any) -> None:
        """Raise ConfigError if the value is invalid."""
        metadata = {'low': self.low, 'high': self.high, 'choices': self.choices, 'unit': self.unit}
        if is_text_list(self.default):
            return
        if isinstance(self.default, list):
            if len(value) != len(self.default) or not all(map(math.isfinite, value)):
                raise ConfigError(
                    f'{self.name} is {list(value)}, expected {len(self.default)} finite numbers'
                )
        elif isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f'{self.name} is {value}, expected a finite number')
        else:
            config.check(self.name, value, metadata)

    def descriptor(self) -> ParameterDescriptor:
        """Return the descriptor, which `ros2 param describe` shows and rclpy enforces."""
        descriptor = ParameterDescriptor(
            name=self.name, description=self.text, read_only=self.read_only
        )
        if self.choices:
            descriptor.additional_constraints = 'one of: ' + ', '.join(
                choice or "''" for choice in self.choices
            )
        if self.low is None and self.high is None:
            return descriptor
        if isinstance(self.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(
                    from_value=float(-MAX_FLOAT if self.low is None else self.low),
                    to_value=float(MAX_FLOAT if self.high is None else self.high),
                    step=0.0,
                )
            ]
        else:
            descriptor.integer_range = [
                IntegerRange(
                    from_value=int(-MAX_INTEGER if self.low is None else self.low),
                    to_value=int(MAX_INTEGER if self.high is None else self.high),
                    step=1,
                )
            ]
        return descriptor


def parameter(
    group: str,
    default: ParameterValue,
    description: str,
    unit: str = '',
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    read_only: bool = False,
) -> Any:
    """Return a dataclass field that holds a parameter's default and description."""
    return _field(Spec(group, '', default, description, unit, low, high, choices, read_only))


def from_setting(
    group: str, settings: type[DataclassInstance], name: str, *, read_only: bool = False
) -> Any:
    """Return a dataclass field with default, description and range of a setting of config.py."""
    found = next(f for f in fields(settings) if f.name == name)
    default: Any = found.default
    return _field(
        Spec(
            group,
            '',
            default,
            found.metadata['description'],
            found.metadata['unit'],
            found.metadata['low'],
            found.metadata['high'],
            found.metadata['choices'],
            read_only,
        )
    )


def _field(spec: Spec) -> Any:
    default = spec.default
    if isinstance(default, list):
        return field(default_factory=default.copy, metadata={'spec': spec})
    return field(default=default, metadata={'spec': spec})


def specs_of(table: type[DataclassInstance]) -> tuple[Spec, ...]:
    """Return the specs of a node's parameters, in the order of the dataclass fields."""
    return tuple(replace(f.metadata['spec'], name=f.name) for f in fields(table))


def declare(node: Node, table: type[NodeParameters]) -> None:
    """Declare every parameter of a table; overrides from files and command line apply here."""
    node.declare_parameters('', [(s.name, s.default, s.descriptor()) for s in specs_of(table)])


def read(node: Node, table: type[P]) -> P:
    """Return the values of all parameters of a table.

    Raises:
        ConfigError: a value is out of its range.
    """
    values = {
        spec.name: as_python(node.get_parameter(spec.name).value) for spec in specs_of(table)
    }
    for spec in specs_of(table):
        spec.check(values[spec.name])
    return table(**values)


def updated(values: P, parameters: Sequence[Any]) -> P:
    """Return the values after a change of some ROS parameters; unknown names are ignored.

    Raises:
        ConfigError: a new value is out of its range.
    """
    known = {spec.name: spec for spec in specs_of(type(values))}
    changes = {p.name: as_python(p.value) for p in parameters if p.name in known}
    for name, value in changes.items():
        known[name].check(value)
    return replace(values, **changes)


def unknown_names(node: Node, table: type[NodeParameters]) -> list[str]:
    """Return overrides of parameters that do not exist, which rclpy ignores silently.

    Parameters that other parts of ROS declare are not included: use_sim_time, and qos_overrides,
    which endpoints declare when they are created (overridable_qos tells of the rest).
    """
    known = {spec.name for spec in specs_of(table)}
    overrides = getattr(node, '_parameter_overrides', {})
    return sorted(
        name
        for name in overrides
        if name not in known
        and not node.has_parameter(name)
        and not name.startswith('qos_overrides.')
    )


def is_text_list(default: ParameterValue) -> bool:
    """Return True for a list of text; the default of an empty one is [''], as everywhere in ROS.

    rclpy takes [] for a list of bytes, and no parameter file can hold it.
    """
    return isinstance(default, list) and all(isinstance(entry, str) for entry in default)


def as_python(value: Any) -> ParameterValue:
    """Convert arrays to lists; return other values unchanged."""
    return value if isinstance(value, (bool, int, float, str)) else list(value)


def settings_from(values: NodeParameters, settings: type[S], names: Mapping[str, str]) -> S:
    """Build a dataclass of config.py from parameters; `names` maps its fields to parameters."""
    return config.build(
        settings, {field: getattr(values, parameter) for field, parameter in names.items()}
    )
