# SPDX-License-Identifier: Apache-2.0
"""Wait for one message on a topic."""
from __future__ import annotations

import time
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup

POLL_S = 0.005


def wait_for_message(msg_type: Any, node: Any, topic: str, *, qos_profile: Any = 1,
                     time_to_wait: float = -1) -> tuple[bool, Any]:
    """Wait for the next message without spinning the node.

    Returns:
        Whether one came, and the message or None.
    """
    subscription = node.create_subscription(msg_type, topic, lambda _: None, qos_profile,
                                            callback_group=ReentrantCallbackGroup())
    node._waiting.remove(subscription)    # an executor must not take the message
    end = time.monotonic() + time_to_wait if time_to_wait >= 0 else float('inf')
    try:
        while node.context.ok() and time.monotonic() < end:
            work = subscription.take()
            if work is not None:
                return True, work[1][0]
            time.sleep(POLL_S)
        return False, None
    finally:
        subscription.destroy()
