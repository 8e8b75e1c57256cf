# SPDX-License-Identifier: Apache-2.0
"""Keeps a reliable writer from giving up messages that a reader of another vendor still collects.

A message beyond FRAGMENT bytes travels in fragments. When a writer's history is full it gives up
its oldest message and says so in its next heartbeat. Fast DDS (2.14, and open in its pull request
2239) then forgets the fragments it has of that message in one of its two histories only: its
reader finds the remains, cannot decode them, and tries again for ever, deaf to signals. So no
message is sent to such a reader that would push one out of the history before it has arrived.
"""

from __future__ import annotations

import threading
from typing import Any

from cyclonedds.core import Policy
from cyclonedds.util import duration

from embedded_ros.dds.configuration import FRAGMENT

# Vendor that begins the GUID of every endpoint of Cyclone DDS.
CYCLONE = b'\x01\x10'
# A latched message is the state of something: it waits this long for its turn before it is lost.
LATCHED_PATIENCE = duration(milliseconds=500)


class SendWindow:
    """Decides for one reliable writer of limited history if a message may be written now."""

    def __init__(self, writer: Any, depth: int, is_latched: bool) -> None:
        self._writer, self._depth, self._is_latched = writer, max(1, depth), is_latched
        self._known: dict[int, bool] = {}
        self._sent = 0
        self._has_fragments = False
        self._lock = threading.Lock()

    def admits(self, size: int) -> bool:
        """Return True if a message of a size [bytes] harms no reader; it then counts as sent."""
        with self._lock:
            self._has_fragments |= size > FRAGMENT
            if not self._has_fragments or not self._has_foreign_reader():
                return True
            if self._is_latched:
                # Readers that joined late still collect the history while others have it all.
                return self._has_arrived(LATCHED_PATIENCE)
            if self._sent == self._depth:
                if not self._has_arrived(0):
                    return False
                self._sent = 0
            self._sent += 1
            return True

    def _has_arrived(self, patience: int) -> bool:
        """Return True if all readers have all that was sent, now or within a time [ns]."""
        return self._writer._wait_for_acks(self._writer._ref, patience) == 0

    def _has_foreign_reader(self) -> bool:
        handles = self._writer.get_matched_subscriptions()
        self._known = {
            handle: self._known[handle] if handle in self._known else self._is_foreign(handle)
            for handle in handles
        }
        return any(self._known.values())

    def _is_foreign(self, handle: int) -> bool:
        reader = self._writer.get_matched_subscription_data(handle)
        return (
            reader is not None
            and reader.key.bytes[:2] != CYCLONE
            and isinstance(reader.qos[Policy.Reliability], Policy.Reliability.Reliable)
        )
