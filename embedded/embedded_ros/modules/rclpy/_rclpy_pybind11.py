# SPDX-License-Identifier: Apache-2.0
"""Errors that rclpy itself defines in C++."""

from __future__ import annotations

from embedded_ros.errors import RCLError
from rclpy.exceptions import InvalidHandle

__all__ = ['InvalidHandle', 'RCLError']
