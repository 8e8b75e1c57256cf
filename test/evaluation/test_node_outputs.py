# SPDX-License-Identifier: Apache-2.0
"""evaluation/node_outputs.py: recorded outputs are joined with the frames sent, by stamp."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.evaluation.node_outputs import (
    NO_OUTPUT,
    largest_difference,
    localizations_from_events,
)
from dsac_ros.types import Result


def status(stamp, result=Result.ACCEPTED, **more):
    return {
        'event': 'status',
        'stamp_ns': stamp,
        'result': int(result),
        'reason': '',
        'confidence': 0.9,
        'inlier_ratio': 0.5,
        'inlier_count': 100,
        'agreement': 1.0,
        'reprojection_error_px': 1.5,
        'inference_ms': 80.0,
        'dropped': 0,
        'covariance': np.eye(6).ravel().tolist(),
        **more,
    }


def pose(kind, stamp, x=0.0, z=0.0):
    return {'event': kind, 'stamp_ns': stamp, 'row': [x, 0.0, z, 0.0, 0.0, 0.0, 1.0]}


def test_every_frame_sent_is_counted_in_order():
    events = [
        pose('camera_pose', 30, x=3.0),
        status(30),
        {'event': 'ready', 'stamp_ns': 0},
        status(20, Result.LOW_INLIERS, reason='few'),
    ]
    first, second, third = localizations_from_events(events, [10, 20, 30])
    assert (first.result, first.reason, first.world_from_camera) == (Result.ERROR, NO_OUTPUT, None)
    assert (second.result, second.reason) == (Result.LOW_INLIERS, 'few')
    assert third.accepted
    assert third.world_from_camera[0, 3] == 3.0
    assert third.timings_ms == {'inference': 80.0}


def test_the_covariance_moves_from_base_to_camera():
    events = [pose('pose', 5), pose('camera_pose', 5, z=2.0), status(5)]
    (found,) = localizations_from_events(events, [5])
    # A metre up, a rotation about x or y moves the camera by its angle times two metres.
    np.testing.assert_allclose(np.diag(found.covariance), [5, 5, 1, 1, 1, 1])


def test_pose_and_tf_are_compared_at_equal_stamps():
    events = [
        pose('pose', 1, x=1.0),
        pose('tf', 1, x=1.0),
        pose('pose', 2),
        pose('tf', 3),
        pose('pose', 4),
        pose('tf', 4, x=0.25),
    ]
    count, difference = largest_difference(events)
    assert count == 2
    assert difference == pytest.approx(0.25)
    assert largest_difference([]) == (0, 0.0)
