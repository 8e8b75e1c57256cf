# SPDX-License-Identifier: Apache-2.0
"""Services of the mapper: coroutines that answer with a sentence, and never raise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from std_srvs.srv import Trigger

from dsac_ros.errors import DsacError


def create_services(
    node: Node, actions: Mapping[str, Callable[[], Awaitable[str]]], done: Callable[[], None]
) -> None:
    """Create a Trigger service for each action; `done` is called after each.

    They live as long as the node: an answer may be due after it was deactivated. A callback that
    awaits occupies its callback group, hence one for each.
    """
    for name, action in actions.items():
        node.create_service(
            Trigger,
            f'~/{name}',
            service_callback(node, action, done),
            callback_group=MutuallyExclusiveCallbackGroup(),
        )


def service_callback(
    node: Node, action: Callable[[], Awaitable[str]], done: Callable[[], None]
) -> Callable[[Any, Any], Awaitable[Any]]:
    """Return a callback that reports success with a message, or failure with a reason."""

    async def callback(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            response.message, response.success = await action(), True
        except (DsacError, OSError) as error:
            response.message, response.success = str(error), False
        except Exception as error:  # out of a callback it would end the node
            response.message, response.success = f'{type(error).__name__}: {error}', False
        # Two calls: rclpy does not let one of them change its severity.
        if response.success:
            node.get_logger().info(response.message)
        else:
            node.get_logger().error(response.message)
        done()
        return response

    return callback
