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
    ParameterImmutableException,
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

PreSet = Callable[[list[Parameter]], list[Parameter]]
OnSet = Callable[[list[Parameter]], Any]
PostSet = Callable[[list[Parameter]], None]


class NodeParameters:
    """What `Node` offers for parameters."""

    def __init__(self, overrides: dict[str, Parameter], allow_undeclared: bool,
                 publish: Callable[[Any], None]) -> None:
        """Start without parameters.

        Args:
            overrides: values from the command line or the constructor, by name.
            allow_undeclared: whether undeclared parameters may be set and read.
            publish: sends a rcl_interfaces/ParameterEvent.
        """
        self._parameters: dict[str, Parameter] = {}
        self._descriptors: dict[str, Any] = {}
        self._parameter_overrides = overrides
        self._allow_undeclared_parameters = allow_undeclared
        self._publish_parameter_event = publish
        self._pre_set_callbacks: list[PreSet] = []
        self._on_set_callbacks: list[OnSet] = []
        self._post_set_callbacks: list[PostSet] = []

    def declare_parameter(self, name: str, value: Any = None, descriptor: Any = None,
                          ignore_override: bool = False) -> Parameter:
        """Declare a parameter with its default, or with its Type only."""
        if value is None and descriptor is None:
            descriptor = ParameterDescriptor(dynamic_typing=True)
        return self.declare_parameters('', [(name, value, descriptor)], ignore_override)[0]

    def declare_parameters(self, namespace: str, parameters: Iterable[tuple],
                           ignore_override: bool = False) -> list[Parameter]:
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
                raise InvalidParameterValueException(parameter.name, parameter.value,
                                                     result.reason)
        return [self._parameters[parameter.name] for parameter, _ in declared]

    def _declaration(self, namespace: str, ignore_override: bool, name: str, value: Any = None,
                     descriptor: Any = None) -> tuple[Parameter, Any]:
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
            raise ValueError(f'Cannot declare {name!r} as a statically typed parameter without a '
                             'type: give it a default, a Parameter.Type, or dynamic typing')
        if not ignore_override and name in self._parameter_overrides:
            value = self._parameter_overrides[name].value
        return Parameter(name, value=value), descriptor

    def undeclare_parameter(self, name: str) -> None:
        """Forget a parameter."""
        if name not in self._parameters:
            raise ParameterNotDeclaredException(name)
        if self._descriptors[name].read_only:
            raise ParameterImmutableException(name)
        del self._parameters[name], self._descriptors[name]

    def has_parameter(self, name: str) -> bool:
        """Whether it is declared."""
        return name in self._parameters

    def get_parameter(self, name: str) -> Parameter:
        """The parameter with its value."""
        if name in self._parameters:
            parameter = self._parameters[name]
            if parameter.type_ is Type.NOT_SET and not self._descriptors[name].dynamic_typing:
                raise ParameterUninitializedException(name)
            return parameter
        if self._allow_undeclared_parameters:
            return Parameter(name, Type.NOT_SET, None)
        raise ParameterNotDeclaredException(name)

    def get_parameters(self, names: list[str]) -> list[Parameter]:
        """Several parameters."""
        return [self.get_parameter(name) for name in names]

    def get_parameter_or(self, name: str, alternative: Parameter | None = None) -> Parameter:
        """The parameter, or the alternative when it has no value."""
        parameter = self._parameters.get(name)
        if parameter is None or parameter.type_ is Type.NOT_SET:
            return alternative or Parameter(name, Type.NOT_SET)
        return parameter

    def get_parameter_type(self, name: str) -> int:
        """The type's number, as in rcl_interfaces/ParameterType."""
        if name in self._parameters:
            return self._parameters[name].type_.value
        if self._allow_undeclared_parameters:
            return Type.NOT_SET.value
        raise ParameterNotDeclaredException(name)

    def get_parameter_types(self, names: list[str]) -> list[int]:
        """The types' numbers."""
        return [self.get_parameter_type(name) for name in names]

    def get_parameters_by_prefix(self, prefix: str) -> dict[str, Parameter]:
        """The parameters below `prefix.`, without it."""
        start = prefix + PARAMETER_SEPARATOR_STRING if prefix else ''
        return {name[len(start):]: parameter for name, parameter in self._parameters.items()
                if name.startswith(start)}

    def set_parameters(self, parameter_list: list[Parameter]) -> list[Any]:
        """Set one after the other; a SetParametersResult for each."""
        return [self.set_parameters_atomically([parameter]) for parameter in parameter_list]

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> Any:
        """Set all or none."""
        for callback in self._pre_set_callbacks[:1]:
            parameter_list = [p for c in self._pre_set_callbacks for p in c(parameter_list)]
            if not parameter_list:
                return SetParametersResult(
                    successful=False, reason=f'parameter list is empty after {callback}')
        undeclared = [p.name for p in parameter_list if p.name not in self._parameters]
        if undeclared and not self._allow_undeclared_parameters:
            raise ParameterNotDeclaredException(undeclared)
        return self._set(parameter_list, None, keep_unset=False)

    def _set(self, parameters: list[Parameter], descriptors: dict[str, Any] | None,
             keep_unset: bool) -> Any:
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
        for callback in list(self._post_set_callbacks):
            callback(parameters)
        return SetParametersResult(successful=True)

    def _refusal(self, parameter: Parameter, descriptors: dict[str, Any] | None) -> str:
        descriptor = (descriptors or self._descriptors).get(parameter.name)
        if descriptor is None:
            return ''
        descriptor.name = parameter.name
        if descriptor.dynamic_typing:
            descriptor.type = parameter.type_.value
        return refusal(parameter, descriptor, declared=parameter.name in self._parameters,
                       check_read_only=descriptors is None)

    def _store(self, parameter: Parameter, descriptors: dict[str, Any] | None) -> None:
        if descriptors is not None:
            self._descriptors[parameter.name] = descriptors[parameter.name]
        elif parameter.name not in self._descriptors:
            self._descriptors[parameter.name] = ParameterDescriptor(
                name=parameter.name, type=parameter.type_.value, dynamic_typing=True)
        self._parameters[parameter.name] = parameter

    def describe_parameter(self, name: str) -> Any:
        """The descriptor."""
        if name in self._descriptors:
            return self._descriptors[name]
        if self._allow_undeclared_parameters:
            return ParameterDescriptor()
        raise ParameterNotDeclaredException(name)

    def describe_parameters(self, names: list[str]) -> list[Any]:
        """Several descriptors."""
        return [self.describe_parameter(name) for name in names]

    def set_descriptor(self, name: str, descriptor: Any, alternative_value: Any = None) -> Any:
        """Give a declared parameter another descriptor, which its value must satisfy."""
        parameter = self.get_parameter(name)
        if self.describe_parameter(name).read_only:
            raise ParameterImmutableException(name)
        if alternative_value is not None and self._refusal(parameter, {name: descriptor}):
            parameter = Parameter(name, value=parameter_value_to_python(alternative_value))
        reason = self._refusal(parameter, {name: descriptor})
        if reason:
            raise InvalidParameterValueException(name, parameter.value, reason)
        self._store(parameter, {name: descriptor})
        return parameter.get_parameter_value()

    def list_parameters(self, prefixes: list[str], depth: int) -> Any:
        """Names and prefixes as a ListParametersResult; depth 0 has no limit."""
        result = ListParametersResult()
        for name in self._parameters:
            if any(_is_below(name, prefix, depth) for prefix in prefixes or ['']):
                result.names.append(name)
                parent = name.rpartition(PARAMETER_SEPARATOR_STRING)[0]
                if parent and parent not in result.prefixes:
                    result.prefixes.append(parent)
        return result

    def add_pre_set_parameters_callback(self, callback: PreSet) -> None:
        """May change the list before anything is checked."""
        self._pre_set_callbacks.insert(0, callback)

    def add_on_set_parameters_callback(self, callback: OnSet) -> None:
        """May refuse, by an unsuccessful SetParametersResult."""
        self._on_set_callbacks.insert(0, callback)

    def add_post_set_parameters_callback(self, callback: PostSet) -> None:
        """Hears of what was set."""
        self._post_set_callbacks.insert(0, callback)

    def remove_pre_set_parameters_callback(self, callback: PreSet) -> None:
        """Call no more."""
        self._pre_set_callbacks.remove(callback)

    def remove_on_set_parameters_callback(self, callback: OnSet) -> None:
        """Call no more."""
        self._on_set_callbacks.remove(callback)

    def remove_post_set_parameters_callback(self, callback: PostSet) -> None:
        """Call no more."""
        self._post_set_callbacks.remove(callback)


def _is_below(name: str, prefix: str, depth: int) -> bool:
    if prefix and name == prefix:
        return True
    start = prefix + PARAMETER_SEPARATOR_STRING if prefix else ''
    levels = name[len(start):].count(PARAMETER_SEPARATOR_STRING)
    return name.startswith(start) and (depth == 0 or levels < depth)
