# SPDX-License-Identifier: Apache-2.0
"""Packages of pip and colcon: nothing forgotten, and both say the same."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from test_imports import FILES, ROS, imports, room_of

from dsac_ros.msg import RelocalizationStatus
from dsac_ros.types import Result

ROOT = Path(__file__).resolve().parents[1]
MESSAGES = sorted((ROOT / 'msg').glob('*.msg'))
LAUNCH_FILES = sorted((ROOT / 'launch').glob('*.launch.py'))


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """The names in a wheel that is built from a copy, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp('wheel')
    copy = folder / 'copy'
    for part in ('dsac_ros', 'msg', 'config', 'launch'):
        shutil.copytree(
            ROOT / part, copy / part, ignore=shutil.ignore_patterns('__pycache__', '*.pyc')
        )
    for part in ('setup.py', 'pyproject.toml', 'LICENSE', 'package.xml'):
        shutil.copy(ROOT / part, copy)
    done = subprocess.run(
        [sys.executable, 'setup.py', '-q', 'bdist_wheel', '-d', str(folder)],
        cwd=copy,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob('*.whl')
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_a_wheel_has_every_file_of_the_package(wheel):
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / 'dsac_ros').rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }
    assert expected <= wheel, sorted(expected - wheel)


def test_a_wheel_has_the_interface(wheel):
    for folder, inside in (
        ('msg', 'dsac_ros/msg'),
        ('config', 'dsac_ros/share/config'),
        ('launch', 'dsac_ros/share/launch'),
    ):
        names = {f'{inside}/{path.name}' for path in (ROOT / folder).iterdir() if path.is_file()}
        assert names and names <= wheel
    assert 'dsac_ros/network/weights/encoder.safetensors' in wheel
    assert 'dsac_ros/systems/pixloc/weights/pixloc.safetensors' in wheel


def test_a_wheel_has_the_command(wheel):
    assert any(name.endswith('entry_points.txt') for name in wheel)
    assert 'dsac = dsac_ros.cli.main:main' in (ROOT / 'setup.py').read_text()


def test_every_message_is_generated():
    listed = re.findall(r'"(msg/\w+\.msg)"', (ROOT / 'CMakeLists.txt').read_text())
    assert listed == [f'msg/{path.name}' for path in MESSAGES]


@pytest.mark.parametrize('path', MESSAGES, ids=lambda p: p.stem)
def test_every_field_is_explained(path):
    """A comment stands right above each field, or above the block of fields that it is about."""
    explained = False
    for line in path.read_text().splitlines():
        assert len(line) <= 99
        if not line.strip():
            explained = False
        elif line.startswith('#'):
            explained = True
        elif '=' not in line:
            assert explained, line


def test_results_are_those_of_the_core():
    assert {name: getattr(RelocalizationStatus, name) for name in Result.__members__} == {
        name: int(value) for name, value in Result.__members__.items()
    }


def manifest():
    return ElementTree.parse(ROOT / 'package.xml').getroot()


def test_the_version_is_that_of_package_xml(wheel):
    version = manifest().findtext('version')
    assert f'dsac_ros-{version}.dist-info/METADATA' in wheel
    releases = re.findall(
        r'^(\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)$', (ROOT / 'CHANGELOG.rst').read_text(), re.M
    )
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert releases[0] == (version, str(citation['date-released']))
    assert str(citation['version']) == version


def test_every_used_ros_package_is_a_dependency():
    used = {
        name.split('.')[0]
        for path in FILES
        if room_of(path) == 'nodes'
        for _, name in imports(path)
    } & ROS
    for launch_file in LAUNCH_FILES:
        tree = ast.parse(launch_file.read_text())
        used |= {
            node.module.split('.')[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
        } & ROS
    used = {{'tf2_ros': 'tf2_ros_py'}.get(name, name) for name in used}
    declared = {node.text for node in manifest() if node.tag.endswith('depend')}
    assert used <= declared, sorted(used - declared)
    # lifecycle_msgs: the services that `ros2 lifecycle` calls.
    assert declared & ROS <= used | {'lifecycle_msgs'}, 'declared and not used'


def test_executables_of_ros2_run_exist():
    entries = re.findall(r'"(\w+)=([\w.]+):(\w+)"', (ROOT / 'CMakeLists.txt').read_text())
    assert {name for name, _, _ in entries} == {
        'relocalizer_node',
        'mapper_node',
        'tf_filter',
        'output_recorder',
        'wait_for_active',
        'dsac',
    }
    for _, module, function in entries:
        tree = ast.parse((ROOT / (module.replace('.', '/') + '.py')).read_text())
        assert function in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}


def test_constraints_pin_every_requirement():
    pinned = {
        line.split('==')[0]
        for line in (ROOT / 'constraints.txt').read_text().splitlines()
        if line and not line.startswith('#')
    }
    required = [
        name
        for file in ('setup.py', 'embedded/pyproject.toml')
        for name in re.findall(r"""['"]([a-z-]+)>=""", (ROOT / file).read_text())
    ]
    assert len(required) > 15 and set(required) - {'setuptools'} <= pinned


def test_embedded_is_a_distribution_ignored_by_colcon():
    assert 'embedded' not in (ROOT / 'CMakeLists.txt').read_text()
    assert (ROOT / 'embedded/COLCON_IGNORE').exists()
    version = re.search(r'version = "([\d.]+)"', (ROOT / 'embedded/pyproject.toml').read_text())
    assert f"'standalone': ['embedded_ros=={version.group(1)}']" in (ROOT / 'setup.py').read_text()
    assert "-e ./embedded -e '.[test,standalone]'" in (ROOT / 'Makefile').read_text()


# How rosdep calls what pip installs; '' where it has no key.
ROSDEP_KEYS = {
    'torch': 'python3-torch',
    'numpy': 'python3-numpy',
    'scipy': 'python3-scipy',
    'opencv-python-headless': 'python3-opencv',
    'tqdm': 'python3-tqdm',
    'matplotlib': 'python3-matplotlib',
    'scikit-image': 'python3-skimage',
    'pyyaml': 'python3-yaml',
    'safetensors': '',
    'rosbags': '',
}


def test_a_new_machine_with_ros_gets_every_requirement():
    """From rosdep, or by the line of the README."""
    text = (ROOT / 'setup.py').read_text()
    required = set(re.findall(r"'([a-z-]+)>=", text.split('extras_require')[0]))
    assert required == set(ROSDEP_KEYS)
    declared = {node.text for node in manifest() if node.tag == 'exec_depend'}
    assert {key for key in ROSDEP_KEYS.values() if key} <= declared
    by_pip = ' '.join(name for name, key in ROSDEP_KEYS.items() if not key)
    assert f'pip install {by_pip} ' in (ROOT / 'README.md').read_text()


@pytest.mark.parametrize(
    'path',
    sorted([*ROOT.glob('.github/**/*.yml'), *ROOT.glob('.pre-commit-config.yaml')]),
    ids=lambda path: path.name,
)
def test_files_for_github_are_yaml(path):
    assert yaml.safe_load(path.read_text())


def test_ci_tests_the_oldest_python_on():
    workflow = yaml.safe_load((ROOT / '.github/workflows/ci.yml').read_text())
    versions = workflow['jobs']['test']['strategy']['matrix']['python']
    assert f"python_requires='>={versions[0]}'" in (ROOT / 'setup.py').read_text()
    text = (ROOT / '.ci' / 'run').read_text()
    assert 'make lint\nmake test\nmake test-ros\n' in text


def test_the_set_up_names_no_address():
    for name in ('Makefile', 'constraints.txt', 'test/ros_wheels/requirements.txt', '.ci/run'):
        assert '://' not in (ROOT / name).read_text(), name
