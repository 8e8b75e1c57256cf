# SPDX-License-Identifier: Apache-2.0
"""A point in time of one clock, integer nanoseconds."""

from __future__ import annotations

from typing import Any

from builtin_interfaces.msg import Time as TimeMsg

from rclpy.clock_type import ClockType
from rclpy.constants import S_TO_NS


class Time:
    """A point in time; times of different clocks do not mix."""

    def __init__(
        self,
        *,
        seconds: float = 0,
        nanoseconds: int = 0,
        clock_type: ClockType = ClockType.SYSTEM_TIME,
    ) -> None:
        if not isinstance(clock_type, ClockType):
            raise TypeError('Clock type must be a ClockType enum')
        if seconds < 0:
            raise ValueError('Seconds value must not be negative')
        if nanoseconds < 0:
            raise ValueError('Nanoseconds value must not be negative')
        self._nanoseconds = int(seconds * S_TO_NS) + int(nanoseconds)
        if self._nanoseconds >= 2**63:
            raise OverflowError('Total nanoseconds value is too large to store in C time point.')
        self._clock_type = clock_type

    @property
    def nanoseconds(self) -> int:
        """Since the clock's epoch [ns]."""
        return self._nanoseconds

    @property
    def clock_type(self) -> ClockType:
        """Return the kind of clock this time belongs to."""
        return self._clock_type

    def seconds_nanoseconds(self) -> tuple[int, int]:
        """Whole seconds and the nanoseconds beyond."""
        return divmod(self._nanoseconds, S_TO_NS)

    def to_msg(self) -> Any:
        """Convert to builtin_interfaces/Time."""
        seconds, nanoseconds = self.seconds_nanoseconds()
        return TimeMsg(sec=seconds, nanosec=nanoseconds)

    @classmethod
    def from_msg(cls, msg: Any, clock_type: ClockType = ClockType.ROS_TIME) -> Time:
        """Convert from builtin_interfaces/Time."""
        return cls(seconds=msg.sec, nanoseconds=msg.nanosec, clock_type=clock_type)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Time):
            return NotImplemented
        if self._clock_type != other._clock_type:
            raise TypeError("Can't compare times with different clock types")
        return self._nanoseconds == other._nanoseconds

    def __hash__(self) -> int:
        return hash((self._nanoseconds, self._clock_type))

    def __repr__(self) -> str:
        return f'Time(nanoseconds={self._nanoseconds}, clock_type={self._clock_type.name})'
