# SPDX-License-Identifier: Apache-2.0
"""Service ~/load_map of type nav2_msgs/srv/LoadMap, where nav2_msgs is installed.

Request and result codes are those of nav2's map_server, so that whoever switches floors there
switches ours with the same call. It sets the parameter `map` and answers when the map is in use.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.parameter import Parameter

from dsac_ros.errors import DsacError
from dsac_ros.nodes.executor_wait import ExecutorWait
from dsac_ros.nodes.paths import user_path

NAME = '~/load_map'


class LoadMapService:
    """Replaces the map in use; it answers in its own time, and images are processed meanwhile."""

    def __init__(
        self,
        node: Node,
        kind: Any,
        in_use: Callable[[], tuple[str, str, str]],
        wait: ExecutorWait,
    ) -> None:
        """Offer the service.

        Args:
            node: owner of the parameter `map`.
            kind: type of the service.
            in_use: returns path of the map in use, path of the one that is being loaded ('' for
                none) and why the one requested last cannot be used ('' if it can).
            wait: of the node.
        """
        self._node, self._kind, self._in_use, self._wait = node, kind, in_use, wait
        self._service = node.create_service(
            kind, NAME, self._on_request, callback_group=ReentrantCallbackGroup()
        )

    def close(self) -> None:
        """Withdraw the service."""
        self._node.destroy_service(self._service)

    async def _on_request(self, request: Any, response: Any) -> Any:
        response.result, reason = await self._load(request.map_url)
        if reason:
            self._node.get_logger().error(f'{NAME}: {reason}')
        return response

    async def _load(self, url: str) -> tuple[int, str]:
        """Return the result code and the reason, one line; '' for success."""
        codes = self._kind.Response
        try:
            if not url or not user_path(url).exists():
                return (
                    codes.RESULT_MAP_DOES_NOT_EXIST,
                    f'map_url is {url!r}, and no such file is here',
                )
        except (DsacError, OSError) as error:
            return codes.RESULT_MAP_DOES_NOT_EXIST, str(error)
        (answer,) = self._node.set_parameters([Parameter('map', Parameter.Type.STRING, url)])
        if not answer.successful:
            return codes.RESULT_INVALID_MAP_METADATA, answer.reason
        await self._wait.until(lambda: self._in_use()[1] != url)
        path, _, problem = self._in_use()
        if path == url:
            return codes.RESULT_SUCCESS, ''
        if problem:
            return codes.RESULT_INVALID_MAP_DATA, problem
        return (
            codes.RESULT_UNDEFINED_FAILURE,
            f'{url} is not loaded: another map was set meanwhile',
        )


def load_map_service(
    node: Node, in_use: Callable[[], tuple[str, str, str]], wait: ExecutorWait
) -> LoadMapService | None:
    """Return the service; None where nav2_msgs is not installed."""
    try:
        kind = importlib.import_module('nav2_msgs.srv').LoadMap
    except ImportError:
        return None
    return LoadMapService(node, kind, in_use, wait)
