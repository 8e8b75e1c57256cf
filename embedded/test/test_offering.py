# SPDX-License-Identifier: Apache-2.0
"""Modules are offered one by one, and only where the machine has none that works."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[1]
ALL = ['rclpy', 'tf2_py', 'tf2_ros', 'tf_transformations', 'cv_bridge', 'sensor_msgs_py']
REPORT = """
import json, sys
sys.path[:0] = {folders!r}
import embedded_ros
first = embedded_ros.install(), embedded_ros.install()
embedded_ros.register_messages({{'my_msgs/msg/Note': 'std_msgs/Header header\\nstring text'}})
{more}
print(json.dumps([list(embedded_ros.offered()), *first]))
"""

pytestmark = pytest.mark.embedded


def offered(folder, more=''):
    """The names offered where the packages in a folder are installed, and both results."""
    script = REPORT.format(folders=[str(folder), str(HOME)], more=more)
    environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    done = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, env=environment, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    names, first, second = json.loads(done.stdout)
    assert first is second is ('rclpy' in names)
    return names


def install(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


RCLPY = {'rclpy/__init__.py': 'from rclpy import _rclpy_pybind11', 'rclpy/_rclpy_pybind11.py': ''}
MESSAGES = {'std_msgs/__init__.py': '', 'std_msgs/msg.py': 'REAL = True'}


def test_everything_where_nothing_is_there(tmp_path):
    assert offered(tmp_path, 'import rclpy.node, tf2_ros, tf2_msgs.msg, std_msgs.msg') == ALL


def test_nothing_is_loaded_before_it_is_imported(tmp_path):
    offered(tmp_path, 'assert not {"cv2", "scipy", "rclpy", "cyclonedds"} & set(sys.modules)')


def test_a_module_that_is_there_is_left_alone(tmp_path):
    install(tmp_path, {'tf_transformations.py': 'REAL = True'})
    names = offered(tmp_path, 'import tf_transformations; assert tf_transformations.REAL')
    assert names == [name for name in ALL if name != 'tf_transformations']


def test_the_rest_is_offered_beside_an_installed_rclpy(tmp_path):
    """Messages are not offered: rosidl must build them for that rclpy."""
    install(tmp_path, {**RCLPY, **MESSAGES})
    assert (
        offered(
            tmp_path,
            """
import rclpy, std_msgs.msg, tf_transformations, importlib.util
assert std_msgs.msg.REAL and 'site' not in tf_transformations.__file__
assert importlib.util.find_spec('tf2_msgs') is None, 'rosidl must build it for that rclpy'
assert 'my_msgs' not in sys.modules
""",
        )
        == ALL[1:]
    )


@pytest.mark.parametrize(
    'failure',
    [
        'raise ImportError("built for another Python")',
        'raise AttributeError("_ARRAY_API")',
        'import std_msgs.msg, rclpy._gone',
    ],
)
def test_an_unimportable_rclpy_counts_as_missing(tmp_path, failure):
    install(
        tmp_path,
        {**RCLPY, **MESSAGES, 'rclpy/_rclpy_pybind11.py': failure, 'rclpy/node.py': 'REAL = True'},
    )
    assert (
        offered(
            tmp_path,
            """
import rclpy.node, std_msgs.msg
assert rclpy.IS_EMBEDDED and rclpy.node.Node
assert std_msgs.msg.String(data='x').data == 'x'
""",
        )
        == ALL
    )


def test_a_folder_of_that_name_is_no_module(tmp_path):
    (tmp_path / 'rclpy').mkdir()
    (tmp_path / 'tf2_ros').mkdir()
    assert offered(tmp_path, 'import rclpy; assert rclpy.IS_EMBEDDED') == ALL


def test_cv_bridge_without_extension_counts_as_missing(tmp_path):
    install(tmp_path, {'cv_bridge/__init__.py': 'REAL = True'})
    assert 'cv_bridge' in offered(tmp_path, 'import cv_bridge; assert cv_bridge.CvBridge')


def test_tf2_ros_comes_with_rclpy(tmp_path):
    install(tmp_path, {'tf2_ros/__init__.py': 'REAL = True'})
    assert offered(tmp_path) == ALL
    install(tmp_path, RCLPY)
    assert 'tf2_ros' not in offered(tmp_path)


def test_message_definitions_become_classes(tmp_path):
    install(tmp_path, {'my_msgs/__init__.py': 'REAL = True', 'my_msgs/other.py': ''})
    offered(
        tmp_path,
        """
from my_msgs.msg import Note
import my_msgs.other
assert my_msgs.REAL
assert Note(text='a').header.frame_id == ''
char = 'char letter\\n' + '=' * 80 + '\\nMSG: deep_msgs/Inner\\nint32 number\\n'
embedded_ros.register_messages({'bag_msgs/msg/Outer': 'deep_msgs/Inner inner\\n' + char})
from bag_msgs.msg import Outer
from deep_msgs.msg import Inner
assert Outer(inner=Inner(number=3), letter=65).inner.number == 3
# What is known stays: a bag of an old ROS does not change the types of this process.
embedded_ros.register_messages({'std_msgs/msg/String': 'int8 other'})
from std_msgs.msg import String
assert String(data='x').data == 'x'
""",
    )
