# SPDX-License-Identifier: Apache-2.0
"""Runs one of our nodes on the runtime that is there; what stops it is one clear line."""
from __future__ import annotations

import importlib
from collections.abc import Sequence

from dsac_ros.embedded.installation import install
from dsac_ros.errors import ConfigError


def choose_runtime() -> str:
    """Install the embedded runtime where rclpy is missing.

    Returns:
        'rclpy' or 'the embedded runtime'.
    """
    if install():
        return 'the embedded runtime'
    if not _has_messages():
        raise ConfigError('ROS 2 is sourced here, but the messages of dsac_ros are not built for '
                          'it; run `colcon build` and source install/setup.bash, or use a shell '
                          'without ROS')
    return 'rclpy'


def _has_messages() -> bool:
    try:
        return hasattr(importlib.import_module('dsac_ros.msg'), 'MapInfo')
    except ImportError:
        return False


def run_node(module: str, arguments: Sequence[str]) -> int:
    """Run the `main` of a node until it is interrupted.

    Args:
        module: its module, `dsac_ros.nodes.relocalizer_node`.
        arguments: the command line that it reads, program name first.
    """
    from rclpy._rclpy_pybind11 import RCLError
    try:
        return importlib.import_module(module).main(arguments)
    except RCLError as error:
        raise ConfigError(f'{arguments[0]} cannot run: {error}') from None
