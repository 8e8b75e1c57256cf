# SPDX-License-Identifier: Apache-2.0
"""Kinds of clocks, by what their time is counted from."""

from __future__ import annotations

from enum import IntEnum


class ClockType(IntEnum):
    """The kinds of clocks."""

    UNINITIALIZED = 0
    ROS_TIME = 1
    SYSTEM_TIME = 2
    STEADY_TIME = 3
