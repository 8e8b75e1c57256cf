# SPDX-License-Identifier: Apache-2.0
"""Cyclone data types that describe a ROS type truly but carry its CDR bytes untouched.

Cyclone's Python reader only calls `deserialize(bytes)`, its writer only `serialize()`: a class
that keeps the bytes turns the binding into a byte pipe. The type description it publishes is
the genuine one, so DDS programs that check types (XTypes) match as ROS nodes do.
"""

from __future__ import annotations

import functools
from typing import Any

from cyclonedds.idl import IdlStruct, make_idl_struct
from cyclonedds.idl import types as idl
from rosbags.interfaces import Nodetype

from embedded_ros.dds.names import dds_type
from embedded_ros.typestore import store

PRIMITIVES: dict[str, Any] = {
    'bool': bool,
    'byte': idl.uint8,
    'char': idl.uint8,
    'int8': idl.int8,
    'uint8': idl.uint8,
    'octet': idl.uint8,
    'int16': idl.int16,
    'uint16': idl.uint16,
    'int32': idl.int32,
    'uint32': idl.uint32,
    'int64': idl.int64,
    'uint64': idl.uint64,
    'float32': idl.float32,
    'float64': idl.float64,
    'string': str,
}


class CdrSample:
    """Base of the data types: it holds the bytes."""

    cdr: bytes

    def __init__(self, cdr: bytes = b'') -> None:
        self.cdr = cdr

    def serialize(self, *_: Any, **__: Any) -> bytes:
        """Return the bytes as they are."""
        return self.cdr

    @classmethod
    def deserialize(cls, data: bytes, *_: Any, **__: Any) -> CdrSample:
        """Return a sample around the bytes."""
        return cls(data)

    deserialize_key = deserialize


@functools.cache
def topic_type(type_name: str) -> Any:
    """Data type of a topic: genuine description, bytes untouched."""
    hints = dict(_described(type_name).__annotations__)
    cls = make_idl_struct(_identifier(type_name), dds_type(type_name), hints, dataclassify=False)
    return _byte_pipe(cls)


@functools.cache
def service_type(type_name: str) -> Any:
    """Data type of one direction of a service.

    The samples have a header that the type does not know of, so the description is a dummy;
    ROS nodes match by the type's name.
    """
    cls = make_idl_struct(
        _identifier(type_name), dds_type(type_name), {'opaque': idl.uint8}, dataclassify=False
    )
    return _byte_pipe(cls)


def _byte_pipe(cls: Any) -> Any:
    for name in ('__init__', 'serialize', 'deserialize', 'deserialize_key'):
        setattr(cls, name, CdrSample.__dict__[name])
    return cls


@functools.cache
def _described(type_name: str) -> type[IdlStruct]:
    """Return the IdlStruct with the fields of a ROS type."""
    fields = {name: _field(node) for name, node in store().fielddefs[type_name][1]}
    return make_idl_struct(_identifier(type_name), dds_type(type_name), fields)


def _field(node: Any) -> Any:
    kind, content = node
    if kind == Nodetype.BASE:
        base, bound = content
        return idl.bounded_str[bound] if base == 'string' and bound else PRIMITIVES[base]
    if kind == Nodetype.NAME:
        return _described(content)
    inner, size = content
    if kind == Nodetype.ARRAY:
        return idl.array[_field(inner), size]
    return idl.sequence[_field(inner), size] if size else idl.sequence[_field(inner)]


def _identifier(type_name: str) -> str:
    return type_name.replace('/', '_')
