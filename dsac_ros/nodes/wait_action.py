# SPDX-License-Identifier: Apache-2.0
"""Action ~/wait_until_localized of type nav2_msgs/action/Wait, where nav2_msgs is installed.

The behaviour tree node `Wait` of nav2, with this server, succeeds when the pose is verified and
fails where it is not, which a service of type Empty cannot tell.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from rclpy.node import Node
from rclpy.task import Future

from dsac_ros.nodes.recovery_driver import INACTIVE, PendingRequest, RecoveryDriver

NAME = '~/wait_until_localized'
#: Error code of nav2's Wait that timed out; Jazzy has the field without the constants.
TIMEOUT = 741


class WaitAction:
    """Action server; a goal's time is the longest wait."""

    def __init__(
        self,
        node: Node,
        driver: Callable[[], RecoveryDriver | None],
        kind: Any,
        action: ModuleType,
        group: Any,
    ) -> None:
        self._node, self._driver, self._kind, self._action = node, driver, kind, action
        self._requests: dict[bytes, PendingRequest] = {}
        self._server = action.ActionServer(
            node,
            kind,
            NAME,
            self.execute,
            cancel_callback=self.on_cancel,
            callback_group=group,
        )

    def close(self) -> None:
        """Withdraw the action."""
        self._server.destroy()

    async def execute(self, goal: Any) -> Any:
        """Wait for a verified pose; the result says why there is none, where it can."""
        driver = self._driver()
        success, reason = False, INACTIVE
        if driver is not None:
            future: Future = Future(executor=self._node.executor)
            seconds = goal.request.time.sec + goal.request.time.nanosec * 1e-9
            key = bytes(goal.goal_id.uuid)
            self._requests[key] = driver.request(seconds, future)
            success, reason = await future
            del self._requests[key]
        result = self._kind.Result()
        if success:
            goal.succeed()
        elif goal.is_cancel_requested:
            goal.canceled()
        else:
            goal.abort()
            if hasattr(result, 'error_code'):  # not in Humble
                result.error_code, result.error_msg = TIMEOUT, reason
        return result

    def on_cancel(self, goal: Any) -> Any:
        """End the wait."""
        driver, request = self._driver(), self._requests.get(bytes(goal.goal_id.uuid))
        if driver is not None and request is not None:
            driver.withdraw(request)
        return self._action.CancelResponse.ACCEPT


def wait_action(
    node: Node, driver: Callable[[], RecoveryDriver | None], group: Any
) -> WaitAction | None:
    """Return the action server; None where nav2_msgs or actions are not installed."""
    try:
        kind = importlib.import_module('nav2_msgs.action').Wait
        action = importlib.import_module('rclpy.action')
    except ImportError:
        return None
    return WaitAction(node, driver, kind, action, group)
