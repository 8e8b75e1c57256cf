# SPDX-License-Identifier: Apache-2.0
"""Errors that the DDS layer and rclpy have in common."""

from __future__ import annotations


class RCLError(RuntimeError):
    """An operation of the client library failed."""
