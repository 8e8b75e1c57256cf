# SPDX-License-Identifier: Apache-2.0
"""The ROS modules of this process: the machine's own, or embedded ones where it has none.

This is the only place that knows the distribution `embedded_ros`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

from dsac_ros.errors import ConfigError

PACKAGE = 'dsac_ros'


def offer_runtime() -> bool:
    """Offer embedded modules for what ROS modules are missing here.

    Returns:
        True when rclpy is the embedded one.

    Raises:
        ConfigError: there is no rclpy at all.
    """
    try:
        from embedded_ros import install
    except ImportError:
        if importlib.util.find_spec('rclpy') is None:
            raise ConfigError(
                'no rclpy here: source ROS 2, or install the embedded modules with '
                '`make setup` (they are in the folder embedded)'
            ) from None
        return False
    is_embedded = install()
    register_messages(
        {
            f'{PACKAGE}/msg/{path.stem}': path.read_text(encoding='utf-8')
            for path in message_files()
        }
    )
    return is_embedded


def register_messages(definitions: Mapping[str, str]) -> None:
    """Make the classes of message definitions known where rclpy is embedded.

    Args:
        definitions: full type name, `my_package/msg/Name`, to the text of its .msg file.
    """
    try:
        from embedded_ros import register_messages as register
    except ImportError:
        return
    register(definitions)


def message_files() -> list[Path]:
    """Return our .msg files, in the installed package or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    folders = (package / 'msg', package.parent / 'msg')
    return next((files for folder in folders if (files := sorted(folder.glob('*.msg')))), [])


def choose_runtime() -> str:
    """Offer embedded modules where needed, and check that our messages are there.

    Returns:
        'rclpy' or 'the embedded runtime'.
    """
    if offer_runtime():
        return 'the embedded runtime'
    if not _has_messages():
        raise ConfigError(
            'ROS 2 is sourced here, but the messages of dsac_ros are not built for '
            'it; run `colcon build` and source install/setup.bash, or use a shell '
            'without ROS'
        )
    return 'rclpy'


def _has_messages() -> bool:
    try:
        return hasattr(importlib.import_module(f'{PACKAGE}.msg'), 'MapInfo')
    except ImportError:
        return False


def run_node(module: str, arguments: Sequence[str]) -> int:
    """Run the `main` of a node until it is interrupted.

    Args:
        module: its module, `dsac_ros.nodes.relocalizer_node`.
        arguments: the command line that it reads, program name first.

    Returns:
        The exit code.
    """
    from rclpy._rclpy_pybind11 import RCLError

    try:
        return importlib.import_module(module).main(arguments)
    except RCLError as error:
        raise ConfigError(f'{arguments[0]} cannot run: {error}') from None
