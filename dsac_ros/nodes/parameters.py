# SPDX-License-Identifier: Apache-2.0
"""ROS parameters from one table: declarations, checks and the files in config/ all come from it.

A node's table is a tuple of `Spec`; relocalizer_parameters.py and mapper_parameters.py hold them.
"""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from types import SimpleNamespace
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from dsac_ros import config
from dsac_ros.errors import ConfigError

# Stand-ins for an open end of a range: the messages have no infinity that every tool can read.
MOST_FLOAT = 1e9
MOST_INTEGER = 2**31 - 1


@dataclass(frozen=True)
class Spec:
    """One parameter: what it is, where it stands, what it may be."""

    group: str
    name: str
    default: Any
    description: str
    unit: str = ''
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False

    @property
    def text(self) -> str:
        """The description with its unit."""
        return f'{self.description} [{self.unit}]' if self.unit else self.description

    def check(self, value: Any) -> None:
        """Raise ConfigError for a value that the parameter cannot have."""
        metadata = {'low': self.low, 'high': self.high, 'choices': self.choices,
                    'unit': self.unit}
        if isinstance(self.default, list):
            if len(value) != len(self.default) or not all(map(math.isfinite, value)):
                raise ConfigError(f'{self.name} is {list(value)}, expected {len(self.default)} '
                                  'finite numbers')
        elif isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f'{self.name} is {value}, expected a finite number')
        else:
            config.check(self.name, value, metadata)

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` shows, and what rclpy checks by itself."""
        descriptor = ParameterDescriptor(name=self.name, description=self.text,
                                         read_only=self.read_only)
        if self.choices:
            descriptor.additional_constraints = 'one of: ' + ', '.join(
                choice or "''" for choice in self.choices)
        if self.low is None and self.high is None:
            return descriptor
        if isinstance(self.default, float):
            descriptor.floating_point_range = [FloatingPointRange(
                from_value=float(-MOST_FLOAT if self.low is None else self.low),
                to_value=float(MOST_FLOAT if self.high is None else self.high), step=0.0)]
        else:
            descriptor.integer_range = [IntegerRange(
                from_value=int(-MOST_INTEGER if self.low is None else self.low),
                to_value=int(MOST_INTEGER if self.high is None else self.high), step=1)]
        return descriptor


def from_setting(group: str, settings: type, field: str, name: str = '') -> Spec:
    """The spec of a field of one of the dataclasses of config.py, under a name of its own."""
    found = next(f for f in fields(settings) if f.name == field)
    return Spec(group, name or field, found.default, found.metadata['description'],
                found.metadata['unit'], found.metadata['low'], found.metadata['high'],
                found.metadata['choices'])


def declare(node: Any, specs: Iterable[Spec]) -> None:
    """Declare every parameter of a table; values from the command line and files come in here."""
    node.declare_parameters('', [(s.name, s.default, s.descriptor()) for s in specs])


def read(node: Any, specs: Iterable[Spec]) -> SimpleNamespace:
    """The values of all parameters of a table; ConfigError where one is out of its range."""
    values = {spec.name: plain(node.get_parameter(spec.name).value) for spec in specs}
    for spec in specs:
        spec.check(values[spec.name])
    return SimpleNamespace(**values)


def changed(values: SimpleNamespace, specs: Iterable[Spec],
            parameters: Sequence[Any]) -> SimpleNamespace:
    """`values` with the ROS parameters in place that are about to be set; ConfigError."""
    known = {spec.name: spec for spec in specs}
    update = {p.name: plain(p.value) for p in parameters if p.name in known}
    for name, value in update.items():
        known[name].check(value)
    return SimpleNamespace(**{**vars(values), **update})


def unknown_names(node: Any, specs: Iterable[Spec]) -> list[str]:
    """Parameters that were given from outside but do not exist: rclpy passes over them silently.

    What other parts of ROS declare by themselves (use_sim_time, qos_overrides...) is left out.
    """
    known = {spec.name for spec in specs}
    overrides = getattr(node, '_parameter_overrides', {})
    return sorted(name for name in overrides
                  if name not in known and not node.has_parameter(name))


def plain(value: Any) -> Any:
    """Arrays as lists; everything else as it is."""
    return value if isinstance(value, (bool, int, float, str)) else list(value)


def settings_from(values: SimpleNamespace, settings: type, names: dict[str, str]) -> Any:
    """A dataclass of config.py from parameters; names maps its fields to parameters."""
    return config.build(settings, {field: getattr(values, parameter)
                                   for field, parameter in names.items()})
