# SPDX-License-Identifier: Apache-2.0
"""evaluation/runs.py: earlier runs from their files, and runs side by side."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dsac_ros.errors import SourceError
from dsac_ros.evaluation.plots.comparison import draw_comparison
from dsac_ros.evaluation.plots.style import png
from dsac_ros.evaluation.result_files import write_errors
from dsac_ros.evaluation.runs import Run, side_by_side
from dsac_ros.metrics import evaluate
from dsac_ros.types import Localization, Result


@pytest.fixture
def run():
    pose = np.eye(4)
    pose[0, 3] = 0.03
    found = [
        Localization(Result.ACCEPTED, name='a', world_from_camera=pose),
        Localization(Result.LOW_INLIERS, name='b'),
    ]
    report = evaluate(found, [np.eye(4)] * 2, 1234)
    return found, report, Run.of('now', report, report.as_dict())


def test_an_earlier_run_is_read_back(run, tmp_path):
    found, report, now = run
    (tmp_path / 'summary.json').write_text(json.dumps(now.values))
    write_errors(tmp_path / 'errors.csv', found, report)
    earlier = Run.read('then', tmp_path)
    assert earlier.names == ('a', 'b') and earlier.shares_frames_with(now) is True
    np.testing.assert_allclose(earlier.translation_m, [0.03, np.inf])
    np.testing.assert_array_equal(earlier.accepted, [True, False])
    first, second = side_by_side([now, earlier])
    assert {**first, 'name': ''} == {**second, 'name': ''}
    assert png(draw_comparison([now, earlier])).startswith(b'\x89PNG')


def test_a_json_alone_has_numbers_and_no_frames(run, tmp_path):
    _, _, now = run
    path = tmp_path / 'live.json'
    path.write_text(json.dumps({'frames': 2, 'accepted': 1, 'recall': {'0.05m_5deg': 0.5}}))
    row = side_by_side([now, Run.read('live', path)])[1]
    assert row['same_frames'] is None and row['position_nees'] is None
    assert row['recall'] == {'0.05m_5deg': 0.5} and row['map_bytes'] is None


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('missing.json', None, 'does not exist, expected the folder'),
        ('a.json', 'nonsense', 'is no result of an evaluation'),
        ('a.json', '[1]', 'is no result of an evaluation'),
        ('a.json', '{"frames": 3}', 'is no result of an evaluation'),
    ],
)
def test_what_is_no_run_is_one_line(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=message):
        Run.read('x', tmp_path / name)


def test_errors_of_another_program_are_refused(run, tmp_path):
    (tmp_path / 'summary.json').write_text(json.dumps(run[2].values))
    (tmp_path / 'errors.csv').write_text('time,error\n1,2\n')
    with pytest.raises(SourceError, match='holds no errors of frames'):
        Run.read('x', tmp_path)
