# SPDX-License-Identifier: Apache-2.0
"""Process of a helper node: runs until interrupted, or says in one line why it cannot start."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.logging import get_logger
from rclpy.node import Node

from dsac_ros.errors import DsacError


def run(make_node: Callable[[], Node], name: str, args: Sequence[str] | None = None) -> int:
    """Run a node until interrupted; return the exit code."""
    rclpy.init(args=args)
    node = None
    try:
        node = make_node()
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException, BrokenPipeError):
        pass
    except DsacError as error:
        get_logger(name).fatal(f'cannot start: {error}')
        return 1
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
