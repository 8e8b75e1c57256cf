# SPDX-License-Identifier: Apache-2.0
"""Managed nodes."""

from __future__ import annotations

from rclpy.lifecycle.node import LifecycleNode, LifecycleNodeMixin
from rclpy.lifecycle.state_machine import (
    LifecycleState,
    TransitionCallbackReturn,
)

Node, NodeMixin, State = LifecycleNode, LifecycleNodeMixin, LifecycleState

__all__ = ['LifecycleNode', 'LifecycleNodeMixin', 'LifecycleState', 'TransitionCallbackReturn']
