# SPDX-License-Identifier: Apache-2.0
"""Managed nodes."""
from __future__ import annotations

from dsac_ros.embedded.rclpy.lifecycle.managed_entity import ManagedEntity, SimpleManagedEntity
from dsac_ros.embedded.rclpy.lifecycle.node import LifecycleNode, LifecycleNodeMixin
from dsac_ros.embedded.rclpy.lifecycle.publisher import LifecyclePublisher
from dsac_ros.embedded.rclpy.lifecycle.state_machine import (
    LifecycleState,
    TransitionCallbackReturn,
)

Node, NodeMixin, State, Publisher = (LifecycleNode, LifecycleNodeMixin, LifecycleState,
                                     LifecyclePublisher)

__all__ = ['LifecycleNode', 'LifecycleNodeMixin', 'LifecyclePublisher', 'LifecycleState',
           'ManagedEntity', 'SimpleManagedEntity', 'TransitionCallbackReturn']
