# SPDX-License-Identifier: Apache-2.0
"""Put the embedded modules where `import rclpy` and its family look."""
from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys

# Installed name -> where it lives here; every module below it comes along.
MODULES = ('rclpy', 'tf2_ros', 'tf2_py', 'tf_transformations', 'cv_bridge', 'sensor_msgs_py')


def is_needed() -> bool:
    """Whether there is no rclpy that can be imported (the embedded one does not count)."""
    if 'rclpy' in sys.modules:
        return getattr(sys.modules['rclpy'], 'IS_EMBEDDED', False)
    return importlib.util.find_spec('rclpy') is None


def install() -> bool:
    """Offer the embedded runtime where ROS 2 is missing.

    Returns:
        Whether the embedded runtime is in use now.
    """
    if not is_needed():
        return False
    if 'rclpy' in sys.modules:
        return True
    # The message packages come first: the modules below import them by their ROS names.
    importlib.import_module('dsac_ros.embedded.packages').install_packages()
    for name in MODULES:
        if name != 'rclpy' and importlib.util.find_spec(name) is not None:
            continue    # a pip-installed tf_transformations, say, is as good as ours
        _alias(name, f'{__package__}.{name}')
    return True


def _alias(name: str, source: str) -> None:
    """Import the package `source` with all its modules and show them under `name` too."""
    package = importlib.import_module(source)
    for info in pkgutil.walk_packages(getattr(package, '__path__', []), source + '.'):
        sys.modules[name + info.name[len(source):]] = importlib.import_module(info.name)
    sys.modules[name] = package
