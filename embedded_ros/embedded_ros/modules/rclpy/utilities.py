# SPDX-License-Identifier: Apache-2.0
"""The default context and what belongs to it."""
from __future__ import annotations

import sys
import threading
from collections.abc import Sequence

from rclpy.arguments import without_ros_arguments
from rclpy.context import Context

_lock = threading.RLock()
_default: list[Context] = []


def get_default_context(*, shutting_down: bool = False) -> Context:
    """The context that is used where none is named; shutting it down makes room for a new one."""
    with _lock:
        if not _default:
            _default.append(Context())
        return _default.pop() if shutting_down else _default[0]


def ok(*, context: Context | None = None) -> bool:
    """Whether ROS is initialized and not shut down."""
    return (context or get_default_context()).ok()


def shutdown(*, context: Context | None = None) -> None:
    """Shut a context down; RuntimeError when it was never initialized."""
    (context or get_default_context(shutting_down=True)).shutdown()


def try_shutdown(*, context: Context | None = None) -> None:
    """Shut a context down unless that has happened already."""
    if context is not None:
        context.try_shutdown()
        return
    with _lock:
        default = get_default_context()
        default.try_shutdown()
        if _default and _default[0] is default:
            _default.clear()


def remove_ros_args(args: Sequence[str] | None = None) -> list[str]:
    """The arguments outside of `--ros-args ... --`."""
    return without_ros_arguments(list(sys.argv if args is None else args))


def get_rmw_implementation_identifier() -> str:
    """What speaks DDS here."""
    return 'rmw_cyclonedds_cpp'


def timeout_sec_to_nsec(timeout_sec: float | None) -> int:
    """Nanoseconds, -1 for a timeout that never comes."""
    return -1 if timeout_sec is None or timeout_sec < 0 else int(float(timeout_sec) * 10**9)
