# SPDX-License-Identifier: Apache-2.0
"""Files and folders named by parameters: paths, file:// and package:// URLs."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

from dsac_ros.errors import ConfigError

SCHEME = '://'
INDEX = 'share/ament_index/resource_index/packages'


def user_path(text: str) -> Path:
    """Return the absolute path of a file or folder that a user names.

    ~ is expanded, and relative paths start at the node's directory. A launch file runs its nodes
    in a directory unknown to the user, so that errors must name the absolute path.

    Args:
        text: a path, file:///path/to/file or package://package/path/to/file.

    Raises:
        ConfigError: there is no such user or package, or the URL is of another kind.
    """
    if '\0' in text:
        raise ConfigError(f'{text!r} contains NUL, expected a path')
    scheme, separator, rest = text.partition(SCHEME)
    if not separator or '/' in scheme:
        return _absolute(text)
    rest = unquote(rest)
    if scheme == 'file':
        rest = rest.removeprefix('localhost')
        if rest.startswith(('/', '~')):
            return _absolute(rest)
    elif scheme == 'package':
        package, _, inside = rest.partition('/')
        if package and inside:
            return package_share(package) / inside
    raise ConfigError(
        f'{text!r} is no file that this node can read, expected a path, file:///path/to/file or '
        'package://package/path/to/file'
    )


def package_share(package: str) -> Path:
    """Return the share folder of an installed ROS package, as the index of ament lists it.

    Raises:
        ConfigError: the package is not installed, or its workspace not sourced.
    """
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        if prefix and Path(prefix, INDEX, package).is_file():
            return Path(prefix, 'share', package)
    raise ConfigError(
        f'there is no ROS package {package!r} in AMENT_PREFIX_PATH: source the workspace that has '
        'it, or give a path'
    )


def _absolute(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ConfigError(
            f'{text!r} begins with ~ and there is no such user: give the whole path'
        ) from None
    except OSError as error:  # of a relative path, where the directory of this process is gone
        raise ConfigError(
            f'{text!r} cannot be completed ({error.strerror}): give the whole path'
        ) from None
