# SPDX-License-Identifier: Apache-2.0
"""Offer ROS modules where the machine has none of its own, one by one."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

MODULES = Path(__file__).resolve().parent / 'modules'
# Module -> the part of it that only imports where the installation is complete. A ROS that was
# built for another Python, or sourced by half, is found and cannot be imported.
PROBES = {
    'rclpy': 'rclpy._rclpy_pybind11',
    'tf2_py': 'tf2_py',
    'tf2_ros': 'tf2_ros',
    'tf_transformations': 'tf_transformations',
    'cv_bridge': 'cv_bridge.boost.cv_bridge_boost',
    'sensor_msgs_py': 'sensor_msgs_py.point_cloud2',
}
# tf2_ros reaches into the rclpy that it was built with.
BELONGS_TO = {'tf2_ros': 'rclpy'}


class ModuleFinder(MetaPathFinder):
    """Finds the offered modules in the folder `modules`.

    Nothing is loaded before it is imported: cv_bridge alone would bring OpenCV along.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of an offered top-level module, None for all others."""
        if fullname not in self.names:
            return None
        return PathFinder.find_spec(fullname, [str(MODULES)])


FINDER = ModuleFinder()


def install() -> bool:
    """Offer what is missing here; a second call changes nothing.

    Returns:
        True when rclpy is the embedded one. The message packages then are embedded too.
    """
    if FINDER not in sys.meta_path:
        sys.meta_path.insert(0, FINDER)
        for name in PROBES:
            if BELONGS_TO.get(name) in FINDER.names or not _is_complete(name):
                _offer(name)
    return 'rclpy' in FINDER.names


def offered() -> tuple[str, ...]:
    """Return the names of the modules that are embedded ones in this process."""
    return FINDER.names


def register_messages(definitions: Mapping[str, str]) -> None:
    """Make classes of message definitions; call it after `install`.

    Where rclpy is the machine's own this does nothing: it needs messages that rosidl has built.

    Args:
        definitions: full type name, `my_package/msg/Name`, to the text of its .msg file. The text
            may go on with the definitions of the types inside, as bags have it.
    """
    if 'rclpy' in FINDER.names:
        importlib.import_module('embedded_ros.packages').register(definitions)


def _offer(name: str) -> None:
    for module in [m for m in sys.modules if m == name or m.startswith(f'{name}.')]:
        del sys.modules[module]
    FINDER.names += (name,)
    if name == 'rclpy':
        importlib.import_module('embedded_ros.packages').install_packages()


def _is_complete(name: str) -> bool:
    if name in sys.modules:
        return True
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:  # without origin it is only a folder of that name
        return False
    try:
        importlib.import_module(PROBES[name])
    except Exception:  # an extension that does not fit raises what it likes
        return False
    return True
