# SPDX-License-Identifier: Apache-2.0
"""Where programs find the errors that rclpy itself defines in C++."""
from __future__ import annotations

from dsac_ros.embedded.rclpy.exceptions import InvalidHandle, RCLError

__all__ = ['InvalidHandle', 'RCLError']
