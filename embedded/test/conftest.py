# SPDX-License-Identifier: Apache-2.0
"""Fixtures that tests share: the modules offered, and those of nodes."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest

HOME = str(Path(__file__).resolve().parents[1])
os.environ['PYTHONPATH'] = os.pathsep.join([HOME, *filter(None, [os.environ.get('PYTHONPATH')])])
sys.path.insert(0, HOME)

testing = importlib.import_module('embedded_ros.testing')
testing.stay_on_this_machine()
domain_id, ros_context, executor = testing.domain_id, testing.ros_context, testing.executor
make_node, spin_until, run_process = testing.make_node, testing.spin_until, testing.run_process
IS_EMBEDDED = importlib.import_module('embedded_ros').install()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect, and so count, what the rclpy of this machine cannot run."""
    absent = 'ros_wheels' if IS_EMBEDDED else 'embedded'
    other = [item for item in items if absent in {mark.name for mark in item.iter_markers()}]
    config.hook.pytest_deselected(items=other)
    items[:] = [item for item in items if item not in other]
