# SPDX-License-Identifier: Apache-2.0
"""Python classes of messages that behave as rclpy's do.

Fields have defaults, take keyword arguments, check what is assigned; sequences of numbers are
`array.array`, fixed arrays are numpy. `to_wire`/`from_wire` lead to rosbags' own values, which
know CDR; bulk data crosses as a buffer, never element by element.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import numpy as np

from embedded_ros import fields as kinds
from embedded_ros.typestore import PLACEHOLDER, decode, encode, store

# rosbags drops the default values of fields; this is the only one among ROS' own messages.
DEFAULTS = {('geometry_msgs/msg/Quaternion', 'w'): 1.0}


class Message:
    """Base of all message classes."""

    __slots__ = ()
    TYPE_NAME: ClassVar[str]
    FIELDS: ClassVar[dict[str, kinds.Field]]

    def __init__(self, **values: Any) -> None:
        for name, field in self.FIELDS.items():
            if name in values:
                setattr(self, name, values.pop(name))
            else:
                object.__setattr__(self, name, field.default())
        assert not values, f'Invalid arguments passed to constructor: {", ".join(sorted(values))}'

    def __setattr__(self, name: str, value: Any) -> None:
        field = self.FIELDS.get(name)
        if field is None:
            raise AttributeError(f'{type(self).__name__!r} object has no attribute {name!r}')
        object.__setattr__(self, name, field.checked(value))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return False
        return all(
            np.array_equal(mine, theirs) if isinstance(mine, np.ndarray) else mine == theirs
            for mine, theirs in ((getattr(self, f), getattr(other, f)) for f in self.FIELDS)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        values = ', '.join(
            f'{name}={field.shown(getattr(self, name))}' for name, field in self.FIELDS.items()
        )
        return f'{self.__module__}.{type(self).__name__}({values})'


def message_class(type_name: str) -> type[Message]:
    """Return the class of a type, `std_msgs/msg/String`; always the same object."""
    return _message_class(type_name)


@functools.cache
def _message_class(type_name: str) -> type[Message]:
    package, kind, name = type_name.split('/')
    constants, definitions = store().fielddefs[type_name]
    fields = {}
    for field, description in definitions:
        if field != PLACEHOLDER:
            default = DEFAULTS.get((type_name, field))
            fields[field] = kinds.field(field, description, default, _nested)
    namespace: dict[str, Any] = {
        '__slots__': tuple(fields),
        '__module__': f'{package}.{kind}',
        '__qualname__': name,
        'TYPE_NAME': type_name,
        'FIELDS': fields,
    }
    # A constant is a class attribute; a slot of the same name cannot stand beside it.
    namespace.update(
        {
            constant: kinds.constant(base, value)
            for constant, base, value in constants
            if constant not in fields
        }
    )
    return type(name, (Message,), namespace)


def _nested(type_name: str) -> kinds.Nested:
    return kinds.Nested(message_class(type_name), to_wire, from_wire)


def to_wire(message: Message) -> Any:
    """Return the value of rosbags' class for the same type, sharing bulk data."""
    values = [field.to_wire(getattr(message, name)) for name, field in message.FIELDS.items()]
    return store().types[message.TYPE_NAME](*(values or [0] * _placeholders(message.TYPE_NAME)))


def from_wire(wire: Any, cls: type[Message]) -> Message:
    """Return a message of class `cls` from rosbags' value."""
    message = cls.__new__(cls)
    for name, field in cls.FIELDS.items():
        object.__setattr__(message, name, field.from_wire(getattr(wire, field.wire_name)))
    return message


@functools.cache
def _placeholders(type_name: str) -> int:
    return len(store().fielddefs[type_name][1])


def serialize(message: Message) -> bytes:
    """Return CDR bytes, with their four bytes of encapsulation header."""
    return encode(to_wire(message), message.TYPE_NAME)


def deserialize(cdr: bytes, cls: type[Message]) -> Message:
    """Return the message that the CDR bytes hold."""
    return from_wire(decode(cdr, cls.TYPE_NAME), cls)
