# SPDX-License-Identifier: Apache-2.0
"""Arguments of launch files that ros2 launch would drop in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsac_ros.nodes.launch_arguments import (
    COMMON,
    EVALUATE_REPLAY,
    LAUNCH_ARGUMENTS,
    MANAGED,
    MAPPER,
    NAV2,
    RELOCALIZER,
    RELOCALIZER_CAMERA,
    REPLAY,
    misspelled,
)
from dsac_ros.nodes.parameters import specs_of
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters

CONFIG, LAUNCH = (Path(__file__).resolve().parents[2] / name for name in ('config', 'launch'))
DECLARED = ('image', 'camera_info', 'map', 'base_frame', 'image_transport')


@pytest.mark.parametrize(
    ('word', 'meant'),
    [
        ('imge:=/camera/image', 'image'),
        ('camera-info:=/info', 'camera_info'),
        ('camerainfo:=/info', 'camera_info'),
        ('base_link_frame:=x', 'base_frame'),
        ('image_transprt:=raw', 'image_transport'),
    ],
)
def test_a_misspelt_argument_is_told(word, meant):
    (line,) = misspelled([word, 'map:=/x.map'], DECLARED)
    assert line.startswith(word.split(':=')[0]) and line.endswith(f'{meant}:= is one')


@pytest.mark.parametrize('word', ['image:=/a', 'world:=office', '--debug', 'map:=a:=b'])
def test_others_are_left_alone(word):
    assert misspelled([word], DECLARED) == []


NODES = {'relocalizer': RELOCALIZER, 'mapper': MAPPER}


@pytest.mark.parametrize('node', NODES.values(), ids=NODES)
def test_arguments_are_parameters_of_the_node(node):
    specs = {spec.name: spec for spec in specs_of(node.table)}
    arguments = {argument.name: argument for argument in node.parameter_arguments()}
    assert set(arguments) == set(node.parameters) <= set(specs)
    for name, argument in arguments.items():
        assert argument.default == '' and specs[name].text in argument.description
        assert node.kind(name) is type(specs[name].default)
    assert {*MANAGED} <= {*specs}
    assert (CONFIG / node.config).exists()


@pytest.mark.parametrize('name', sorted({*LAUNCH_ARGUMENTS} - {'mapping.launch.py'}))
def test_what_a_driver_gets_wrong_is_an_argument(name):
    """A camera without camera_info, or one that sees the robot, needs no file of parameters."""
    arguments = {argument.name for argument in LAUNCH_ARGUMENTS[name]}
    assert {*RELOCALIZER_CAMERA} <= arguments


def test_every_launch_file_has_its_arguments():
    assert {path.name for path in LAUNCH.glob('*.launch.py')} == set(LAUNCH_ARGUMENTS)
    for name in LAUNCH_ARGUMENTS:
        assert f"declare(LAUNCH_ARGUMENTS['{name}'])" in (LAUNCH / name).read_text()


@pytest.mark.parametrize('arguments', LAUNCH_ARGUMENTS.values(), ids=LAUNCH_ARGUMENTS)
def test_no_argument_is_declared_twice(arguments):
    names = [argument.name for argument in arguments]
    assert len(names) == len(set(names))
    assert all(argument.description for argument in arguments)


def test_names_of_nav2_mean_what_nav2_means():
    assert {'namespace', 'use_sim_time', 'log_level', 'use_respawn'} <= {a.name for a in COMMON}
    assert {'map', 'params_file', 'autostart', 'slam'} <= {a.name for a in NAV2}


def test_a_replay_sees_every_image():
    specs = {spec.name: spec for spec in specs_of(RelocalizerParameters)}
    for name, value in REPLAY.items():
        specs[name].check(value)
    assert REPLAY['max_rate'] == REPLAY['max_image_age'] == 0.0
    assert {argument.name for argument in EVALUATE_REPLAY} >= {'bag', 'map', 'rate', 'output'}
