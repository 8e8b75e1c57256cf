# SPDX-License-Identifier: Apache-2.0
"""Paths as users write them into parameters."""
from __future__ import annotations

from pathlib import Path

from dsac_ros.errors import ConfigError


def user_path(text: str) -> Path:
    """The absolute path; ~ is the home of a user, and the working directory is the node's.

    A launch file runs its nodes in a directory that the user does not see, so that errors must
    name the whole path.
    """
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ConfigError(f'{text!r} begins with ~ and there is no such user: give the whole '
                          'path') from None
