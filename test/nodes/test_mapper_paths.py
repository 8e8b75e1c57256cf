# SPDX-License-Identifier: Apache-2.0
"""Paths that the mapper cannot use: its services answer with the reason, and it goes on."""

from __future__ import annotations

import signal

import pytest
from robot import Robot
from std_srvs.srv import Trigger


@pytest.fixture(scope='module')
def mapper():
    robot = Robot('mapper')
    yield robot
    robot.close()


def answer(mapper, name):
    return mapper.call(Trigger, f'{mapper.me}/{name}', Trigger.Request())


@pytest.fixture(scope='module')
def bad_paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp('paths')
    (folder / 'file').write_text('no folder')
    (folder / 'loop').symlink_to(folder / 'loop')
    return {
        'user': '~no_such_user/drive',
        'URL': 'http://host/drive',
        'package': 'package://nowhere/drive',
        'file': str(folder / 'file'),
        'below a file': str(folder / 'file/drive'),
        'device': '/dev/null/drive',
        'proc': '/proc/drive',
        'loop': str(folder / 'loop/drive'),
        'long': str(folder / ('x' * 500)),
    }


@pytest.mark.parametrize('service', ['start', 'save'])
@pytest.mark.parametrize(
    'kind',
    ['user', 'URL', 'package', 'file', 'below a file', 'device', 'proc', 'loop', 'long'],
)
def test_a_bad_dataset_is_a_reason(mapper, bad_paths, service, kind):
    """Parameter `dataset` is used by the next ~/start, or by ~/save alone."""
    assert mapper.set_parameter('dataset', bad_paths[kind]).successful
    result = answer(mapper, service)
    assert not result.success and result.message and '\n' not in result.message
    assert not answer(mapper, 'stop').success  # nothing has begun


def test_a_good_dataset_is_used_after_bad_ones(mapper, tmp_path):
    assert mapper.set_parameter('dataset', f'file://{tmp_path}/drive').successful
    result = answer(mapper, 'start')
    assert result.success and str(tmp_path / 'drive') in result.message
    assert answer(mapper, 'stop').success
    assert mapper.process.stop(signal.SIGTERM) == 0
    assert 'Traceback' not in mapper.process.output
    assert 'error in a callback' not in mapper.process.output
