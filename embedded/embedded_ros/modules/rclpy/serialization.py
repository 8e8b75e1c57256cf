# SPDX-License-Identifier: Apache-2.0
"""Messages as CDR bytes."""

from __future__ import annotations

from typing import Any

from embedded_ros.messages import deserialize, serialize


def serialize_message(message: Any) -> bytes:
    """Return the CDR bytes of a message."""
    return serialize(message)


def deserialize_message(serialized_message: bytes, message_type: Any) -> Any:
    """Return the message in CDR bytes."""
    return deserialize(serialized_message, message_type)
