# SPDX-License-Identifier: Apache-2.0
"""Check that the wheels of ROS 2 can be used here, and messages be built on them."""

from __future__ import annotations

import os
import platform
import shutil
import sysconfig
from pathlib import Path

PYTHONS = ((3, 10), (3, 14))
GLIBC = (2, 28)


def what_is_missing() -> str | None:
    """Return one line: what was found, what is expected, what to do. None where all is there."""
    return _missing_platform() or _missing_build_tool()


def _missing_platform() -> str | None:
    here = f'{platform.system()} on {platform.machine()}'
    if here != 'Linux on x86_64':
        return f'this is {here}, and the wheels of ROS 2 are for Linux on x86_64'
    name, version = platform.libc_ver()
    if name != 'glibc' or tuple(map(int, version.split('.')[:2])) < GLIBC:
        return (
            f'this is {name or "another C library"} {version}, and the wheels of ROS 2 need '
            f'glibc {GLIBC[0]}.{GLIBC[1]} or newer'
        )
    first, last = PYTHONS
    if not first <= tuple(map(int, platform.python_version_tuple()[:2])) <= last:
        return (
            f'this is Python {platform.python_version()}, and the wheels of ROS 2 are for '
            f'3.{first[1]} to 3.{last[1]}: make clean, then make PYTHON=python3.12 test-ros'
        )
    return None


def _missing_build_tool() -> str | None:
    for variable, names, package in (('CC', ('cc', 'gcc'), 'gcc'), ('CXX', ('c++', 'g++'), 'g++')):
        chosen = os.environ.get(variable, '').split()[:1]
        if not any(map(shutil.which, chosen or names)):
            return (
                f'{" ".join(chosen) or " or ".join(names)} is missing, which builds the '
                f'messages: sudo apt install {package}'
            )
    header = Path(sysconfig.get_path('include'), 'Python.h')
    if not header.exists():
        return f'{header} is missing, which the messages include: sudo apt install python3-dev'
    return None
