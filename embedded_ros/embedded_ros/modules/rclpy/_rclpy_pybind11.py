# SPDX-License-Identifier: Apache-2.0
"""Where programs find the errors that rclpy itself defines in C++."""
from __future__ import annotations

from embedded_ros.errors import RCLError
from rclpy.exceptions import InvalidHandle

__all__ = ['InvalidHandle', 'RCLError']
