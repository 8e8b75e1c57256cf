# SPDX-License-Identifier: Apache-2.0
"""Paths in parameters."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies

from dsac_ros.errors import ConfigError
from dsac_ros.nodes.paths import user_path


def test_home_and_the_working_directory(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    assert user_path('~/a.map') == tmp_path / 'a.map'
    assert user_path('maps/a.map') == Path.cwd() / 'maps' / 'a.map'


def test_the_home_of_nobody():
    with pytest.raises(ConfigError, match='there is no such user'):
        user_path('~nobody_of_that_name/a.map')


def test_a_directory_that_is_gone(monkeypatch, tmp_path):
    gone = tmp_path / 'gone'
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigError, match='give the whole path'):
        user_path('a.map')


def test_file_urls(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    assert user_path('file:///maps/a.map') == Path('/maps/a.map')
    assert user_path('file://localhost/maps/a.map') == Path('/maps/a.map')
    assert user_path('file:///maps/my%20house.map') == Path('/maps/my house.map')
    assert user_path('file://~/a.map') == tmp_path / 'a.map'


def test_a_file_in_a_package(monkeypatch, tmp_path):
    for package in ('first', 'second'):
        index = tmp_path / package / 'share/ament_index/resource_index/packages'
        index.mkdir(parents=True)
        (index / package).touch()
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{tmp_path / "first"}:{tmp_path / "second"}')
    found = user_path('package://second/maps/a.map')
    assert found == tmp_path / 'second/share/second/maps/a.map'
    with pytest.raises(ConfigError, match="no ROS package 'third' in AMENT_PREFIX_PATH"):
        user_path('package://third/a.map')


@pytest.mark.parametrize(
    'url', ['http://host/a.map', 'file://host/a.map', 'package://', 'package://name', '://a']
)
def test_other_urls_name_what_is_expected(url):
    with pytest.raises(ConfigError, match='expected a path, file:///path/to/file or package://'):
        user_path(url)


def test_nul_is_no_part_of_a_path():
    with pytest.raises(ConfigError, match='NUL'):
        user_path('a\0b')


@given(strategies.text(max_size=40))
def test_any_text_is_a_path_or_one_line(text):
    try:
        assert user_path(text).is_absolute()
    except ConfigError as error:
        assert '\n' not in str(error)
