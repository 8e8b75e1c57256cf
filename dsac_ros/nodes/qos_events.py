# SPDX-License-Identifier: Apache-2.0
"""Subscriptions that are only there for some publishers, and do not complain about the rest."""
from __future__ import annotations

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:    # humble
    from rclpy.qos_event import SubscriptionEventCallbacks

#: rclpy's own warning would say that a publisher is not heard which another subscription hears.
NO_COMPLAINTS = SubscriptionEventCallbacks(use_default_callbacks=False)
