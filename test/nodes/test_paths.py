# SPDX-License-Identifier: Apache-2.0
"""Paths in parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsac_ros.errors import ConfigError
from dsac_ros.nodes.paths import user_path


def test_home_and_the_working_directory(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    assert user_path('~/a.map') == tmp_path / 'a.map'
    assert user_path('maps/a.map') == Path.cwd() / 'maps' / 'a.map'


def test_the_home_of_nobody():
    with pytest.raises(ConfigError, match='there is no such user'):
        user_path('~nobody_of_that_name/a.map')
