# SPDX-License-Identifier: Apache-2.0
"""Any image becomes the ideal pinhole's: a point lands where the ideal pinhole says."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dsac_ros.errors import CameraError
from dsac_ros.geometry.camera import camera_from_info, project
from dsac_ros.geometry.resample import MAX_RESAMPLERS, Resampler, Resamplers, cell_centres, to_gray
from dsac_ros.types import Camera

CAMERAS = {
    'ideal': ((640, 480), (525, 525, 319.5, 239.5), '', ()),
    'half a pixel off': ((640, 480), (525.505, 525.505, 320, 240), '', ()),
    'oblong pixels, off centre': ((640, 480), (400, 460, 290, 262), '', ()),
    'plumb_bob': ((640, 480), (420, 425, 310, 245), 'plumb_bob', (-0.3, 0.1, 1e-3, -1e-3, 0)),
    'rational, two megapixels': (
        (1920, 1080),
        (1200, 1210, 940, 560),
        'rational_polynomial',
        (0.4, -0.1, 1e-3, -2e-4, 0.02, 0.7, -0.05, 0.03),
    ),
    'fisheye': ((848, 800), (285, 286, 424, 401), 'equidistant', (-0.005, 0.04, -0.04, 0.006)),
    'portrait': ((1080, 1920), (1400, 1400, 539.5, 959.5), 'plumb_bob', (0.1, -0.2, 0, 0, 0.1)),
    'small': ((320, 240), (260, 261, 155, 122), '', ()),
}


def camera_of(name: str) -> Camera:
    size, (fx, fy, cx, cy), model, distortion = CAMERAS[name]
    return camera_from_info(size, (fx, 0, cx, 0, fy, cy, 0, 0, 1), distortion, model=model)


def dots(camera: Camera, rays: np.ndarray, sigma: float) -> np.ndarray:
    """White Gaussian dots, drawn where the camera sees the rays (N, 3)."""
    width, height = camera.size_wh
    image = np.zeros((height, width))
    reach = int(5 * sigma)
    for u, v in project(camera, rays):
        x = np.arange(max(0, int(u) - reach), min(width, int(u) + reach + 1))
        y = np.arange(max(0, int(v) - reach), min(height, int(v) + reach + 1))
        image[y[0] : y[-1] + 1, x[0] : x[-1] + 1] += np.exp(
            -((x - u) ** 2 + (y[:, None] - v) ** 2) / (2 * sigma**2)
        )
    return np.clip(255 * image, 0, 255).round().astype(np.uint8)


@pytest.mark.parametrize('name', CAMERAS)
def test_a_point_lands_where_the_ideal_pinhole_says(name):
    camera = camera_of(name)
    resampler = Resampler(camera)
    (width, height), matrix = resampler.size_wh, resampler.matrix
    u, v = np.meshgrid(np.linspace(0.2, 0.8, 6) * width, np.linspace(0.2, 0.8, 6) * height)
    rays = np.stack(
        [(u - matrix[0, 2]) / matrix[0, 0], (v - matrix[1, 2]) / matrix[1, 1], np.ones_like(u)], -1
    ).reshape(-1, 3)
    source = project(camera, rays)
    inside = ((source > 15) & (source < np.array(camera.size_wh) - 16)).all(axis=1)
    assert inside.sum() >= 12
    image = resampler(dots(camera, rays[inside], 1.2 * max(1.0, camera.size_wh[1] / height)))
    for dot in np.stack([u.ravel(), v.ravel()], -1)[inside]:
        x0, y0 = (round(x) - 12 for x in dot)
        patch = image[y0 : y0 + 25, x0 : x0 + 25].astype(float)
        grid_y, grid_x = np.mgrid[y0 : y0 + 25, x0 : x0 + 25]
        centre = np.array([(patch * grid_x).sum(), (patch * grid_y).sum()]) / patch.sum()
        np.testing.assert_allclose(centre, dot, atol=0.15)


@pytest.mark.parametrize('name', CAMERAS)
def test_the_ideal_pinhole(name):
    camera = camera_of(name)
    resampler = Resampler(camera)
    (width, height), matrix = resampler.size_wh, resampler.matrix
    assert width % 8 == height % 8 == 0 and abs(min(width, height) - 480) <= 4
    assert (width > height) == (camera.size_wh[0] > camera.size_wh[1])
    assert matrix[0, 0] == matrix[1, 1] > 0
    assert (matrix[0, 2], matrix[1, 2]) == ((width - 1) / 2, (height - 1) / 2)
    assert resampler.mask.shape == (height, width) and resampler.mask.dtype == bool


def test_an_ideal_image_passes_untouched():
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    resampler = Resampler(camera_of('ideal'))
    assert resampler.mask.all() and resampler.matrix[0, 0] == pytest.approx(525)
    np.testing.assert_array_equal(resampler(image), image)
    np.testing.assert_array_equal(resampler(image[..., 0]), image[..., 0])
    depth = np.random.default_rng(1).uniform(0, 9, (480, 640)).astype(np.float32)
    np.testing.assert_array_equal(resampler.depth(depth), depth)


@pytest.mark.parametrize('name', CAMERAS)
def test_the_mask_marks_what_the_image_shows(name):
    camera = camera_of(name)
    resampler = Resampler(camera)
    width, height = camera.size_wh
    valid_mask = resampler.depth(np.ones((height, width), np.float32)) > 0
    assert (valid_mask == resampler.mask).mean() > 0.995
    assert resampler.mask.mean() > 0.7


def test_off_centre_principal_point_masks_a_border():
    camera = camera_from_info((640, 480), (500, 0, 219.5, 0, 500, 239.5, 0, 0, 1))
    resampler = Resampler(camera)
    assert not resampler.mask[:, :100].any() and resampler.mask[:, 100:].all()


def test_the_fold_of_a_strong_lens_is_masked():
    lens = camera_from_info(
        (640, 480), (200, 0, 319.5, 0, 200, 239.5, 0, 0, 1), (-0.25, 0, 0, 0), model='plumb_bob'
    )
    mask = Resampler(lens).mask
    assert mask[240, 320] and not mask[0, 0] and not mask[240, 0]


def test_shrinking_does_not_alias():
    stripes = np.zeros((1440, 1920), np.uint8)
    stripes[:, ::2] = 255
    camera = camera_from_info((1920, 1440), (1500, 0, 959.5, 0, 1500, 719.5, 0, 0, 1))
    image = Resampler(camera)(stripes).astype(float)
    assert image.shape == (480, 640)
    assert image.std() < 45 and abs(image.mean() - 127.5) < 2


def test_depth_is_never_mixed():
    depth = np.zeros((1080, 1920), np.float32)
    depth[:, ::2] = 4.0
    resampled = Resampler(camera_of('rational, two megapixels')).depth(depth)
    assert set(np.unique(resampled)) == {0.0, 4.0}


def test_other_sizes_are_refused():
    resampler = Resampler(camera_of('small'))
    for call in (resampler, resampler.depth):
        with pytest.raises(CameraError, match=r'image is 640x480 but .* 320x240'):
            call(np.zeros((480, 640), np.float32))


def test_cell_centres():
    centres = cell_centres((640, 480))
    assert centres.shape == (60 * 80, 2)
    np.testing.assert_array_equal(centres[[0, 1, 80]], [[3.5, 3.5], [11.5, 3.5], [3.5, 11.5]])
    np.testing.assert_array_equal(centres.mean(axis=0), [319.5, 239.5])


def test_gray_is_luminance_of_rgb():
    image = np.zeros((2, 2, 3), np.uint8)
    image[..., 0] = 255
    assert to_gray(image)[0, 0] == 76
    assert to_gray(image[..., 0]).shape == (2, 2)


@pytest.mark.parametrize(
    'size_wh, expected', [((640, 480), (640, 480)), ((1200, 1600), (960, 1280))]
)
def test_own_sizes_are_kept_up_to_a_longest_side(size_wh, expected):
    matrix = np.array(
        [[500.0, 0, size_wh[0] / 2 - 0.5], [0, 500.0, size_wh[1] / 2 - 0.5], [0, 0, 1]]
    )
    resampler = Resamplers.to_own_size(1280)(Camera(size_wh, matrix))
    assert resampler.size_wh == expected
    assert resampler.matrix[0, 0] == pytest.approx(500.0 * expected[0] / size_wh[0])


def test_lenses_of_all_focal_lengths_at_one_scale():
    resamplers = Resamplers.to_focal(250.0, 64, 480)
    for focal, short_side in ((500.0, 240), (1000.0, 120), (200.0, 480), (5000.0, 64)):
        matrix = np.array([[focal, 0, 319.5], [0, focal, 239.5], [0, 0, 1.0]])
        resampler = resamplers(Camera((640, 480), matrix))
        assert min(resampler.size_wh) == short_side
        assert resampler.matrix[0, 0] == pytest.approx(focal * short_side / 480)


def test_threads_share_the_resamplers_of_many_cameras():
    cameras = [
        Camera((16, 16), np.array([[20.0 + k, 0, 7.5], [0, 20.0 + k, 7.5], [0, 0, 1]]))
        for k in range(3 * MAX_RESAMPLERS)
    ]
    resamplers = Resamplers.to_short_side(16)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(resamplers, cameras * 20))
    finally:
        sys.setswitchinterval(before)
    assert all(one.camera is camera for one, camera in zip(found, cameras * 20))
    assert len(resamplers) <= MAX_RESAMPLERS
