# SPDX-License-Identifier: Apache-2.0
"""Event callbacks of subscriptions that are intentionally incompatible with some publishers."""

from __future__ import annotations

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # humble
    from rclpy.qos_event import SubscriptionEventCallbacks

#: Suppresses rclpy's warning about publishers that another subscription receives.
NO_QOS_WARNINGS = SubscriptionEventCallbacks(use_default_callbacks=False)
