# SPDX-License-Identifier: Apache-2.0
"""Parameters and their messages."""

from __future__ import annotations

import array
from enum import Enum
from typing import Any

from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterType, ParameterValue

PARAMETER_SEPARATOR_STRING = '.'
SEQUENCES = (list, tuple, array.array)
# Field of ParameterValue by the value of its `type`.
VALUE_FIELDS = {
    ParameterType.PARAMETER_BOOL: 'bool_value',
    ParameterType.PARAMETER_INTEGER: 'integer_value',
    ParameterType.PARAMETER_DOUBLE: 'double_value',
    ParameterType.PARAMETER_STRING: 'string_value',
    ParameterType.PARAMETER_BYTE_ARRAY: 'byte_array_value',
    ParameterType.PARAMETER_BOOL_ARRAY: 'bool_array_value',
    ParameterType.PARAMETER_INTEGER_ARRAY: 'integer_array_value',
    ParameterType.PARAMETER_DOUBLE_ARRAY: 'double_array_value',
    ParameterType.PARAMETER_STRING_ARRAY: 'string_array_value',
}


class Type(Enum):
    """The types of parameters; values as in rcl_interfaces/ParameterType."""

    NOT_SET = ParameterType.PARAMETER_NOT_SET
    BOOL = ParameterType.PARAMETER_BOOL
    INTEGER = ParameterType.PARAMETER_INTEGER
    DOUBLE = ParameterType.PARAMETER_DOUBLE
    STRING = ParameterType.PARAMETER_STRING
    BYTE_ARRAY = ParameterType.PARAMETER_BYTE_ARRAY
    BOOL_ARRAY = ParameterType.PARAMETER_BOOL_ARRAY
    INTEGER_ARRAY = ParameterType.PARAMETER_INTEGER_ARRAY
    DOUBLE_ARRAY = ParameterType.PARAMETER_DOUBLE_ARRAY
    STRING_ARRAY = ParameterType.PARAMETER_STRING_ARRAY

    @classmethod
    def from_parameter_value(cls, value: Any) -> Type:
        """Return the type of a Python value; TypeError where ROS has none for it."""
        for kind in cls:
            if kind.check(value):
                return kind
        raise TypeError(f"The given value is not one of the allowed types '{value}'.")

    def check(self, value: Any) -> bool:
        """Return True if a value is of this type; an empty sequence is of every array type."""
        if self is Type.NOT_SET:
            return value is None
        python = _PYTHON_TYPES[self.name.removesuffix('_ARRAY')]
        values = [value]
        if self.name.endswith('_ARRAY'):
            if not isinstance(value, SEQUENCES):
                return False
            values = list(value)
        return all(
            isinstance(v, python) and (python is bool or not isinstance(v, bool)) for v in values
        )


_PYTHON_TYPES = {'BOOL': bool, 'INTEGER': int, 'DOUBLE': float, 'STRING': str, 'BYTE': bytes}


class Parameter:
    """A named value of one of ROS' parameter types."""

    Type = Type

    def __init__(self, name: str, type_: Type | None = None, value: Any = None) -> None:
        if type_ is None:
            type_ = Type.from_parameter_value(value)
        if not isinstance(type_, Type):
            raise TypeError(f'type must be an instance of {Type!r}')
        if not type_.check(value):
            raise ValueError(f"Type '{type_}' and value '{value}' do not agree")
        self._name, self._type, self._value = name, type_, value

    @property
    def name(self) -> str:
        """Return the name."""
        return self._name

    @property
    def type_(self) -> Type:
        """Return the type."""
        return self._type

    @property
    def value(self) -> Any:
        """Return the value; None when not set."""
        return self._value

    def get_parameter_value(self) -> Any:
        """Convert to rcl_interfaces/ParameterValue."""
        message = ParameterValue(type=self._type.value)
        if self._type is not Type.NOT_SET:
            value = list(self._value) if isinstance(self._value, tuple) else self._value
            setattr(message, VALUE_FIELDS[self._type.value], value)
        return message

    def to_parameter_msg(self) -> Any:
        """Convert to rcl_interfaces/Parameter."""
        return ParameterMsg(name=self._name, value=self.get_parameter_value())

    @classmethod
    def from_parameter_msg(cls, message: Any) -> Parameter:
        """Convert from rcl_interfaces/Parameter."""
        return cls(
            message.name, Type(message.value.type), parameter_value_to_python(message.value)
        )

    def __repr__(self) -> str:
        return f'Parameter({self._name!r}, {self._type}, {self._value!r})'


def parameter_value_to_python(message: Any) -> Any:
    """Return the Python value of a rcl_interfaces/ParameterValue."""
    if message.type == ParameterType.PARAMETER_NOT_SET:
        return None
    if message.type not in VALUE_FIELDS:
        raise RuntimeError(f'unexpected parameter type {message.type}')
    value = getattr(message, VALUE_FIELDS[message.type])
    return list(value) if isinstance(value, SEQUENCES) else value
