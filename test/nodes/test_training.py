# SPDX-License-Identifier: Apache-2.0
"""The training process as the mapper sees it."""

from __future__ import annotations

import math
import signal
import time
from pathlib import Path

import pytest

from dsac_ros.nodes.mapper_parameters import MapperParameters, training_options
from dsac_ros.nodes.training import Training, parse_progress


def test_lines_of_progress():
    state = parse_progress(
        '{"stage": "training", "fraction": 0.25, "seconds_left": 12, "loss": null}'
    )
    assert (state.running, state.stage, state.progress, state.eta) == (True, 'training', 0.25, 12)
    assert math.isnan(state.loss)


def test_other_lines_are_no_progress():
    for line in ('', 'dsac: error: no', '{"a": 1}', '[1, 2]', '17', '{"stage": '):
        assert parse_progress(line) is None


def test_a_training_that_cannot_begin_says_why(tmp_path):
    training = Training(tmp_path / 'nothing', tmp_path / 'a.map', '--device', 'cpu')
    end = time.monotonic() + 60
    while training.state.running and time.monotonic() < end:
        time.sleep(0.05)
    training.stop()
    assert training.state.code == 1
    assert str(tmp_path / 'nothing') in training.state.reason
    assert not training.state.reason.startswith('dsac:')


@pytest.fixture
def ctrl_c_is_heard():
    """A shell that starts pytest in the background has it, and so its children, ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize('refine, trust', [(True, False), (False, True)])
def test_parameters_become_options(refine, trust):
    values = MapperParameters(
        train_minutes=3.0, device='cuda:1', refine_poses=refine, trust_poses=trust
    )
    assert training_options(values) == [
        '--minutes',
        '3.0',
        '--device',
        'cuda:1',
        *['--refine-poses'] * refine,
        *['--trust-poses'] * trust,
    ]


def test_stop_ends_it_at_work(tmp_path, ctrl_c_is_heard):
    training = Training(Path('rendered:3'), tmp_path / 'a.map', '--device', 'cpu')
    end = time.monotonic() + 60
    while training.state.stage == 'starting' and time.monotonic() < end:
        time.sleep(0.05)
    assert training.state.running and training.state.stage == 'reading'
    training.stop()
    assert (training.state.running, training.state.code) == (False, 130)
    assert 'interrupted' in training.state.reason
    assert not list(tmp_path.iterdir())
