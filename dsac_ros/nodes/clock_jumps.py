# SPDX-License-Identifier: Apache-2.0
"""Time that jumps back: a bag that is played again, a simulation that was reset, a clock set.

rclpy tells jumps of /clock. A bag without --clock, or the clock of a computer that is set back,
shows in stamps of images and of TF only.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.clock import ClockChange, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.node import Node

from dsac_ros.nodes.stamps import RestartDetector
from dsac_ros.nodes.transforms import Transforms

#: Simulated time that falls by less does not disturb anything [ns].
MIN_CLOCK_JUMP_NS = 100_000_000
#: Stamps that fall so soon after a jump belong to it [s of the steady clock].
SAME_JUMP_S = 3.0


class ClockJumps:
    """Tells a node once for each jump back; all is called in the executor."""

    def __init__(self, node: Node, transforms: Transforms, on_jump: Callable[[], None]) -> None:
        """Watch the clock and TF; `on_jump` forgets whatever carries a stamp."""
        self._node, self._on_jump = node, on_jump
        self._images: dict[str, RestartDetector] = {}
        self._last_s = -SAME_JUMP_S
        self._handle = node.get_clock().create_jump_callback(
            JumpThreshold(
                min_forward=None,
                min_backward=Duration(nanoseconds=-MIN_CLOCK_JUMP_NS),
                on_clock_change=True,
            ),
            post_callback=self._on_clock,
        )
        self._stop_listening = transforms.on_restart(
            lambda fall: self._on_stamps(fall, 'the stamps of TF')
        )

    def image(self, camera: str, stamp: int) -> None:
        """Take the stamp [ns] of an image that arrives; `camera` names its source."""
        fall = self._images.setdefault(camera, RestartDetector()).restarted(
            stamp, time.monotonic()
        )
        if fall:
            self._on_stamps(fall, 'the stamps of the images')

    def close(self) -> None:
        """Stop watching."""
        self._handle.unregister()
        self._stop_listening()

    def _on_clock(self, jump: TimeJump) -> None:
        if jump.clock_change == ClockChange.ROS_TIME_NO_CHANGE:
            self._jumped(f'time jumped back by {-jump.delta.nanoseconds / 1e9:.1f} s (/clock)')
        else:
            self._jumped('the clock was changed (use_sim_time)')

    def _on_stamps(self, fall_ns: int, source: str) -> None:
        if time.monotonic() - self._last_s >= SAME_JUMP_S:
            self._jumped(f'time jumped back by {fall_ns / 1e9:.1f} s ({source})')

    def _jumped(self, line: str) -> None:
        self._last_s = time.monotonic()
        for detector in self._images.values():
            detector.begin_anew()
        self._node.get_logger().warning(
            f'{line}, as that of a bag that starts over: poses, odometry and map -> odom from '
            'before are forgotten'
        )
        self._on_jump()
