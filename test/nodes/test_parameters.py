# SPDX-License-Identifier: Apache-2.0
"""The tables of parameters, and the files in config/ that follow from them."""

from __future__ import annotations

import math
import os
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import get_origin, get_type_hints

import pytest
import yaml

from dsac_ros import config
from dsac_ros.errors import ConfigError
from dsac_ros.nodes.mapper_parameters import MapperParameters, keyframe_config
from dsac_ros.nodes.parameter_file import parameter_file
from dsac_ros.nodes.parameters import Spec, specs_of, updated
from dsac_ros.nodes.relocalizer_parameters import (
    RelocalizerParameters,
    accept_config,
    ransac_config,
)

CONFIG = Path(__file__).resolve().parents[2] / 'config'
TABLES = [
    ('dsac_relocalizer', RelocalizerParameters, 'relocalizer.yaml'),
    ('dsac_mapper', MapperParameters, 'mapper.yaml'),
]
SPECS = [
    pytest.param(spec, id=f'{name}.{spec.name}')
    for name, table, _ in TABLES
    for spec in specs_of(table)
]


@pytest.mark.parametrize(('node', 'table', 'file'), TABLES)
def test_config_file_is_what_the_table_says(node, table, file):
    text = parameter_file(node, table)
    if os.environ.get('DSAC_WRITE_CONFIG'):
        (CONFIG / file).write_text(text)
    assert (CONFIG / file).read_text() == text, (
        'config/ lags behind the table: DSAC_WRITE_CONFIG=1 pytest test/nodes/test_parameters.py'
    )


@pytest.mark.parametrize(('node', 'table', 'file'), TABLES)
def test_config_file_has_all_parameters_with_types(node, table, file):
    values = yaml.safe_load((CONFIG / file).read_text())['/**']['ros__parameters']
    assert values == {spec.name: spec.default for spec in specs_of(table)}
    assert {n: type(v) for n, v in values.items()} == {
        s.name: type(s.default) for s in specs_of(table)
    }


@pytest.mark.parametrize('spec', SPECS)
def test_default_is_allowed_and_described(spec):
    spec.check(spec.default)
    descriptor = spec.descriptor()
    assert descriptor.description == spec.text and len(spec.description) > 5
    assert descriptor.read_only == spec.read_only
    if spec.choices:
        assert all(choice in descriptor.additional_constraints for choice in spec.choices)
    ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
    assert bool(ranges) == (spec.low is not None or spec.high is not None)
    for limits in ranges:
        assert limits.from_value <= spec.default <= limits.to_value


@pytest.mark.parametrize('table', [RelocalizerParameters, MapperParameters])
def test_field_annotations_match_the_default_types(table):
    types = get_type_hints(table)
    for spec in specs_of(table):
        assert isinstance(spec.default, get_origin(types[spec.name]) or types[spec.name]), (
            spec.name
        )
        assert getattr(table(), spec.name) == spec.default


def test_parameters_reach_the_settings():
    values = RelocalizerParameters(
        num_hypotheses=99, inlier_threshold_px=7.0, min_inliers=50, min_visible_inlier_ratio=0.4
    )
    assert ransac_config(values).hypotheses == 99
    assert ransac_config(values).inlier_px == 7.0
    assert accept_config(values).min_inliers == 50
    assert accept_config(values).min_visible_inlier_ratio == 0.4
    assert keyframe_config(MapperParameters(min_translation=0.5)).min_translation == 0.5


def test_setting_keeps_range_and_description():
    spec = next(s for s in specs_of(RelocalizerParameters) if s.name == 'inlier_threshold_px')
    field = next(f for f in fields(config.RansacConfig) if f.name == 'inlier_px')
    assert (spec.low, spec.high, spec.unit) == (0.5, 100.0, 'px')
    assert field.metadata['description'] in spec.text


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('num_hypotheses', 0, 'num_hypotheses is 0, expected at least 1'),
        ('tf_mode', 'sideways', "'sideways', expected one of auto, map_odom"),
        ('max_rate', math.nan, 'max_rate is nan, expected a finite number'),
        ('map_alignment', [0.0] * 5, 'expected 6 finite numbers'),
        ('map_alignment', [0.0] * 5 + [math.inf], 'expected 6 finite numbers'),
    ],
)
def test_bad_values_say_why(name, value, reason):
    parameter = SimpleNamespace(name=name, value=value)
    with pytest.raises(ConfigError) as caught:
        updated(RelocalizerParameters(), [parameter])
    assert reason in str(caught.value)


def test_a_list_of_text():
    (spec,) = (s for s in specs_of(RelocalizerParameters) if s.name == 'cameras')
    assert spec.default == ['']
    values = updated(
        RelocalizerParameters(), [SimpleNamespace(name='cameras', value=['left', 'right'])]
    )
    assert values.cameras == ['left', 'right']


def test_a_change_leaves_the_rest_as_it_was():
    before = RelocalizerParameters()
    after = updated(before, [SimpleNamespace(name='max_rate', value=9.0)])
    assert after.max_rate == 9.0 and before.max_rate == 5.0
    assert after.map_frame == 'map'


def test_open_ends_of_a_range_are_wide():
    descriptor = Spec('misc', 'x', 3, 'some number', low=1).descriptor()
    assert descriptor.integer_range[0].to_value > 10**8
