# SPDX-License-Identifier: Apache-2.0
"""Files named by parameters: paths, file:// and package:// URLs, one for each camera."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

from dsac_ros.errors import ConfigError
from dsac_ros.nodes.paths import user_path

SCHEME = '://'
#: Placeholders of the name of a camera; the second is that of camera_info_manager.
NAME_PLACEHOLDERS = ('{name}', '${NAME}')


def of_camera(text: str, parameter: str, camera: str) -> str:
    """Return the value of a parameter for one camera: its name in place of `{name}`.

    Args:
        text: value of the parameter.
        parameter: its name, for errors.
        camera: name of the camera; '' for the only one.

    Raises:
        ConfigError: a name is wanted and there is none.
    """
    if not camera and any(placeholder in text for placeholder in NAME_PLACEHOLDERS):
        raise ConfigError(
            f'{parameter} is {text!r}, which stands for one value a camera, but parameter cameras '
            'names none: name the cameras, or give the value without a placeholder'
        )
    for placeholder in NAME_PLACEHOLDERS:
        text = text.replace(placeholder, camera)
    return text


def resource_path(text: str, parameter: str) -> Path:
    """Return the absolute path of a file that is named by a path or a URL.

    `${ROS_HOME}` is replaced as ROS does, by ~/.ros where it is not set.

    Args:
        text: a path, file:///path or package://package/path.
        parameter: name of the parameter, for errors.

    Raises:
        ConfigError: the URL is of another kind, or its package is not here.
    """
    text = text.replace('${ROS_HOME}', os.environ.get('ROS_HOME') or '~/.ros')
    scheme, separator, rest = text.partition(SCHEME)
    if not separator:
        return user_path(text)
    rest = unquote(rest)
    if scheme == 'file' and rest.startswith(('/', '~')):
        return user_path(rest)
    if scheme == 'package':
        package, _, inside = rest.partition('/')
        if package and inside:
            return package_share(package, parameter) / inside
    raise ConfigError(
        f'{parameter} is {text!r}, expected a path, file:///path/to/file or '
        'package://package/path/to/file'
    )


def package_share(package: str, parameter: str) -> Path:
    """Return the share folder of a ROS package, which the index of ament lists.

    Raises:
        ConfigError: the package is not installed, or its workspace not sourced.
    """
    prefixes = [Path(one) for one in os.environ.get('AMENT_PREFIX_PATH', '').split(':') if one]
    for prefix in prefixes:
        if (prefix / 'share/ament_index/resource_index/packages' / package).is_file():
            return prefix / 'share' / package
    raise ConfigError(
        f'{parameter} names the package {package!r}, which is not in AMENT_PREFIX_PATH: '
        'source the workspace that has it, or give a path'
    )
