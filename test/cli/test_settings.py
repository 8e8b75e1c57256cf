# SPDX-License-Identifier: Apache-2.0
"""cli/settings.py: --config and --set."""

from __future__ import annotations

import argparse

import pytest

from dsac_ros.cli.settings import (
    add_settings_options,
    make_settings,
    read_settings,
    split_settings,
)
from dsac_ros.config import AcceptConfig, RansacConfig
from dsac_ros.errors import ConfigError


def read(*words):
    parser = argparse.ArgumentParser()
    add_settings_options(parser)
    return read_settings(parser.parse_args(words))


def test_set_stands_above_config(tmp_path):
    file = tmp_path / 'settings.yaml'
    file.write_text('hypotheses: 64\nseed: 3\n')
    assert read('--config', str(file), '--set', 'seed=5') == {'hypotheses': 64, 'seed': 5}


@pytest.mark.parametrize(('value', 'expected'), [('12', 12.0), ('7.5', 7.5), ('1e1', 10.0)])
def test_numbers_become_what_the_setting_is(value, expected):
    config = make_settings(RansacConfig, read('--set', f'inlier_px={value}'))
    assert config.inlier_px == expected
    assert type(config.inlier_px) is float


@pytest.mark.parametrize(
    ('assignment', 'message'),
    [
        ('inlier_px=ten', "inlier_px is 'ten', expected a value like 10.0"),
        ('hypotheses=true', 'hypotheses is True'),
        ('hypotheses=1.5', 'hypotheses is 1.5'),
        ('hypotheses=0', 'at least 1'),
        ('hypothese=3', "did you mean 'hypotheses'"),
    ],
)
def test_a_bad_value_is_named(assignment, message):
    with pytest.raises(ConfigError, match=message):
        make_settings(RansacConfig, read('--set', assignment))


def test_a_value_that_is_no_yaml_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as caught:
        read('--set', 'hypotheses=[')
    assert caught.value.code == 2
    assert "'hypotheses=[': '[' is not a value of YAML" in capsys.readouterr().err


def test_a_folder_in_place_of_a_config_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=f'{tmp_path} cannot be read .*expected a YAML file'):
        read('--config', str(tmp_path))


def test_each_name_goes_to_the_settings_that_have_it():
    ransac, accept = split_settings(
        {'hypotheses': 8, 'min_inliers': 9}, RansacConfig, AcceptConfig
    )
    assert (ransac.hypotheses, accept.min_inliers) == (8, 9)
    with pytest.raises(ConfigError, match=r"'nonsense'; known: hypotheses, .*min_agreement"):
        split_settings({'nonsense': 1}, RansacConfig, AcceptConfig)


def test_a_config_that_is_none(tmp_path):
    with pytest.raises(ConfigError, match=r'gone\.yaml does not exist'):
        read('--config', str(tmp_path / 'gone.yaml'))
    (tmp_path / 'list.yaml').write_text('- 1\n')
    with pytest.raises(ConfigError, match='holds a list'):
        read('--config', str(tmp_path / 'list.yaml'))
    (tmp_path / 'bad.yaml').write_text('a: [')
    with pytest.raises(ConfigError, match='is not YAML'):
        read('--config', str(tmp_path / 'bad.yaml'))


def test_an_assignment_without_equals_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as caught:
        read('--set', 'seed')
    assert caught.value.code == 2
    assert 'NAME=VALUE' in capsys.readouterr().err
