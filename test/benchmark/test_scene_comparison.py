# SPDX-License-Identifier: Apache-2.0
"""benchmark/scene_comparison.py: rows in shares of the depth; one failure ends no table."""

from __future__ import annotations

import numpy as np
import pytest
from test_scenes import DEPTH_M, write_frames

from dsac_ros.benchmark.scene_comparison import LearnedMap, compare, summarize
from dsac_ros.benchmark.scenes import Scene
from dsac_ros.errors import MappingError
from dsac_ros.metrics import evaluate
from dsac_ros.types import Localization, Result


class Oracle:
    """Answers the origin."""

    def localize(self, frame):
        return Localization(
            Result.ACCEPTED,
            '',
            frame.stamp_ns,
            frame.name,
            np.eye(4),
            timings_ms={'a': 1.0, 'b': 2.0},
        )


@pytest.fixture
def scene(tmp_path):
    return Scene('room', write_frames(tmp_path / 'train', 8), write_frames(tmp_path / 'test', 4))


def at(distance, degrees=0.0, result=Result.ACCEPTED):
    """A localization so far from the origin."""
    pose, angle = np.eye(4), np.radians(degrees)
    pose[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    pose[0, 3] = distance
    return Localization(result, world_from_camera=pose)


def test_errors_are_shares_of_the_depth():
    depth = 4.0
    found = [
        at(0.02 * depth),
        at(0.04 * depth, 4.0),
        at(0.14 * depth),
        at(0.16 * depth),
        at(0.0, 16.0),
        at(0.001, result=Result.LOW_INLIERS),
        Localization(Result.BAD_IMAGE),
    ]
    outcome = summarize(evaluate(found, [np.eye(4)] * 7), depth)
    assert outcome['within'] == pytest.approx(
        {'1.0%': 0.0, '2.5%': 1 / 7, '5.0%': 2 / 7, '12.5%': 2 / 7, '25.0%': 4 / 7}
    )
    assert outcome['median_translation'] == pytest.approx(0.04)
    assert (outcome['lost'], outcome['wrong'], outcome['query_ms']) == (2, 2, None)


def test_splits_of_the_same_frames_share_a_map(scene, tmp_path):
    learned = []

    def learner(frames, path):
        learned.append((len(frames), path.name))
        return LearnedMap(Oracle(), 1000, 2.5, False)

    rows = list(compare([scene], {'a': learner, 'b': learner}, tmp_path))
    assert learned == [
        (8, 'room.full.a'),
        (8, 'room.full.b'),
        (1, 'room.thinned.a'),
        (1, 'room.thinned.b'),
    ]
    assert [(row.split, row.system) for row in rows] == [
        (split, system) for split in ('full', 'thinned', 'zoom x2') for system in 'ab'
    ]
    assert all(
        (row.mapping_frames, row.queries, row.depth)
        == (1 if row.split == 'thinned' else 8, 4, pytest.approx(DEPTH_M))
        for row in rows
    )
    results = rows[0].results
    assert (results['map_bytes'], results['mapping_seconds']) == (1000, 2.5)
    assert results['query_ms'] == {'p50': 3.0, 'p95': 3.0, 'p99': 3.0}
    assert results['within']['5.0%'] == 0.5  # 0, 0.1, 0.2 and 0.3 m away at 2.5 m


def test_what_fails_has_a_row_and_the_others_go_on(scene, tmp_path, caplog):
    def few(frames, path):
        raise MappingError('too few frames')

    def broken(frames, path):
        raise ZeroDivisionError('division by\nzero')

    def learner(frames, path):
        return LearnedMap(Oracle(), 1000, 2.5, False)

    missing = Scene('missing', tmp_path / 'nowhere', None)
    rows = list(
        compare(
            [missing, scene], {'few': few, 'broken': broken, 'good': learner}, tmp_path, ['full']
        )
    )
    assert rows[0].scene == 'missing' and 'nowhere does not exist' in rows[0].error
    assert [row.error for row in rows[1:]] == [
        'too few frames',
        'ZeroDivisionError: division by zero',
        '',
    ]
    assert rows[1].results == {} and rows[3].results['lost'] == 0
    assert 'Traceback' in caplog.text and caplog.text.count('Traceback') == 1
