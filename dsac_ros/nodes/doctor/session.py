# SPDX-License-Identifier: Apache-2.0
"""A ROS context for one look at the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.signals import SignalHandlerOptions

from dsac_ros.nodes.doctor.finding import Finding, fail
from dsac_ros.nodes.doctor.probe import listen
from dsac_ros.nodes.doctor.tf import Frames

NODE = 'dsac_doctor'


def listen_once(
    image: str | None,
    info: str | None,
    seconds: float,
    ros_args: Sequence[str],
    frames: Frames,
    header: dict[str, Any],
) -> list[Finding]:
    """Start a node, listen and leave.

    Args:
        image: image topic; None to choose.
        info: camera_info topic; None to choose.
        seconds: time to listen.
        ros_args: remappings of the node.
        frames: names of the frames.
        header: of a map, {} for none.
    """
    words = [NODE, '--ros-args', *ros_args] if ros_args else [NODE]
    try:
        # Ctrl-C stays with Python: the command line ends by it.
        rclpy.init(args=words, signal_handler_options=SignalHandlerOptions.NO)
        node = rclpy.create_node(NODE, start_parameter_services=False)
        return listen(node, image, info, seconds, frames, header)
    except RCLError as error:
        return [fail('graph', f'cannot be joined: {error}')]
    finally:
        rclpy.try_shutdown()
