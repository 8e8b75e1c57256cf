# SPDX-License-Identifier: Apache-2.0
"""sfm/scene_depth.py: recordings without parallax, and depth in another unit than poses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drives import DISTANCE, drive, views_of

from dsac_ros.errors import MappingError
from dsac_ros.mapping.sfm.scene_depth import check_motion, check_units, typical_depth
from dsac_ros.mapping.sfm.view_pairs import find_pairs


def jittered(views, size):
    """Views whose poses say that the camera moved by a noise."""
    rng = np.random.default_rng(0)
    found = []
    for view in views:
        pose = view.scene_from_camera.copy()
        pose[:3, 3] += rng.normal(0, size, 3)
        found.append(replace(view, scene_from_camera=pose))
    return found


@pytest.fixture(scope='module')
def turning():
    views = views_of(drive(10, moved=0.0))
    return views, find_pairs(views)


@pytest.mark.parametrize('size', [0.001, 0.02])
def test_noise_is_no_motion_of_a_camera_that_turns(turning, size):
    views, pairs = turning
    with pytest.raises(MappingError, match=r'the camera only turned: .* frames with depth'):
        check_motion(jittered(views, size), pairs)


def test_positions_up_to_rounding_are_the_same(turning):
    views, pairs = turning
    with pytest.raises(MappingError, match='all frames have the same camera position'):
        check_motion(jittered(views, 1e-16), pairs, trusted=True)
    far = [
        replace(view, scene_from_camera=view.scene_from_camera.copy())
        for view in jittered(views, 1e-9)
    ]
    for view in far:
        view.scene_from_camera[:3, 3] += 4e6
    with pytest.raises(MappingError, match='all frames have the same camera position'):
        check_motion(far, pairs)


def test_a_baseline_too_small_to_see_depth_is_told():
    views = views_of(drive(10, moved=0.004))
    with pytest.raises(MappingError, match='the camera only turned'):
        check_motion(views, find_pairs(views))


def test_trusted_poses_may_only_turn(turning, caplog):
    views, pairs = turning
    check_motion(jittered(views, 0.01), pairs, trusted=True)
    assert 'the camera only turned' in caplog.text


def test_a_camera_that_turns_may_have_depth(turning):
    views, pairs = turning
    check_motion([replace(view, depth=np.ones((240, 320), np.float32)) for view in views], pairs)


@pytest.fixture(scope='module')
def measured():
    views = views_of(drive(10), depth=True)
    return views, find_pairs(views)


def in_unit(views, unit):
    """The views with poses in a unit of 1/unit metres."""
    scale = np.diag([unit, unit, unit, 1.0])
    return [
        replace(view, scene_from_camera=scale @ view.scene_from_camera @ np.linalg.inv(scale))
        for view in views
    ]


@pytest.mark.parametrize('unit', [1.0, 1000.0])
def test_a_drive_has_the_depth_of_its_wall(measured, unit):
    views, pairs = measured
    views = [replace(view, depth=None) for view in in_unit(views, unit)]
    check_motion(views, pairs)
    assert typical_depth(views, pairs) == pytest.approx(DISTANCE * unit, rel=0.1)


@pytest.mark.parametrize('unit, scale', [(1000.0, '0.001'), (0.001, '1e+03'), (100.0, '0.01')])
def test_depth_and_poses_in_different_units(measured, unit, scale, caplog):
    views, pairs = measured
    check_units(views, pairs)
    views = in_unit(views, unit)
    with pytest.raises(MappingError, match=r'measured depth is .* times') as told:
        check_units(views, pairs)
    assert float(str(told.value).split('--pose-scale ')[1].split()[0]) == pytest.approx(
        float(scale), rel=0.1
    )
    check_units(views, pairs, trusted=True)
    assert '--pose-scale' in caplog.text
