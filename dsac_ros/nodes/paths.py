# SPDX-License-Identifier: Apache-2.0
"""Paths in parameters."""

from __future__ import annotations

from pathlib import Path

from dsac_ros.errors import ConfigError


def user_path(text: str) -> Path:
    """Return the absolute path; ~ is expanded, and relative paths start at the node's directory.

    A launch file runs its nodes in a directory unknown to the user, so that errors must name the
    absolute path.

    Raises:
        ConfigError: ~ names an unknown user.
    """
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ConfigError(
            f'{text!r} begins with ~ and there is no such user: give the whole path'
        ) from None
