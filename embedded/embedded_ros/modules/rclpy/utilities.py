# SPDX-License-Identifier: Apache-2.0
"""The default context and what belongs to it."""

from __future__ import annotations

import threading

from rclpy.context import Context

_lock = threading.RLock()
_default: list[Context] = []


def get_default_context(*, shutting_down: bool = False) -> Context:
    """Return the context used where none is named; after its shutdown there is a new one."""
    with _lock:
        if not _default:
            _default.append(Context())
        return _default.pop() if shutting_down else _default[0]


def ok(*, context: Context | None = None) -> bool:
    """Return True if ROS is initialized and not shut down."""
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
