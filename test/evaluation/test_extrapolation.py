# SPDX-License-Identifier: Apache-2.0
"""Errors over the distance to the nearest mapping frame, and their picture."""

from __future__ import annotations

import json

import numpy as np
import pytest
from walls import pose

from dsac_ros.cli.main import main
from dsac_ros.evaluation.extrapolation import by_distance, distances, keyframe_poses, medians
from dsac_ros.metrics import evaluate
from dsac_ros.types import Localization, Result


def test_a_frame_that_looks_elsewhere_is_not_near():
    mapped = [pose(0, 0, 0, 0), pose(1, 0, 0, 90)]
    found = distances([pose(0.9, 0, 0, 10), pose(0.9, 0, 0, 80), pose(0.5, 0, 0, 180)], mapped)
    np.testing.assert_allclose(found, [0.9, 0.1, 0.5], atol=1e-9)


def test_medians_follow_the_distance():
    away = np.linspace(0, 1, 60)
    middle, error = medians(away[::-1], (2 * away)[::-1])
    assert len(middle) == 6
    np.testing.assert_allclose(error, 2 * middle, atol=0.03)
    assert medians(np.array([0.1, 0.2]), np.array([1.0, np.inf]))[1][0] == np.inf


def test_errors_are_told_by_distance():
    poses = [pose(x=0.1 * k) for k in range(8)]
    found = [Localization(Result.ACCEPTED, world_from_camera=one) for one in poses[:7]]
    found.append(Localization(Result.LOW_INLIERS))
    near, far = by_distance(np.arange(8.0), evaluate(found, [np.eye(4)] * 8))
    assert (near['from_m'], near['to_m'], near['frames'], near['accepted']) == (0, 3, 4, 4)
    assert near['median_translation_m'] == pytest.approx(0.2) and near['false_accepts'] == 0
    assert (far['accepted'], far['false_accepts']) == (3, 1)
    assert far['median_translation_m'] == pytest.approx(0.6)


def test_poses_of_a_header_are_those_of_the_frames():
    poses = np.array([pose(1, 2, 3, 40), pose(-1, 0, 0, 200)])
    rows = [[*one[:3, 3], *one[:3, 1], *one[:3, 2]] for one in poses]
    np.testing.assert_allclose(keyframe_poses({'keyframes': rows}), poses, atol=1e-12)
    assert keyframe_poses({}).shape == (0, 4, 4)


def test_the_picture_is_drawn_again_from_json(tmp_path, capsys):
    rows = [
        {'system': name, 'distance_m': [0.1, 0.2, 0.3], 'error_m': [0.1, error, None]}
        for name, error in (('posenet', 0.4), ('ours', 0.01))
    ]
    (tmp_path / 'rows.json').write_text(json.dumps({'rows': rows}))
    words = ['bench', 'extrapolation', '--rows', str(tmp_path / 'rows.json')]
    assert main([*words, '--picture', str(tmp_path / 'a.png')]) == 0
    assert (tmp_path / 'a.png').read_bytes()[1:4] == b'PNG'
    assert 'posenet' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('words', 'reason'),
    [
        ([], 'nothing to measure'),
        (['--map', 'a.map'], 'name both'),
        (['--rows', 'absent.json'], 'cannot read'),
        (['--rows', 'wrong.json'], 'is not the JSON of'),
    ],
)
def test_bad_words_are_told_in_one_line(words, reason, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'wrong.json').write_text('{"rows": [{"system": "a"}]}')
    assert main(['bench', 'extrapolation', *words]) != 0
    assert reason in capsys.readouterr().err
