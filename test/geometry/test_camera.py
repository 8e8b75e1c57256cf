# SPDX-License-Identifier: Apache-2.0
"""Projection for every model, and calibrations as drivers send them."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.errors import CameraError
from dsac_ros.geometry.camera import (
    camera_from_info,
    camera_of_image,
    check_image_matches,
    fisheye_camera,
    project,
)

K = (400.0, 0, 300.0, 0, 430.0, 250.0, 0, 0, 1)
SIZE = (640, 480)
PLUMB = (-0.28, 0.09, 1e-3, -5e-4, -0.01)
RATIONAL = (0.3, -0.05, 1e-3, -2e-4, 0.01, 0.5, -0.02, 0.01)
MODELS = {
    'pinhole': ('', ()),
    'plumb_bob': ('plumb_bob', PLUMB),
    'plumb_bob, 4': ('plumb_bob', PLUMB[:4]),
    'rational, 8': ('rational_polynomial', RATIONAL),
    'rational, 12': ('rational_polynomial', RATIONAL + (1e-3, 2e-3, -1e-3, 5e-4)),
    'rational, 14': ('rational_polynomial', RATIONAL + (1e-3, 2e-3, -1e-3, 5e-4, 0.01, -0.02)),
    'equidistant': ('equidistant', (0.1, -0.05, 0.02, -0.004)),
}


def camera_of(name: str):
    model, distortion = MODELS[name]
    return camera_from_info(SIZE, K, distortion, model=model)


@pytest.mark.parametrize('name', MODELS)
@pytest.mark.parametrize('batch', [(), (1,), (3, 1, 2)])
def test_a_pixel_says_nothing_of_the_depth(name, batch):
    camera = camera_of(name)
    points = np.random.default_rng(0).uniform((-0.4, -0.3, 1.0), (0.4, 0.3, 1.0), (*batch, 20, 3))
    pixels = project(camera, points)
    assert pixels.shape == (*batch, 20, 2) and np.isfinite(pixels).all()
    np.testing.assert_allclose(project(camera, points * 3.7), pixels, atol=1e-9)
    np.testing.assert_allclose(project(camera, points[..., -1:, :])[..., 0, :], pixels[..., -1, :])


def test_models_follow_their_equations():
    x, y = 0.3, -0.2
    r2 = x * x + y * y
    point = np.array([[x, y, 1.0]])
    k1, k2, p1, p2, k3 = PLUMB
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    expected = (
        400 * (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)) + 300,
        430 * (y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y) + 250,
    )
    np.testing.assert_allclose(project(camera_of('plumb_bob'), point)[0], expected, atol=1e-9)
    k1, k2, p1, p2, k3, k4, k5, k6 = RATIONAL
    radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    expected = (
        400 * (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)) + 300,
        430 * (y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y) + 250,
    )
    np.testing.assert_allclose(project(camera_of('rational, 8'), point)[0], expected, atol=1e-9)
    theta = np.arctan(np.sqrt(r2))
    k = MODELS['equidistant'][1]
    bent = theta * (1 + sum(c * theta ** (2 * n + 2) for n, c in enumerate(k))) / np.sqrt(r2)
    np.testing.assert_allclose(
        project(camera_of('equidistant'), point)[0],
        (400 * x * bent + 300, 430 * y * bent + 250),
        atol=1e-9,
    )


def test_points_behind_or_past_the_fold_have_no_pixel():
    """Points behind the camera, and past the fold of its distortion, are not projected."""
    points = np.array([[0, 0, -1.0], [0, 0, 0.0], [0, 0, 1.0], [5.0, 0, 1.0]])
    seen = np.isfinite(project(camera_of('plumb_bob'), points)).all(axis=1)
    assert seen.tolist() == [False, False, True, False]
    assert np.isfinite(project(camera_of('pinhole'), points)).all(axis=1).tolist() == [
        False,
        False,
        True,
        True,
    ]
    assert project(camera_of('equidistant'), np.zeros((0, 3))).shape == (0, 2)


def test_equidistant_takes_the_first_four_coefficients():
    four = camera_of('equidistant')
    five = camera_from_info(SIZE, K, (*four.distortion, 0.0), model='equidistant')
    assert five.distortion == four.distortion and five.model == 'equidistant'


def test_zero_distortion_is_a_pinhole():
    for model in ('plumb_bob', 'rational_polynomial', 'equidistant', '', 'none'):
        camera = camera_from_info(SIZE, K, (0.0,) * 5, model=model)
        assert camera.model == 'pinhole' and camera.distortion == ()


def test_p_stands_in_for_a_zero_k():
    p = (410.0, 0, 310.0, -41.0, 0, 410.0, 245.0, 0, 0, 0, 1, 0)
    camera = camera_from_info(SIZE, (0,) * 9, PLUMB, p, 'plumb_bob')
    np.testing.assert_array_equal(camera.matrix, [[410, 0, 310], [0, 410, 245], [0, 0, 1]])
    assert camera.model == 'pinhole'


def test_region_of_interest_and_binning():
    full = camera_from_info(SIZE, K, PLUMB, model='plumb_bob')
    sent = camera_from_info(
        SIZE, K, PLUMB, model='plumb_bob', roi=(100, 40, 400, 300), binning=(2, 2)
    )
    assert sent.size_wh == (200, 150)
    ray = np.array([[0.1, -0.2, 1.0]])
    u, v = project(full, ray)[0]
    # A binned pixel covers full pixels 2i and 2i + 1: its centre lies between theirs.
    np.testing.assert_allclose(project(sent, ray)[0], ((u - 100 - 0.5) / 2, (v - 40 - 0.5) / 2))
    same = camera_from_info(SIZE, K, roi=(0, 0, 0, 0), binning=(0, 0))
    assert same.size_wh == SIZE
    np.testing.assert_allclose(same.matrix.reshape(-1), K)


@pytest.mark.parametrize(
    'change, message',
    [
        ({'k': (0,) * 9}, 'K is zero and so is P'),
        ({'k': (float('nan'), *K[1:])}, 'NaN'),
        ({'k': (*K[:4], 0.0, *K[5:])}, 'fx = 400, fy = 0'),
        ({'k': (-400.0, *K[1:])}, 'fx = -400'),
        ({'k': (400.0, 9.0, *K[2:])}, 'skew'),
        ({'k': K[:6]}, '6 values, expected 9'),
        ({'d': (float('inf'),) * 5, 'model': 'plumb_bob'}, 'NaN or infinity'),
        ({'d': (0.1,) * 3, 'model': 'plumb_bob'}, '3 distortion coefficients, expected 4, 5, 8'),
        ({'d': (0.1,) * 2, 'model': 'equidistant'}, '2 coefficients, expected 4'),
        (
            {'d': (0.1,) * 5, 'model': 'ftheta'},
            "unknown distortion model 'ftheta', expected one of",
        ),
        ({'size_wh': (0, 0)}, 'image size 0x0'),
    ],
)
def test_what_no_camera_can_have_is_one_clear_line(change, message):
    with pytest.raises(CameraError, match=message) as caught:
        camera_from_info(**{'size_wh': SIZE, 'k': K, **change})
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('centre', [0.0, -0.5])
def test_a_principal_point_that_was_left_out(centre):
    with pytest.raises(CameraError, match=r'principal point \(.*, the corner of the image'):
        camera_from_info((640, 480), (500, 0, centre, 0, 500, centre, 0, 0, 1))


def test_an_image_of_another_size_names_both():
    camera = camera_of('pinhole')
    check_image_matches(camera, np.zeros((480, 640, 3)))
    with pytest.raises(CameraError, match='image is 480x640 but its calibration is for 640x480'):
        check_image_matches(camera, np.zeros((640, 480)))


def test_a_resized_image_gets_a_scaled_camera():
    camera = camera_of('plumb_bob')
    half = camera_of_image(camera, (320, 240))
    ray = np.array([[0.1, -0.2, 1.0]])
    np.testing.assert_allclose(project(half, ray) + 0.5, (project(camera, ray) + 0.5) / 2)
    assert 'is for 640x480 and was scaled to images of 320x240' in half.assumptions[0]
    assert camera_of_image(camera, SIZE) is camera
    # 1242x375 shrunk to whole pixels
    odd = camera_from_info((1242, 375), (700, 0, 620, 0, 700, 187, 0, 0, 1))
    assert camera_of_image(odd, (621, 188)).size_wh == (621, 188)


@pytest.mark.parametrize('size_wh', [(480, 640), (640, 360), (320, 200), (641, 640)])
def test_another_aspect_is_not_scaled(size_wh):
    with pytest.raises(CameraError, match='but its calibration is for 640x480'):
        camera_of_image(camera_of('pinhole'), size_wh)


def test_no_scaling_where_the_centre_is_off():
    camera = camera_from_info((1280, 960), (480, 0, 319.5, 0, 480, 239.5, 0, 0, 1))
    with pytest.raises(CameraError, match=r'for 1280x960 with the principal point \(319.5, 239.5'):
        camera_of_image(camera, (640, 480))


@pytest.mark.parametrize(
    'k', [(0.48, 0, 0.32, 0, 0.48, 0.24, 0, 0, 1), (26.0, 0, 319.5, 0, 26.0, 239.5, 0, 0, 1)]
)
def test_a_focal_length_in_other_units_is_refused(k):
    with pytest.raises(CameraError, match='are they in pixels'):
        camera_from_info(SIZE, k)


def test_p_in_place_of_k_tells_the_distortion():
    p = (410.0, 0, 310.0, 0, 0, 410.0, 245.0, 0, 0, 0, 1, 0)
    told = camera_from_info(SIZE, (0,) * 9, PLUMB, p, 'plumb_bob').assumptions
    assert len(told) == 1 and 'the distortion is left out' in told[0]
    assert camera_from_info(SIZE, (0,) * 9, (), p).assumptions == ()


def test_a_fisheye_lens_without_distortion():
    camera = fisheye_camera(SIZE, K, (0.1,))
    assert (camera.model, camera.distortion) == ('equidistant', (0.1, 0, 0, 0))
    assert fisheye_camera(SIZE, K, ()).model == 'equidistant'
    with pytest.raises(CameraError, match='5 coefficients, expected 4'):
        fisheye_camera(SIZE, K, (0.1,) * 5)
