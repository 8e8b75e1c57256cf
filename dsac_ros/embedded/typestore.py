# SPDX-License-Identifier: Apache-2.0
"""The message types this process knows: ROS 2 Jazzy's, the services', our own msg/*.msg.

Types are named as ROS names them, `std_msgs/msg/String`, `std_srvs/srv/Trigger_Request`.
"""
from __future__ import annotations

import functools
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from dsac_ros.embedded.service_definitions import SERVICES

PACKAGE = 'dsac_ros'
# An empty struct has no place in CDR: ROS gives it one hidden byte.
PLACEHOLDER = 'structure_needs_at_least_one_member'


def message_folder() -> Path | None:
    """Where our own .msg files are: in the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / 'msg', package.parent / 'msg'):
        if any(folder.glob('*.msg')):
            return folder
    return None


@functools.cache
def store() -> Typestore:
    """The one type store of the process."""
    types = get_typestore(Stores.ROS2_JAZZY)
    types.register(dict(_service_types()))
    types.register(dict(_own_types()))
    # In a .msg file `char` is a uint8, for rosidl and its hash; rosbags tells them apart.
    for name, (constants, fields) in types.fielddefs.items():
        types.fielddefs[name] = constants, [(field, _without_char(description))
                                            for field, description in fields]
    return types


def _without_char(description: Any) -> Any:
    kind, content = description
    if kind == Nodetype.BASE:
        return (kind, ('uint8', 0)) if content[0] == 'char' else description
    return description if kind == Nodetype.NAME else (kind, (_without_char(content[0]),
                                                             content[1]))


def _service_types() -> Iterator[tuple[str, Any]]:
    for name, text in SERVICES.items():
        request, response = textwrap.dedent(text).split('---')
        for suffix, fields in (('_Request', request), ('_Response', response)):
            body = fields.strip() or f'uint8 {PLACEHOLDER}'
            # rosbags files every definition under pkg/msg/: put it back under pkg/srv/.
            (definition,) = get_types_from_msg(body + '\n', name + suffix).values()
            yield name + suffix, definition


def _own_types() -> Iterator[tuple[str, Any]]:
    folder = message_folder()
    for path in sorted(folder.glob('*.msg')) if folder else ():
        yield from get_types_from_msg(path.read_text(), f'{PACKAGE}/msg/{path.stem}').items()


def type_hash(type_name: str) -> str:
    """RIHS01 hash of a type, as rosidl generates it (REP 2016)."""
    return str(store().hash_rihs01(type_name))


def encode(wire_value: object, type_name: str) -> bytes:
    """CDR bytes of one of rosbags' own values."""
    return bytes(store().serialize_cdr(wire_value, type_name))


def decode(cdr: bytes, type_name: str) -> Any:
    """One of rosbags' own values from CDR bytes."""
    # A view, because rosbags cuts off the header by slicing: that would copy an image.
    return store().deserialize_cdr(memoryview(cdr), type_name)
