# SPDX-License-Identifier: Apache-2.0
"""Count of the messages that never reached a subscription's callback.

A reader of depth 1 replaces a message that waits while the executor is busy, and best effort loses
some on the way. Messages have no number of their own; the middleware may number them:

- the publisher's number (Fast DDS, since ROS 2 Iron): all that was published and not delivered,
- the reader's number (the embedded runtime): all that arrived and was replaced before its turn,
- neither (rmw_cyclonedds, Humble): nothing can be counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rclpy.subscription import Subscription

#: A larger gap is that of another publisher, or of one that was started again.
MAX_GAP = 1000
MAX_PUBLISHERS = 8
#: False on Humble, whose callbacks take the message alone.
HAS_MESSAGE_INFO = hasattr(Subscription, 'CallbackType')


class MissedMessages:
    """Counts gaps in the numbers of a subscription's messages."""

    def __init__(self) -> None:
        self.count = 0
        self._last: dict[str, list[int]] = {}

    def counting(self, callback: Callable[[Any], None]) -> Callable[..., None]:
        """Return a callback for `create_subscription` that counts and calls the given one."""
        if not HAS_MESSAGE_INFO:
            return callback

        def count_and_call(message: Any, info: Mapping[str, Any]) -> None:
            self.add(info)
            callback(message)

        return count_and_call

    def add(self, info: Mapping[str, Any]) -> None:
        """Count what is missing before a message, by its MessageInfo."""
        for name in ('publication_sequence_number', 'reception_sequence_number'):
            number = info.get(name)
            if isinstance(number, int):
                self.count += self._gap(self._last.setdefault(name, []), number)
                return

    @staticmethod
    def _gap(last: list[int], number: int) -> int:
        """Return how many numbers are missing before this one; several publishers count apart."""
        before = max((one for one in last if 0 < number - one <= MAX_GAP), default=None)
        if before is not None:
            last.remove(before)
        last.append(number)
        del last[:-MAX_PUBLISHERS]
        return 0 if before is None else number - before - 1
