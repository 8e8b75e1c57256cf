# SPDX-License-Identifier: Apache-2.0
"""Services, trigger topics and the Wait action by which nav2 and operators ask for a pose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import Empty as EmptyMessage
from std_srvs.srv import Empty, SetBool, Trigger

from dsac_ros.nodes.recovery_driver import INACTIVE, RecoveryDriver
from dsac_ros.nodes.wait_action import wait_action


class RelocalizationServices:
    """Offered from configuration on, so that a behaviour tree finds them when it is loaded.

    Args:
        node: offers them.
        driver: returns the recovery while the node is active.
        timeouts: returns the time [s] for ~/trigger_relocalization and for
            ~/reinitialize_global_localization.
        set_enabled: starts or stops the processing of images.
        clear: forgets evidence and map -> odom.
    """

    def __init__(
        self,
        node: Node,
        driver: Callable[[], RecoveryDriver | None],
        timeouts: Callable[[], tuple[float, float]],
        set_enabled: Callable[[bool], str],
        clear: Callable[[], None],
    ) -> None:
        self._node, self._driver, self._timeouts = node, driver, timeouts
        self._set_enabled, self._clear = set_enabled, clear
        # Several may wait at a time, and images arrive meanwhile.
        self._group = ReentrantCallbackGroup()
        self._services = [
            node.create_service(kind, f'~/{name}', callback, callback_group=self._group)
            for kind, name, callback in (
                (Trigger, 'trigger_relocalization', self._on_trigger),
                (Empty, 'reinitialize_global_localization', self._on_reinitialize),
                (SetBool, 'set_enabled', self._on_set_enabled),
                (Empty, 'clear', self._on_clear),
            )
        ]
        self._subscriptions = [
            node.create_subscription(kind, name, self._on_hint, 1)
            for kind, name in (
                (EmptyMessage, 'trigger'),
                (PoseWithCovarianceStamped, 'trigger_hint'),
            )
        ]
        self._action = wait_action(node, driver, self._group)

    def close(self) -> None:
        """Withdraw everything."""
        for service in self._services:
            self._node.destroy_service(service)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        if self._action is not None:
            self._action.close()

    async def _verified_pose(self, timeout_s: float, *, is_patient: bool) -> tuple[bool, str]:
        driver = self._driver()
        if driver is None:
            return False, INACTIVE
        future: Future = Future(executor=self._node.executor)
        driver.request(timeout_s, future, is_patient=is_patient)
        found: tuple[bool, str] = await future
        return found

    async def _on_trigger(self, _: Trigger.Request, response: Trigger.Response) -> Any:
        response.success, response.message = await self._verified_pose(
            self._timeouts()[0], is_patient=False
        )
        return response

    async def _on_reinitialize(self, _: Empty.Request, response: Empty.Response) -> Any:
        """Answer when the pose is verified, or late.

        The stock node of nav2 takes any answer for success, and none within its server_timeout
        for failure.
        """
        success, reason = await self._verified_pose(self._timeouts()[1], is_patient=True)
        if not success:
            self._node.get_logger().warning(f'reinitialize_global_localization: {reason}')
        return response

    def _on_set_enabled(self, request: SetBool.Request, response: SetBool.Response) -> Any:
        response.message = self._set_enabled(request.data)
        response.success = response.message != INACTIVE
        return response

    def _on_clear(self, _: Empty.Request, response: Empty.Response) -> Any:
        self._clear()
        return response

    def _on_hint(self, _: Any) -> None:
        """Ask for a pose that nobody waits for: a bumper, a pick-up, a tracker that is lost."""
        driver = self._driver()
        if driver is None:
            self._node.get_logger().warning(f'trigger ignored: {INACTIVE}')
        else:
            driver.request(self._timeouts()[0], Future())
