# SPDX-License-Identifier: Apache-2.0
"""Managed nodes."""
from __future__ import annotations

from rclpy.lifecycle.managed_entity import ManagedEntity, SimpleManagedEntity
from rclpy.lifecycle.node import LifecycleNode, LifecycleNodeMixin
from rclpy.lifecycle.publisher import LifecyclePublisher
from rclpy.lifecycle.state_machine import (
    LifecycleState,
    TransitionCallbackReturn,
)

Node, NodeMixin, State, Publisher = (LifecycleNode, LifecycleNodeMixin, LifecycleState,
                                     LifecyclePublisher)

__all__ = ['LifecycleNode', 'LifecycleNodeMixin', 'LifecyclePublisher', 'LifecycleState',
           'ManagedEntity', 'SimpleManagedEntity', 'TransitionCallbackReturn']
