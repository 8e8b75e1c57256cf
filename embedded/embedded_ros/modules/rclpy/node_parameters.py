# SPDX-License-Identifier: Apache-2.0
"""The parameters of a node: declare, get, set, describe, list, and the callbacks around it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from rcl_interfaces.msg import (
    ListParametersResult,
    ParameterDescriptor,
    ParameterEvent,
    ParameterValue,
    SetParametersResult,
)

from rclpy.exceptions import (
    InvalidParameterException,
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
)
from rclpy.parameter import (
    PARAMETER_SEPARATOR_STRING,
    Parameter,
    Type,
    parameter_value_to_python,
)
from rclpy.parameter_checks import refusal

OnSet = Callable[[list[Parameter]], Any]


class NodeParameters:
    """Parameters of `Node`."""

    def __init__(self, overrides: dict[str, Parameter], publish: Callable[[Any], None]) -> None:
        """Start without parameters.

        Args:
            overrides: values from the command line or the constructor, by name.
            publish: sends a rcl_interfaces/ParameterEvent.
        """
        self._parameters: dict[str, Parameter] = {}
        self._descriptors: dict[str, Any] = {}
        self._parameter_overrides = overrides
        self._publish_parameter_event = publish
        self._on_set_callbacks: list[OnSet] = []

    def declare_parameter(
        self, name: str, value: Any = None, descriptor: Any = None, ignore_override: bool = False
    ) -> Parameter:
        """Declare a parameter with its default, or with its Type only."""
        if value is None and descriptor is None:
            descriptor = ParameterDescriptor(dynamic_typing=True)
        return self.declare_parameters('', [(name, value, descriptor)], ignore_override)[0]

    def declare_parameters(
        self, namespace: str, parameters: Iterable[tuple], ignore_override: bool = False
    ) -> list[Parameter]:
        """Declare (name, default, descriptor) tuples; an override wins over the default."""
        declared = [self._declaration(namespace, ignore_override, *entry) for entry in parameters]
        twice = [parameter.name for parameter, _ in declared if parameter.name in self._parameters]
        if twice:
            raise ParameterAlreadyDeclaredException(twice)
        for parameter, descriptor in declared:
            result = self._set([parameter], {parameter.name: descriptor}, keep_unset=True)
            if not result.successful:
                if result.reason.startswith('Wrong parameter type'):
                    raise InvalidParameterTypeException(parameter, Type(descriptor.type).name)
                raise InvalidParameterValueException(
                    parameter.name, parameter.value, result.reason
                )
        return [self._parameters[parameter.name] for parameter, _ in declared]

    def _declaration(
        self,
        namespace: str,
        ignore_override: bool,
        name: str,
        value: Any = None,
        descriptor: Any = None,
    ) -> tuple[Parameter, Any]:
        name = f'{namespace}.{name}' if namespace else name
        if not re.fullmatch(r'\S+', name):
            raise InvalidParameterException(name)
        descriptor = descriptor or ParameterDescriptor()
        if isinstance(value, ParameterValue):
            value = parameter_value_to_python(value)
        if isinstance(value, Type):
            descriptor.type, value = value.value, None
        elif not descriptor.dynamic_typing:
            descriptor.type = Type.from_parameter_value(value).value
        if not descriptor.dynamic_typing and descriptor.type == Type.NOT_SET.value:
            raise ValueError(
                f'Cannot declare {name!r} as a statically typed parameter without a '
                'type: give it a default, a Parameter.Type, or dynamic typing'
            )
        if not ignore_override and name in self._parameter_overrides:
            value = self._parameter_overrides[name].value
        return Parameter(name, value=value), descriptor

    def has_parameter(self, name: str) -> bool:
        """Return True if it is declared."""
        return name in self._parameters

    def get_parameter(self, name: str) -> Parameter:
        """Return the parameter with its value."""
        if name in self._parameters:
            parameter = self._parameters[name]
            if parameter.type_ is Type.NOT_SET and not self._descriptors[name].dynamic_typing:
                raise ParameterUninitializedException(name)
            return parameter
        raise ParameterNotDeclaredException(name)

    def get_parameters(self, names: list[str]) -> list[Parameter]:
        """Return several parameters."""
        return [self.get_parameter(name) for name in names]

    def get_parameter_or(self, name: str, alternative: Parameter | None = None) -> Parameter:
        """Return the parameter, or the alternative when it has no value."""
        parameter = self._parameters.get(name)
        if parameter is None or parameter.type_ is Type.NOT_SET:
            return alternative or Parameter(name, Type.NOT_SET)
        return parameter

    def get_parameter_type(self, name: str) -> int:
        """Return the type's number, as in rcl_interfaces/ParameterType."""
        if name in self._parameters:
            return self._parameters[name].type_.value
        raise ParameterNotDeclaredException(name)

    def get_parameter_types(self, names: list[str]) -> list[int]:
        """Return the types' numbers."""
        return [self.get_parameter_type(name) for name in names]

    def set_parameters(self, parameter_list: list[Parameter]) -> list[Any]:
        """Set one after the other; a SetParametersResult for each."""
        return [self.set_parameters_atomically([parameter]) for parameter in parameter_list]

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> Any:
        """Set all or none."""
        undeclared = [p.name for p in parameter_list if p.name not in self._parameters]
        if undeclared:
            raise ParameterNotDeclaredException(undeclared)
        return self._set(parameter_list, None, keep_unset=False)

    def _set(
        self, parameters: list[Parameter], descriptors: dict[str, Any] | None, keep_unset: bool
    ) -> Any:
        for parameter in parameters:
            reason = self._refusal(parameter, descriptors)
            if reason:
                return SetParametersResult(successful=False, reason=reason)
        for callback in list(self._on_set_callbacks):
            result = callback(parameters)
            if not result.successful:
                return result
        event = ParameterEvent(node=self.get_fully_qualified_name())
        for parameter in parameters:
            message = parameter.to_parameter_msg()
            if parameter.type_ is Type.NOT_SET and not keep_unset:
                self._parameters.pop(parameter.name, None)
                self._descriptors.pop(parameter.name, None)
                event.deleted_parameters.append(message)
                continue
            is_new = self.get_parameter_or(parameter.name).type_ is Type.NOT_SET
            (event.new_parameters if is_new else event.changed_parameters).append(message)
            self._store(parameter, descriptors)
        event.stamp = self.get_clock().now().to_msg()
        self._publish_parameter_event(event)
        return SetParametersResult(successful=True)

    def _refusal(self, parameter: Parameter, descriptors: dict[str, Any] | None) -> str:
        descriptor = (descriptors or self._descriptors).get(parameter.name)
        if descriptor is None:
            return ''
        descriptor.name = parameter.name
        if descriptor.dynamic_typing:
            descriptor.type = parameter.type_.value
        return refusal(
            parameter,
            descriptor,
            declared=parameter.name in self._parameters,
            check_read_only=descriptors is None,
        )

    def _store(self, parameter: Parameter, descriptors: dict[str, Any] | None) -> None:
        if descriptors is not None:
            self._descriptors[parameter.name] = descriptors[parameter.name]
        elif parameter.name not in self._descriptors:
            self._descriptors[parameter.name] = ParameterDescriptor(
                name=parameter.name, type=parameter.type_.value, dynamic_typing=True
            )
        self._parameters[parameter.name] = parameter

    def describe_parameter(self, name: str) -> Any:
        """Return the descriptor."""
        if name in self._descriptors:
            return self._descriptors[name]
        raise ParameterNotDeclaredException(name)

    def describe_parameters(self, names: list[str]) -> list[Any]:
        """Return several descriptors."""
        return [self.describe_parameter(name) for name in names]

    def list_parameters(self, prefixes: list[str], depth: int) -> Any:
        """Return names and prefixes as a ListParametersResult; depth 0 has no limit."""
        result = ListParametersResult()
        for name in self._parameters:
            if any(_is_below(name, prefix, depth) for prefix in prefixes or ['']):
                result.names.append(name)
                parent = name.rpartition(PARAMETER_SEPARATOR_STRING)[0]
                if parent and parent not in result.prefixes:
                    result.prefixes.append(parent)
        return result

    def add_on_set_parameters_callback(self, callback: OnSet) -> None:
        """May refuse, by an unsuccessful SetParametersResult."""
        self._on_set_callbacks.insert(0, callback)


def _is_below(name: str, prefix: str, depth: int) -> bool:
    if prefix and name == prefix:
        return True
    start = prefix + PARAMETER_SEPARATOR_STRING if prefix else ''
    levels = name[len(start) :].count(PARAMETER_SEPARATOR_STRING)
    return name.startswith(start) and (depth == 0 or levels < depth)
