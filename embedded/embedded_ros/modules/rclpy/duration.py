# SPDX-License-Identifier: Apache-2.0
"""A span of time, integer nanoseconds."""

from __future__ import annotations

from rclpy.constants import S_TO_NS

INFINITE_NS = 2**63 - 1


class Duration:
    """A span of time; may be negative."""

    def __init__(self, *, seconds: float = 0, nanoseconds: int = 0) -> None:
        self._nanoseconds = int(seconds * S_TO_NS) + int(nanoseconds)
        if not -(2**63) <= self._nanoseconds < 2**63:
            raise OverflowError('Total nanoseconds value is too large to store in C duration.')

    @property
    def nanoseconds(self) -> int:
        """Return the whole span [ns]."""
        return self._nanoseconds

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Duration):
            return self._nanoseconds == other._nanoseconds
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._nanoseconds)

    def __repr__(self) -> str:
        return f'Duration(nanoseconds={self._nanoseconds})'
