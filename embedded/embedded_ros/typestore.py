# SPDX-License-Identifier: Apache-2.0
"""The message types this process knows: ROS 2 Jazzy's, the services', and registered ones.

Types are named as ROS names them, `std_msgs/msg/String`, `std_srvs/srv/Trigger_Request`.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from embedded_ros.service_definitions import SERVICES

# An empty struct has no place in CDR: ROS gives it one hidden byte.
PLACEHOLDER = 'structure_needs_at_least_one_member'


@functools.cache
def store() -> Typestore:
    """Return the one type store of the process."""
    types = get_typestore(Stores.ROS2_JAZZY)
    types.register(dict(_service_types()))
    _replace_char(types)
    return types


def register(definitions: Mapping[str, str]) -> list[str]:
    """Add message types from the text of .msg files; a type that is known stays as it is.

    Returns:
        The names of the new types.
    """
    found: dict[str, Any] = {}
    for name, text in definitions.items():
        found.update(get_types_from_msg(text, name))
    new = {name: definition for name, definition in found.items() if name not in store().fielddefs}
    store().register(new)
    _replace_char(store())
    return list(new)


def _replace_char(types: Typestore) -> None:
    """Take `char` as uint8, as rosidl and its hash do; rosbags tells them apart."""
    for name, (constants, fields) in types.fielddefs.items():
        types.fielddefs[name] = (
            constants,
            [(field, _without_char(description)) for field, description in fields],
        )


def _without_char(description: Any) -> Any:
    kind, content = description
    if kind == Nodetype.BASE:
        return (kind, ('uint8', 0)) if content[0] == 'char' else description
    return (
        description if kind == Nodetype.NAME else (kind, (_without_char(content[0]), content[1]))
    )


def _service_types() -> Iterator[tuple[str, Any]]:
    for name, text in SERVICES.items():
        request, response = textwrap.dedent(text).split('---')
        for suffix, fields in (('_Request', request), ('_Response', response)):
            body = fields.strip() or f'uint8 {PLACEHOLDER}'
            # rosbags files every definition under pkg/msg/: put it back under pkg/srv/.
            (definition,) = get_types_from_msg(body + '\n', name + suffix).values()
            yield name + suffix, definition


def type_hash(type_name: str) -> str:
    """Return the RIHS01 hash of a type, as rosidl generates it (REP 2016)."""
    return str(store().hash_rihs01(type_name))


def encode(wire_value: object, type_name: str) -> bytes:
    """Return the CDR bytes of one of rosbags' own values."""
    return bytes(store().serialize_cdr(wire_value, type_name))


def decode(cdr: bytes, type_name: str) -> Any:
    """Return one of rosbags' own values from CDR bytes."""
    # A view, because rosbags cuts off the header by slicing: that would copy an image.
    return store().deserialize_cdr(memoryview(cdr), type_name)
