# SPDX-License-Identifier: Apache-2.0
"""Messages out of their bytes, by the definitions in a bag or by those of ROS itself."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from rosbags.interfaces import Connection, MessageDefinitionFormat, Nodetype
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Messages of packages beyond ROS 2 itself, for sqlite3 bags, which may lack definitions.
_FFMPEG_PACKET = """std_msgs/Header header
int32 width
int32 height
string encoding
uint64 pts
uint8 flags
bool is_bigendian
uint8[] data"""
VIDEO_MESSAGES = {
    'foxglove_msgs/msg/CompressedVideo': """builtin_interfaces/Time timestamp
string frame_id
uint8[] data
string format""",
    'ffmpeg_image_transport_msgs/msg/FFMPEGPacket': _FFMPEG_PACKET,
    'depthai_ros_msgs/msg/FFMPEGPacket': _FFMPEG_PACKET,
}
CDR, ROS1 = 'cdr', 'ros1'
ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'  # no CDR begins like that
MAX_MESSAGE_BYTES = 1 << 30
IDL_SEPARATOR = '=' * 80 + '\n'
TF_OF_ROS1 = ('tf2_msgs/msg/TFMessage', 'tf/msg/tfMessage')


class MessageError(Exception):
    """A message that cannot be deserialized; the text says why."""


@cache
def message_types() -> Typestore:
    """The message types of ROS 2, for bags that do not bring their own and for writing."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in VIDEO_MESSAGES.items():
        store.register(get_types_from_msg(text, name))
    return store


@cache
def ros1_types() -> Typestore:
    """The message types of ROS 1, with TF, which is none of its common ones."""
    types = get_typestore(Stores.ROS1_NOETIC)
    for name in TF_OF_ROS1:
        types.register(get_types_from_msg('geometry_msgs/TransformStamped[] transforms', name))
    return types


class Deserializer:
    """Messages of one bag; only the definitions of the topics that are read are parsed."""

    def __init__(self) -> None:
        """Starts without types: each is looked up with its first message."""
        self._types: dict[tuple[str, str], Typestore | MessageError] = {}

    def __call__(self, connection: Connection, data: bytes) -> Any:
        """The message in some bytes; MessageError where they hold none."""
        # Only what comes from a .bag does not say it.
        encoding = getattr(connection.ext, 'serialization_format', ROS1)
        types = self._types_of(connection, encoding)
        try:
            if encoding == ROS1:
                return types.deserialize_ros1(data, connection.msgtype)
            if data[:4] == ZSTD_MAGIC:  # compressed one by one
                data = zstd.ZstdDecompressor().decompress(data, max_length=MAX_MESSAGE_BYTES)
            return types.deserialize_cdr(data, connection.msgtype)
        except Exception as error:
            # Broken bytes show as whatever the generated code trips over.
            raise MessageError(
                f'{len(data)} bytes are no {connection.msgtype}: {type(error).__name__}'
            ) from None

    def _types_of(self, connection: Connection, encoding: str) -> Typestore:
        key = (connection.msgtype, encoding)
        if key not in self._types:
            self._types[key] = _choose(connection, encoding)
        types = self._types[key]
        if isinstance(types, MessageError):
            raise types
        return types


def _choose(connection: Connection, encoding: str) -> Typestore | MessageError:
    """The types in the bag; for a standard message without a definition those of ROS."""
    name = connection.msgtype
    if encoding not in (CDR, ROS1):
        return MessageError(f'{name} is serialized as {encoding!r}, expected cdr')
    standard = ros1_types() if encoding == ROS1 else message_types()
    own = _defined(connection)
    if name not in standard.fielddefs:
        return own or MessageError(
            f'{name} is no common message type, and the bag has no '
            'definition of it that can be read'
        )
    return own if own and _serves(own, standard, name) else standard


def _defined(connection: Connection) -> Typestore | None:
    """The types that the definition beside a topic holds, None if it cannot be read."""
    text, name = connection.msgdef.data, connection.msgtype
    try:
        if connection.msgdef.format == MessageDefinitionFormat.MSG:
            found = get_types_from_msg(text, name)
        elif connection.msgdef.format == MessageDefinitionFormat.IDL:
            parts = text.split(IDL_SEPARATOR) if text.startswith(IDL_SEPARATOR) else [text]
            found = {}
            for part in parts:
                head, _, rest = part.partition('\n')
                found.update(get_types_from_idl(rest if head.startswith('IDL: ') else part))
        else:
            return None
        types = get_typestore(Stores.EMPTY)
        types.register(found)
        return types if name in types.fielddefs else None
    except Exception:
        # The parser of definitions has no error of its own for all that it trips over; a type
        # that stays unknown is told by who needs it.
        return None


def _serves(types: Typestore, standard: Typestore, name: str) -> bool:
    """Return whether a type has all fields of the standard, in whatever case and order."""
    if name not in types.fielddefs:
        return False
    own = {field.lower(): kind for field, kind in types.fielddefs[name][1]}
    return all(
        field.lower() in own and _same(types, standard, own[field.lower()], kind)
        for field, kind in standard.fielddefs[name][1]
    )


def _same(
    types: Typestore, standard: Typestore, own: tuple[Any, ...], expected: tuple[Any, ...]
) -> bool:
    """Return whether two kinds of a field hold the same, lists of any length alike."""
    lists = (Nodetype.ARRAY, Nodetype.SEQUENCE)
    if own[0] in lists and expected[0] in lists:
        return _same(types, standard, own[1][0], expected[1][0])
    if own[0] != expected[0]:
        return False
    if expected[0] == Nodetype.NAME:
        return own[1] == expected[1] and _serves(types, standard, own[1])
    return own[1][0] == expected[1][0]
