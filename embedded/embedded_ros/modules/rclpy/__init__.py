# SPDX-License-Identifier: Apache-2.0
"""rclpy: start, spin, stop."""

from __future__ import annotations

from typing import Any

from rclpy.context import Context
from rclpy.signals import (
    SignalHandlerOptions,
    install_signal_handlers,
    uninstall_signal_handlers,
)
from rclpy.task import Future
from rclpy.utilities import (
    get_default_context,
    ok,
    try_shutdown,
)
from rclpy.utilities import shutdown as _shutdown

__all__ = [
    'Context',
    'create_node',
    'get_default_context',
    'get_global_executor',
    'init',
    'ok',
    'shutdown',
    'spin',
    'spin_once',
    'spin_until_future_complete',
    'try_shutdown',
]
IS_EMBEDDED = True
_global_executors: list[Any] = []


def init(
    *,
    args: list[str] | None = None,
    context: Context | None = None,
    domain_id: int | None = None,
    signal_handler_options: SignalHandlerOptions | None = None,
) -> None:
    """Join the ROS graph; signals are handled for the default context."""
    context = context or get_default_context()
    if signal_handler_options is None:
        is_default = context is get_default_context()
        signal_handler_options = (
            SignalHandlerOptions.ALL if is_default else SignalHandlerOptions.NO
        )
    context.init(args, domain_id=domain_id)
    install_signal_handlers(signal_handler_options)


def shutdown(*, context: Context | None = None, uninstall_handlers: bool | None = None) -> None:
    """Leave the graph."""
    is_default = context is None or context is get_default_context()
    _shutdown(context=context)
    if uninstall_handlers or (uninstall_handlers is None and is_default):
        uninstall_signal_handlers()


def get_global_executor() -> Any:
    """Return the executor of `spin(node)` and its like."""
    if not _global_executors:
        from rclpy.executors import SingleThreadedExecutor

        _global_executors.append(SingleThreadedExecutor())
        get_default_context().on_shutdown(_global_executors.clear)
    return _global_executors[0]


def create_node(node_name: str, **options: Any) -> Any:
    """Return a plain `Node`."""
    from rclpy.node import Node

    return Node(node_name, **options)


def spin_once(node: Any, *, executor: Any = None, timeout_sec: float | None = None) -> None:
    """Run one callback of the node, or wait that long for one."""
    executor = executor or get_global_executor()
    executor.add_node(node)
    try:
        executor.spin_once(timeout_sec=timeout_sec)
    finally:
        executor.remove_node(node)


def spin(node: Any, executor: Any = None) -> None:
    """Run the node's callbacks until shutdown."""
    executor = executor or get_global_executor()
    executor.add_node(node)
    try:
        while executor.context.ok():
            executor.spin_once()
    finally:
        executor.remove_node(node)


def spin_until_future_complete(
    node: Any, future: Future, executor: Any = None, timeout_sec: float | None = None
) -> None:
    """Run the node's callbacks until the future is done."""
    executor = executor or get_global_executor()
    added = executor.add_node(node)
    try:
        executor.spin_until_future_complete(future, timeout_sec)
    finally:
        if added:
            executor.remove_node(node)
