# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM shut ROS down."""

from __future__ import annotations

import signal
import threading
from enum import IntEnum
from typing import Any


class SignalHandlerOptions(IntEnum):
    """Signals that shut ROS down."""

    NO = 0
    SIGINT = 1
    SIGTERM = 2
    ALL = 3


_previous: dict[int, Any] = {}


def install_signal_handlers(options: SignalHandlerOptions = SignalHandlerOptions.ALL) -> None:
    """Handle the signals from now on; only the main thread can do that."""
    if threading.current_thread() is not threading.main_thread():
        return
    for option, number in (
        (SignalHandlerOptions.SIGINT, signal.SIGINT),
        (SignalHandlerOptions.SIGTERM, signal.SIGTERM),
    ):
        if options & option and number not in _previous:
            _previous[number] = signal.signal(number, _on_signal)


def uninstall_signal_handlers() -> None:
    """Give the signals back to who had them."""
    if threading.current_thread() is threading.main_thread():
        for number in list(_previous):
            signal.signal(number, _previous.pop(number))


def _on_signal(number: int, frame: Any) -> None:
    from rclpy.utilities import get_default_context

    # A thread of its own: this one may hold the very locks that shutdown needs.
    context = get_default_context()
    threading.Thread(target=context.try_shutdown, name='shutdown', daemon=True).start()
    # As with rclpy, the program's own handler still runs: Ctrl-C is a KeyboardInterrupt.
    previous = _previous.get(number)
    if callable(previous):
        previous(number, frame)
