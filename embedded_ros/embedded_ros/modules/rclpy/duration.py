# SPDX-License-Identifier: Apache-2.0
"""A span of time, integer nanoseconds."""
from __future__ import annotations

import functools
from typing import Any

from builtin_interfaces.msg import Duration as DurationMsg

from rclpy.constants import S_TO_NS

INFINITE_NS = 2**63 - 1


@functools.total_ordering
class Duration:
    """A span of time; may be negative."""

    def __init__(self, *, seconds: float = 0, nanoseconds: int = 0) -> None:
        self._nanoseconds = int(seconds * S_TO_NS) + int(nanoseconds)
        if not -2**63 <= self._nanoseconds < 2**63:
            raise OverflowError('Total nanoseconds value is too large to store in C duration.')

    @property
    def nanoseconds(self) -> int:
        """The whole span [ns]."""
        return self._nanoseconds

    def to_msg(self) -> Any:
        """As builtin_interfaces/Duration."""
        seconds, nanoseconds = divmod(self._nanoseconds, S_TO_NS)
        return DurationMsg(sec=seconds, nanosec=nanoseconds)

    @classmethod
    def from_msg(cls, msg: Any) -> Duration:
        """From builtin_interfaces/Duration."""
        return cls(seconds=msg.sec, nanoseconds=msg.nanosec)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Duration):
            return self._nanoseconds == other._nanoseconds
        return NotImplemented

    def __lt__(self, other: Duration) -> bool:
        if isinstance(other, Duration):
            return self._nanoseconds < other._nanoseconds
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._nanoseconds)

    def __repr__(self) -> str:
        return f'Duration(nanoseconds={self._nanoseconds})'


Infinite = Duration(nanoseconds=INFINITE_NS)
