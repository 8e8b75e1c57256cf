# SPDX-License-Identifier: Apache-2.0
"""CameraInfo as drivers send it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsac_ros.errors import CameraError
from dsac_ros.sources.camera_info import camera_from_message


def info(**change):
    k = [50.0, 0, 15, 0, 50, 11, 0, 0, 1]
    p = [45.0, 0, 16, -4, 0, 45, 12, 0, 0, 0, 1, 0]
    values = {
        'width': 32,
        'height': 24,
        'distortion_model': 'plumb_bob',
        'd': [-0.1, 0, 0, 0, 0],
        'k': k,
        'p': p,
        'binning_x': 0,
        'binning_y': 0,
        'roi': SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
    }
    return SimpleNamespace(**{**values, **change})


def test_camera_info_of_raw_and_rectified_images():
    raw = camera_from_message(info())
    assert raw.model == 'plumb_bob' and raw.matrix[0, 0] == 50
    rectified = camera_from_message(info(), rectified=True)
    assert rectified.model == 'pinhole'
    np.testing.assert_array_equal(rectified.matrix, [[45, 0, 16], [0, 45, 12], [0, 0, 1]])


def test_camera_info_of_ros_1_and_without_a_size():
    """Some drivers send no size."""
    old = info()
    for name in ('k', 'd', 'p'):
        setattr(old, name.upper(), vars(old).pop(name))
    assert camera_from_message(old).matrix[0, 0] == 50
    assert camera_from_message(info(width=0, height=0), image_wh=(32, 24)).size_wh == (32, 24)


def full(**change):
    """A CameraInfo of 640x480 images, f 480, of a lens."""
    k = [480.0, 0, 319.5, 0, 480, 239.5, 0, 0, 1]
    values = {
        'width': 640,
        'height': 480,
        'k': k,
        'd': [-0.3, 0.1, 0, 0, 0],
        'p': [*k[:3], 0, *k[3:6], 0, 0, 0, 1, 0],
    }
    return info(**{**values, **change})


def region(x, y, width, height):
    return SimpleNamespace(x_offset=x, y_offset=y, width=width, height=height)


FULL_K = [960.0, 0, 639.5, 0, 960, 479.5, 0, 0, 1]
BINNED = {'binning_x': 2, 'binning_y': 2}


@pytest.mark.parametrize(
    'change, told',
    [
        ({}, None),
        ({'width': 1280, 'height': 960, 'k': FULL_K, **BINNED}, None),
        ({'width': 1280, 'height': 960, **BINNED}, 'K is taken as that of the images'),
        (BINNED, 'taken as applied already'),
        ({'k': FULL_K, **BINNED}, 'K is taken as that of the full resolution'),
        ({'width': 1282, 'height': 964, **BINNED}, 'K is taken as that of the images'),
        ({'width': 1280, 'height': 480, 'binning_x': 2, 'binning_y': 1}, 'K is taken as that of'),
        (
            {
                'width': 1280,
                'height': 960,
                'roi': region(320, 240, 640, 480),
                'k': [480.0, 0, 639.5, 0, 480, 479.5, 0, 0, 1],
            },
            None,
        ),
        (
            {'width': 1280, 'height': 960, 'roi': region(320, 240, 640, 480)},
            'K is taken as that of',
        ),
        ({'roi': region(160, 120, 320, 240)}, 'taken as not applied'),
        (
            {
                'width': 2560,
                'height': 1920,
                'roi': region(640, 480, 1280, 960),
                'k': [960.0, 0, 1279.5, 0, 960, 959.5, 0, 0, 1],
                **BINNED,
            },
            None,
        ),
        ({'width': 0, 'height': 0}, 'camera_info has no size'),
    ],
)
def test_what_a_driver_applied_already(change, told):
    camera = camera_from_message(full(**change), image_wh=(640, 480))
    assert camera.size_wh == (640, 480)
    np.testing.assert_allclose(
        camera.matrix, [[480, 0, 319.5], [0, 480, 239.5], [0, 0, 1]], atol=0.6
    )
    assert [told in text for text in camera.assumptions] == ([True] if told else [])


@pytest.mark.parametrize('share', [0.35, 0.05])
def test_a_binning_that_cannot_be_decided(share):
    k = [480.0, 0, 1280 * share, 0, 480, 960 * share, 0, 0, 1]
    with pytest.raises(
        CameraError,
        match=r'1280x960 with binning 2x2 has its principal point at '
        '.*publish K of the full resolution',
    ):
        camera_from_message(full(width=1280, height=960, k=k, **BINNED), image_wh=(640, 480))


def test_binning_of_a_region_needs_the_full_k():
    # K may be that of the region, or that of the binned image
    k = [480.0, 0, 639.5, 0, 480, 479.5, 0, 0, 1]
    with pytest.raises(CameraError, match='2560x1920 with binning 2x2 has its principal point'):
        camera_from_message(
            full(width=2560, height=1920, roi=region(640, 480, 1280, 960), k=k, **BINNED),
            image_wh=(640, 480),
        )


@pytest.mark.parametrize('scale', [0.25, 0.5, 2.0, 6.0])
def test_k_of_another_size_is_refused(scale):
    k = [480.0 * scale, 0, 320 * scale - 0.5, 0, 480 * scale, 240 * scale - 0.5, 0, 0, 1]
    with pytest.raises(
        CameraError,
        match=r'640x480 has the principal point .* middle of about '
        f'{640 * scale:.0f}x{480 * scale:.0f}: publish',
    ):
        camera_from_message(full(k=k), image_wh=(640, 480))
    for centre in ((320, 60), (480, 240), (330, 250)):  # parts of an image, and usual lenses
        part = [480.0, 0, centre[0], 0, 480, centre[1], 0, 0, 1]
        assert camera_from_message(full(k=part)).matrix[0, 2] == centre[0]


@pytest.mark.parametrize('centre', [(900.0, 239.5), (319.5, -60.0), (5000.0, 2.0)])
def test_principal_point_outside_of_the_image(centre):
    k = [480.0, 0, centre[0], 0, 480, centre[1], 0, 0, 1]
    with pytest.raises(CameraError, match='outside of its image of 640x480'):
        camera_from_message(full(k=k), image_wh=(640, 480))
    # a region of interest may leave it out, as long as the full image has it
    part = full(width=1280, height=960, k=FULL_K, roi=region(0, 0, 320, 240))
    assert camera_from_message(part, image_wh=(320, 240)).matrix[0, 2] > 320


def test_binning_without_an_image():
    for k in (full().k, FULL_K):
        camera = camera_from_message(full(width=1280, height=960, k=k, **BINNED))
        assert (camera.size_wh, camera.matrix[0, 0]) == ((640, 480), 480)


def test_a_rectified_image_tells_what_holds():
    same = camera_from_message(full(d=[]), rectified=True)
    assert same.assumptions == () and same.matrix[0, 0] == 480
    told = camera_from_message(full(), rectified=True)
    assert (told.model, len(told.assumptions)) == ('pinhole', 1)
    assert 'rectified by the name of their topic' in told.assumptions[0]


def test_a_rectified_image_without_p():
    assert camera_from_message(full(d=[], p=[0.0] * 12), rectified=True).matrix[0, 0] == 480
    with pytest.raises(CameraError, match='has distortion and no P'):
        camera_from_message(full(p=[0.0] * 12), rectified=True)


def test_distortion_without_k_is_refused():
    sent = full(k=[0.0] * 9)
    with pytest.raises(CameraError, match='has distortion but a K of zero'):
        camera_from_message(sent)
    assert camera_from_message(sent, rectified=True).matrix[0, 0] == 480
    assert camera_from_message(full(k=[0.0] * 9, d=[])).matrix[0, 0] == 480


def test_an_empty_model_keeps_the_distortion():
    for model in ('', 'pinhole', 'none'):
        camera = camera_from_message(full(distortion_model=model))
        assert (camera.model, camera.distortion) == ('plumb_bob', (-0.3, 0.1, 0, 0, 0))
        assert ': taken as plumb_bob' in camera.assumptions[0]


def test_what_no_info_can_hold_is_one_line():
    for change in (
        {'k': [0.0] * 9, 'p': [0.0] * 12},
        {'d': [np.nan] * 5},
        {'k': [480.0] * 4},
        {'k': [0.48, 0, 0.32, 0, 0.48, 0.24, 0, 0, 1]},
        {'k': [np.nan] * 9, **BINNED},
        {'p': [1.0] * 3, 'k': [0.0] * 9},
        {'d': [0.1] * 10},
        {'width': 0, 'height': 0, **BINNED, 'k': [0.0] * 9, 'p': []},
    ):
        for rectified in (False, True):
            try:
                camera_from_message(full(**change), rectified=rectified, image_wh=(640, 480))
            except CameraError as error:
                assert '\n' not in str(error)
                continue
            assert rectified  # P may hold where K or D does not


NUMBERS = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 480.0, 639.5, 1e308, np.nan, np.inf]), st.floats()
)
SIDES = st.sampled_from([0, 1, 480, 640, 1280, 2**32 - 1])


@pytest.mark.filterwarnings('error')
@settings(max_examples=300, deadline=None)
@given(
    st.lists(NUMBERS, max_size=12),
    st.lists(NUMBERS, max_size=14),
    st.lists(SIDES, min_size=8, max_size=8),
    st.sampled_from(['', 'plumb_bob', 'equidistant', 'line\nbreak']),
    st.booleans(),
    st.sampled_from([None, (640, 480), (1, 1)]),
)
def test_whatever_an_info_holds_is_one_line(matrix, d, sides, model, rectified, image_wh):
    binning = {'binning_x': sides[6] % 5, 'binning_y': sides[7] % 5}
    for k, p in ((matrix, full().p), (full().k, matrix), (full().k, full().p)):
        sent = full(
            width=sides[0],
            height=sides[1],
            roi=region(*sides[2:6]),
            k=k,
            d=d,
            p=p,
            distortion_model=model,
            **binning,
        )
        try:
            camera = camera_from_message(sent, rectified=rectified, image_wh=image_wh)
        except CameraError as error:
            assert '\n' not in str(error)
        else:
            assert np.isfinite(camera.matrix).all() and min(camera.size_wh) > 0
