# SPDX-License-Identifier: Apache-2.0
"""dsac_wait_for_active: ends when a lifecycle node is active; launch files start the rest then.

The node's own transition_event is no use for that: what it sends before the other side has found
it is lost.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import rclpy
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from dsac_ros.errors import ConfigError

#: Time between questions, and until an answer counts as lost [s].
PERIOD_S, ANSWER_S = 0.3, 2.0
#: The node is named while it is waited for [s].
REMIND_S = 10.0


class ActiveWait(Node):
    """Asks a lifecycle node for its state; ROS parameter node: its name."""

    def __init__(self) -> None:
        super().__init__('dsac_wait_for_active')
        name = str(self.declare_parameter('node', 'dsac_relocalizer').value)
        if not name:
            raise ConfigError('parameter node is empty, expected the name of a lifecycle node')
        self.client = self.create_client(GetState, f'{name}/get_state')

    def wait(self) -> None:
        """Return when the node is active."""
        reminded = time.monotonic()
        label = 'not there'
        while label != 'active':
            label = self._state() or label
            if time.monotonic() - reminded > REMIND_S:
                reminded = time.monotonic()
                self.get_logger().info(
                    f'waiting for {self.client.srv_name.removesuffix("/get_state")}, '
                    f'which is {label}'
                )
            if label != 'active':
                time.sleep(PERIOD_S)

    def _state(self) -> str:
        """Return the label of the state; '' without an answer."""
        if not self.client.wait_for_service(timeout_sec=PERIOD_S):
            return ''
        future = self.client.call_async(GetState.Request())
        rclpy.spin_until_future_complete(self, future, timeout_sec=ANSWER_S)
        if not future.done() or future.result() is None:
            self.client.remove_pending_request(future)
            return ''
        current = future.result().current_state
        return 'active' if current.id == State.PRIMARY_STATE_ACTIVE else current.label


def main(args: Sequence[str] | None = None) -> int:
    """Wait; exit code 0 once the node is active, 1 if interrupted."""
    rclpy.init(args=args)
    try:
        ActiveWait().wait()
    except (KeyboardInterrupt, ExternalShutdownException):
        return 1
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
