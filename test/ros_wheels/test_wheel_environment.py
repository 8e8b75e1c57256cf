# SPDX-License-Identifier: Apache-2.0
"""wheel_environment.py: the parts that `make test-ros` makes its environment of."""

import re
import shutil
from xml.etree import ElementTree

import pytest
import wheel_environment

from embedded_ros import typestore

ROOT = wheel_environment.ROOT
TF2_MSGS = wheel_environment.HERE / 'tf2_msgs'


def test_every_requirement_is_pinned_once():
    lines = [
        line
        for line in wheel_environment.REQUIREMENTS.read_text().splitlines()
        if line and not line.startswith('#')
    ]
    matches = [
        re.fullmatch(r'([a-z0-9-]+)(\[[a-z]+\])?==([\d.]+)(; python_version .+)?', line)
        for line in lines
    ]
    assert all(matches), [line for line, match in zip(lines, matches) if not match]
    plain = [match.group(1) for match in matches if not match.group(4)]
    assert len(plain) == len(set(plain)) > 100
    assert not set(plain) & set(
        re.findall(r'^([a-z0-9-]+)==', (ROOT / 'constraints.txt').read_text(), re.M)
    )


def test_exports_name_the_python_and_numpy_here(tmp_path):
    file = tmp_path / 'std_msgs/cmake/export_py.cmake'
    file.parent.mkdir(parents=True)
    file.write_text(
        'INCLUDE "/opt/python/cp311-cp311/include/python3.11;/opt/python/cp311-cp311/'
        'lib/python3.11/site-packages/numpy/_core/include"\nset(other "/usr/include")'
    )
    (tmp_path / 'other.cmake').write_text('set(a "${PREFIX}/include")')
    assert wheel_environment.rewrite_exports(tmp_path, '/here/py\\3', '/here/numpy') == 1
    assert file.read_text() == 'INCLUDE "/here/py\\3;/here/numpy"\nset(other "/usr/include")'


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of the files that the environment is made of."""
    for pattern in wheel_environment.SOURCES:
        for path in filter(lambda path: path.is_file(), ROOT.glob(pattern)):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    monkeypatch.setattr(wheel_environment, 'ROOT', tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    'changed',
    [
        'msg/MapInfo.msg',
        'constraints.txt',
        'test/ros_wheels/requirements.txt',
        'test/ros_wheels/tf2_msgs/msg/TFMessage.msg',
    ],
)
def test_a_change_of_what_it_is_made_of_counts(checkout, changed):
    folder = checkout / 'environment'
    before = wheel_environment.digest(folder)
    assert wheel_environment.digest(folder) == before
    (checkout / changed).write_text('other')
    assert wheel_environment.digest(folder) != before


def test_it_is_not_made_twice(checkout, monkeypatch):
    steps = []
    for step in ('install_wheels', 'build_messages'):
        monkeypatch.setattr(
            wheel_environment,
            step,
            lambda folder, step=step: (steps.append(step), folder.mkdir(exist_ok=True)),
        )
    for _ in range(2):
        wheel_environment.make(checkout / 'environment')
    assert steps == ['install_wheels', 'build_messages']


def test_a_ros_that_is_sourced_is_hidden(tmp_path):
    inner = wheel_environment.environment(
        tmp_path,
        {
            'PATH': '/usr/bin',
            'HOME': '/home/me',
            'PYTHONPATH': '/opt/ros/lib',
            'AMENT_PREFIX_PATH': '/opt/ros',
            'LD_LIBRARY_PATH': '/opt/ros/lib',
            'ROS_DOMAIN_ID': '3',
            'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp',
            'FASTRTPS_DEFAULT_PROFILES_FILE': '/me.xml',
            '_ROS_WHEELS_BOOTSTRAP_COMPLETE': '1',
            'MAKEFLAGS': '-j4',
        },
    )
    assert inner == {
        'PATH': f'{tmp_path}/bin:/usr/bin',
        'HOME': '/home/me',
        'AMENT_PREFIX_PATH': str(tmp_path),
        'CMAKE_PREFIX_PATH': str(tmp_path),
        'RMW_IMPLEMENTATION': 'rmw_fastrtps_cpp',
        'PYTEST_DISABLE_PLUGIN_AUTOLOAD': '1',
    }


def test_the_package_has_all_that_its_cmake_file_names():
    text = (ROOT / 'CMakeLists.txt').read_text()
    (folders,) = re.findall(r'install\(DIRECTORY ([a-z ]+) DESTINATION share', text)
    assert set(folders.split()) < set(wheel_environment.PARTS_OF_PACKAGE)
    assert all((ROOT / part).exists() for part in wheel_environment.PARTS_OF_PACKAGE)


def test_tf2_msgs_is_the_one_of_jazzy():
    assert ElementTree.parse(TF2_MSGS / 'package.xml').findtext('name') == 'tf2_msgs'
    fields = typestore.store().fielddefs
    ((name, (_, ((_, element), _))),) = fields['tf2_msgs/msg/TFMessage'][1]
    assert (TF2_MSGS / 'msg/TFMessage.msg').read_text().split() == [
        f'{element.replace("/msg/", "/")}[]',
        name,
    ]
    assert (TF2_MSGS / 'srv/FrameGraph.srv').read_text() == '---\nstring frame_yaml\n'
