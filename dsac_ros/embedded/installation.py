# SPDX-License-Identifier: Apache-2.0
"""Make `import rclpy` and its family find the embedded modules where ROS 2 is missing."""
from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

FAMILY = ('rclpy', 'tf2_ros', 'tf2_py', 'tf_transformations', 'cv_bridge', 'sensor_msgs_py')
HOME = __package__


class EmbeddedFinder(MetaPathFinder, Loader):
    """Finds `rclpy.qos` as `dsac_ros.embedded.rclpy.qos`: one module under two names.

    Nothing is loaded before it is asked for: cv_bridge alone would bring OpenCV along.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)

    def find_spec(self, fullname: str, path: Sequence[str] | None = None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec of a module of the family; None for all others."""
        if fullname.partition('.')[0] not in self._names:
            return None
        if importlib.util.find_spec(f'{HOME}.{fullname}') is None:
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module of ours."""
        module = importlib.import_module(f'{HOME}.{spec.name}')
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Undo what the import system did to it: it has run and knows its own name."""
        module.__spec__ = module.__spec__.loader_state


def is_needed() -> bool:
    """Whether there is no rclpy of ROS 2 to import."""
    return is_installed() or importlib.util.find_spec('rclpy') is None


def is_installed() -> bool:
    """Whether the embedded modules are offered."""
    return any(isinstance(finder, EmbeddedFinder) for finder in sys.meta_path)


def install() -> bool:
    """Offer the embedded runtime where ROS 2 is missing.

    Returns:
        Whether the embedded runtime is in use now.
    """
    if is_installed():
        return True
    if not is_needed():
        return False
    importlib.import_module(f'{HOME}.packages').install_packages()
    # What pip has installed, a tf_transformations say, is as good as ours.
    missing = [name for name in FAMILY if importlib.util.find_spec(name) is None]
    sys.meta_path.insert(0, EmbeddedFinder(missing))
    return True
