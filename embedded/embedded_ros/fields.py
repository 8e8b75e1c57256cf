# SPDX-License-Identifier: Apache-2.0
"""The kinds of message fields: default, check on assignment, way to and from the wire.

An assignment of the wrong type is an AssertionError, as in rclpy with its checks on: a real
rclpy may otherwise send garbage (an int in a float field) without a word.
"""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys.base import normalize_fieldname

TYPECODES = {
    'int8': 'b',
    'uint8': 'B',
    'char': 'B',
    'int16': 'h',
    'uint16': 'H',
    'int32': 'i',
    'uint32': 'I',
    'int64': 'q',
    'uint64': 'Q',
    'float32': 'f',
    'float64': 'd',
}


class Field:
    """A field of one message type."""

    base = ''  # the primitive type, where it is one

    def __init__(self, name: str) -> None:
        self.name = name
        self.wire_name = normalize_fieldname(name)

    def default(self) -> Any:
        """Return a fresh default value."""
        raise TypeError(f'{type(self).__name__} has no default')

    def checked(self, value: Any) -> Any:
        """Return the value as it is stored; AssertionError where it does not belong here."""
        return value

    def to_wire(self, value: Any) -> Any:
        """Return the value as rosbags' serializer wants it."""
        return value

    def from_wire(self, value: Any) -> Any:
        """Return the value as the user sees it."""
        return value

    def shown(self, value: Any) -> str:
        """Return the value inside `repr(message)`."""
        return repr(value)


class Scalar(Field):
    """A number, a bool, a string, or a `byte` (a bytes object of length one, as in rclpy)."""

    def __init__(self, name: str, base: str, bound: int = 0, default: Any = None) -> None:
        super().__init__(name)
        self.base, self._bound, self._default = base, bound, default
        self._type = {
            'bool': bool,
            'string': str,
            'byte': bytes,
            'float32': float,
            'float64': float,
        }.get(base, int)
        self._range: tuple[int, int] | None = None
        if self._type is int:
            limits = np.iinfo(base.replace('char', 'uint8'))
            self._range = int(limits.min), int(limits.max)

    def default(self) -> Any:
        if self._default is not None:
            return self._default
        return b'\0' if self.base == 'byte' else self._type()

    def checked(self, value: Any) -> Any:
        assert isinstance(value, self._type), (
            f"The '{self.name}' field must be of type '{self._type.__name__}', "
            f'not {type(value).__name__}'
        )
        if self._range:
            assert self._range[0] <= value <= self._range[1], (
                f"The '{self.name}' field must be an integer in {list(self._range)}"
            )
        elif self.base == 'byte':
            assert len(value) == 1, f"The '{self.name}' field must be of length 1"
        elif self._bound and self.base == 'string':
            assert len(value) <= self._bound, (
                f"The '{self.name}' field must not be longer than {self._bound}"
            )
        return value

    def to_wire(self, value: Any) -> Any:
        return value[0] if self.base == 'byte' else value

    def from_wire(self, value: Any) -> Any:
        return bytes([value]) if self.base == 'byte' else value


class Nested:
    """Class of a message inside a message, and its conversions."""

    def __init__(
        self, cls: type, to_wire: Callable[[Any], Any], from_wire: Callable[[Any, type], Any]
    ) -> None:
        self.cls, self.to_wire, self.from_wire = cls, to_wire, from_wire


class Submessage(Field):
    """One message inside another."""

    def __init__(self, name: str, nested: Nested) -> None:
        super().__init__(name)
        self._nested = nested

    def default(self) -> Any:
        return self._nested.cls()

    def checked(self, value: Any) -> Any:
        assert isinstance(value, self._nested.cls), (
            f"The '{self.name}' field must be a sub message of type "
            f"'{self._nested.cls.__name__}', not {type(value).__name__}"
        )
        return value

    def to_wire(self, value: Any) -> Any:
        return self._nested.to_wire(value)

    def from_wire(self, value: Any) -> Any:
        return self._nested.from_wire(value, self._nested.cls)


class NumberSequence(Field):
    """A sequence of numbers: an array.array, filled from any buffer in one copy."""

    def __init__(self, name: str, base: str, bound: int) -> None:
        super().__init__(name)
        self._typecode, self._bound = TYPECODES[base], bound

    def default(self) -> Any:
        return array.array(self._typecode)

    def checked(self, value: Any) -> Any:
        if not isinstance(value, array.array):
            value = self._filled(value)
        assert value.typecode == self._typecode, (
            f"The '{self.name}' array.array() must have the type code '{self._typecode}'"
        )
        assert not self._bound or len(value) <= self._bound, (
            f"The '{self.name}' field must have a length <= {self._bound}"
        )
        return value

    def _filled(self, value: Any) -> array.array:
        result = array.array(self._typecode)
        if isinstance(value, (bytes, bytearray, memoryview)) and self._typecode == 'B':
            result.frombytes(value)
        elif isinstance(value, np.ndarray):
            assert value.dtype == np.dtype(self._typecode) and value.ndim == 1, (
                f"The '{self.name}' field takes a flat numpy array of "
                f'{np.dtype(self._typecode)}, not {value.dtype} of {value.ndim} dimensions'
            )
            result.frombytes(np.ascontiguousarray(value).view(np.uint8))
        else:
            assert not isinstance(value, str), f"The '{self.name}' field must be a sequence"
            try:
                result.extend(value)
            except (TypeError, OverflowError) as error:
                raise AssertionError(f"The '{self.name}' field: {error}") from None
        return result

    def to_wire(self, value: Any) -> Any:
        # numpy refuses an empty buffer of an array.array.
        dtype = np.dtype(self._typecode)
        return np.frombuffer(value, dtype) if len(value) else np.empty(0, dtype)

    def from_wire(self, value: Any) -> Any:
        result = array.array(self._typecode)
        result.frombytes(value.view(np.uint8))
        return result

    def shown(self, value: Any) -> str:
        return repr(value.tolist())


class NumberArray(Field):
    """A fixed number of numbers: a flat numpy array."""

    def __init__(self, name: str, base: str, size: int) -> None:
        super().__init__(name)
        self._dtype, self._size = np.dtype(TYPECODES[base]), size

    def default(self) -> Any:
        return np.zeros(self._size, self._dtype)

    def checked(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            assert value.dtype == self._dtype, (
                f"The '{self.name}' numpy.ndarray() must have the dtype of '{self._dtype}'"
            )
        else:
            value = np.array(value, dtype=self._dtype)
        assert value.shape == (self._size,), (
            f"The '{self.name}' field must have the shape ({self._size},), not {value.shape}"
        )
        return value

    def to_wire(self, value: Any) -> Any:
        return np.ascontiguousarray(value)

    def from_wire(self, value: Any) -> Any:
        return value.copy()


class ObjectList(Field):
    """A list of strings, bools, bytes or messages; fixed, bounded or of any length."""

    def __init__(self, element: Field, size: int, fixed: bool) -> None:
        super().__init__(element.name)
        self._element, self._size, self._fixed = element, size, fixed

    def default(self) -> Any:
        return [self._element.default() for _ in range(self._size)] if self._fixed else []

    def checked(self, value: Any) -> Any:
        assert isinstance(value, (list, tuple, set)), (
            f"The '{self.name}' field must be a set or sequence, not {type(value).__name__}"
        )
        if self._size:
            assert len(value) == self._size if self._fixed else len(value) <= self._size, (
                f"The '{self.name}' field must have the length {self._size}, not {len(value)}"
            )
        for element in value:
            self._element.checked(element)
        return value if isinstance(value, list) else list(value)

    def to_wire(self, value: Any) -> Any:
        values = [self._element.to_wire(v) for v in value]
        if self._element.base in ('bool', 'byte'):
            return np.array(values, np.bool_ if self._element.base == 'bool' else np.uint8)
        return values

    def from_wire(self, value: Any) -> Any:
        values = value.tolist() if isinstance(value, np.ndarray) else value
        return [self._element.from_wire(v) for v in values]


def constant(base: str, value: Any) -> Any:
    """Return a constant of a message as rclpy shows it."""
    return bytes([value]) if base == 'byte' else value


def field(name: str, description: Any, default: Any, nested: Callable[[str], Nested]) -> Field:
    """Return the field that one of rosbags' field descriptions calls for."""
    kind, content = description
    if kind == Nodetype.BASE:
        return Scalar(name, content[0], content[1], default)
    if kind == Nodetype.NAME:
        return Submessage(name, nested(content))
    (inner_kind, inner), size = content
    fixed = kind == Nodetype.ARRAY
    if inner_kind == Nodetype.BASE and inner[0] in TYPECODES:
        return NumberArray(name, inner[0], size) if fixed else NumberSequence(name, inner[0], size)
    return ObjectList(field(name, (inner_kind, inner), None, nested), size, fixed)
