# SPDX-License-Identifier: Apache-2.0
"""Why TF has no answer, edge by edge, and what helps."""

from __future__ import annotations

import pytest

from dsac_ros.nodes.sample_times import Limits, reason_at
from dsac_ros.nodes.tf_edges import STATIC_AFTER_S, TfEdges

SECOND = 1_000_000_000
LIMITS = Limits(0.5, 'pose_timeout', 0.5, 'pose_max_gap')
PARAMETERS = {'map': 'map_frame'}


def edges(*transforms, static=(('base_link', 'camera'),)):
    """Edges with the stamps [s] of the moving ones: (parent, child, stamps)."""
    known = TfEdges(15.0, '/robot/tf_static')
    for parent, child in static:
        known.add(parent, child, 0, True, 0.0)
    for parent, child, stamps in transforms:
        for stamp in stamps:
            known.add(parent, child, round(stamp * SECOND), False, 0.0)
    return known


def reason(known, stamp=100.0, target='map', source='camera', now=1.0):
    return known.reason(target, source, round(stamp * SECOND), LIMITS, now, PARAMETERS)


DENSE = [99.0 + 0.1 * n for n in range(21)]


@pytest.mark.parametrize(
    ('known', 'stamp', 'expected'),
    [
        (edges(('map', 'base_link', DENSE)), 100.05, ''),
        (edges(static=()), 100.0, "no transform was received, TF does not contain frame 'map'"),
        (
            edges(('map', 'base_link', DENSE), static=()),
            100.0,
            "TF does not contain frame 'camera', only base_link, map: nothing was received on "
            '/robot/tf_static (robot_state_publisher or static_transform_publisher publish it); publish '
            'where it is, or name another frame with camera_frame',
        ),
        (
            edges(('world', 'base_link', DENSE)),
            100.0,
            "TF does not contain frame 'map', only base_link, camera, world: publish where it is, or "
            'name another frame with map_frame',
        ),
        (
            edges(('map', 'odom', DENSE)),
            100.0,
            'TF does not connect camera (below base_link) and map (below map): nobody publishes a '
            'transform between the two trees',
        ),
        (
            edges(('map', 'base_link', [97.0, 98.0, 99.0])),
            99.5,
            'the newest sample of map -> base_link is 0.50 s older than the image after 0.5 s of waiting '
            '(pose_timeout): one comes every 1.00 s, set pose_timeout and pose_max_gap above that',
        ),
        (
            edges(('map', 'base_link', DENSE)),
            103.0,
            'the newest sample of map -> base_link is 2.00 s older than the image after 0.5 s of waiting '
            '(pose_timeout): is it still published?',
        ),
        (
            edges(('map', 'odom', [99.0, 100.0]), ('odom', 'base_link', DENSE)),
            99.5,
            'the samples of map -> odom around the image are 1.00 s apart, at most 0.5 s are allowed '
            '(pose_max_gap)',
        ),
        (
            edges(('map', 'base_link', DENSE)),
            98.0,
            'images from before the first sample have no pose',
        ),
        (edges(('map', 'base_link', DENSE)), 1.7e9, 'do both stamp with the same clock'),
        (edges(('map', 'base_link', DENSE)), 12.0, 'do both stamp with the same clock'),
    ],
)
def test_the_reason_names_the_edge_and_the_cure(known, stamp, expected):
    text = reason(known, stamp)
    assert expected in text and bool(text) == bool(expected), text


def test_an_image_without_a_frame_id():
    text = reason(edges(('map', 'base_link', DENSE)), source='')
    assert text == (
        'the image has no frame_id: set camera_frame to one of the frames of TF '
        '(base_link, camera, map)'
    )


def test_one_sample_holds_once_it_stays_alone():
    known = edges(('odom', 'base_link', DENSE), ('map', 'odom', [99.0]))
    path = known.path('map', 'camera')
    assert known.static_children(path, STATIC_AFTER_S - 0.1) == set() and known.static_children(
        path, STATIC_AFTER_S
    ) == {'odom'}
    assert 'map -> odom is 1.00 s older' in reason(known, now=STATIC_AFTER_S - 0.1)
    assert reason(known, now=STATIC_AFTER_S) == ''
    known.add('map', 'odom', 101 * SECOND, False, 5.0)
    assert known.static_children(path, 10.0) == set()


def test_ways_through_a_common_ancestor():
    known = edges(('odom', 'base_link', [1.0]), ('base_link', 'arm', [1.0]))
    path = known.path('camera', 'arm')
    assert path.from_target == (('base_link', 'camera'),)
    assert path.from_source == (('base_link', 'arm'),)
    assert known.path('camera', 'moon') is None
    assert known.ancestors('camera') == ['base_link', 'odom']
    assert known.descendants('odom') == ['arm', 'base_link', 'camera']


def test_a_loop_in_tf_ends():
    known = edges(('a', 'b', [1.0]), ('b', 'a', [1.0]), static=())
    assert known.path('a', 'nowhere') is None and known.ancestors('a') == ['b']


def test_old_stamps_are_dropped_and_static_frames_stay():
    """Samples older than the TF cache are dropped."""
    known = edges(('map', 'base_link', [1.0, 2.0, 100.0]))
    assert 'oldest sample of map -> base_link is 50.00 s newer' in reason(known, 50.0)
    known.clear()
    assert known.frames == ['base_link', 'camera']


def test_samples_are_sorted_and_counted_once():
    known = edges(('map', 'base_link', [100.2, 99.9, 100.2, 100.1]))
    assert reason(known, 100.0) == ''
    assert reason_at('x', [], 5, LIMITS) == 'no sample of x yet'
