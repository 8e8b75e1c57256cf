# SPDX-License-Identifier: Apache-2.0
"""The rendered world: exact depth, views that agree with each other, filtered texture."""

from __future__ import annotations

import numpy as np
import pytest
from rendered_rooms import rendered_room

from dsac_ros.errors import CameraError, MissingExtraError, SourceError
from dsac_ros.sources.rendered import robot_camera
from dsac_ros.synthetic import photographs
from dsac_ros.synthetic.atlas import build_atlas, to_linear, to_srgb
from dsac_ros.synthetic.drive import mast
from dsac_ros.synthetic.raycast import NOTHING, cast, soften_edges
from dsac_ros.synthetic.shading import Lightmaps, Shader
from dsac_ros.synthetic.surfaces import DISC, RECTANGLE, TRIANGLE, Builder
from dsac_ros.synthetic.world import RenderedWorld
from dsac_ros.types import EQUIDISTANT, Camera

SIZE_WH = (160, 120)
CAMERA = Camera(SIZE_WH, np.array(((130.0, 0, 79.5), (0, 130, 59.5), (0, 0, 1))))


@pytest.fixture(scope='module')
def world() -> RenderedWorld:
    return rendered_room(1)


def looking_at(place, target) -> np.ndarray:
    """world_from_camera of an upright camera."""
    forward = np.subtract(target, place, dtype=float)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0, 0, 1))
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = place
    return pose


def middle(world: RenderedWorld) -> np.ndarray:
    place = world.extent[1] / 2
    place[2] = 1.3
    return place


def panel(image: np.ndarray, size_m: float, **more):
    """A square panel in the plane z = 0 before a camera that looks along +z, and its shader."""
    builder = Builder(np.random.default_rng(0))
    builder.patch(
        np.array((-size_m / 2, -size_m / 2, 0)),
        np.array((size_m, 0, 0)),
        np.array((0, size_m, 0)),
        image,
        **more,
    )
    patches = builder.patches()
    lightmaps = Lightmaps(np.ones((2, 2, 3), np.float32), np.array(((0, 0, 1, 1),)))
    return patches, Shader(patches, build_atlas(builder.textures), lightmaps)


def at_distance(metres: float) -> np.ndarray:
    pose = np.eye(4)
    pose[2, 3] = -metres
    return pose


def test_the_seed_determines_the_room(world):
    pose = looking_at(middle(world), (0.2, 0.3, 1.0))
    first, again, other = (
        w.render(pose, CAMERA) for w in (world, RenderedWorld(1), rendered_room(2))
    )
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert np.abs(first[0].astype(int) - other[0]).mean() > 10


def test_image_and_depth_have_shapes_and_no_holes(world):
    image, depth = world.render(looking_at(middle(world), (1, 0.4, 0.9)), CAMERA)
    assert image.shape == (120, 160, 3) and image.dtype == np.uint8
    assert depth.shape == (120, 160) and depth.dtype == np.float32
    assert (depth > 0).all()
    assert image.std() > 20 and 40 < image.mean() < 215


def test_depth_of_a_slanted_panel_is_that_of_its_plane():
    patches, _ = panel(np.zeros((32, 32, 3), np.uint8), 20.0)
    pose = looking_at((0.3, -2.0, -1.5), (0.1, 0.2, 0.0))
    view = cast(patches, pose, CAMERA.matrix, SIZE_WH)
    v, u = np.mgrid[:120, :160]
    rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(CAMERA.matrix).T
    down = rays @ pose[2, :3]
    hit = view.seen != NOTHING
    expected = -pose[2, 3] / down
    assert hit.sum() > 5000
    np.testing.assert_allclose(1 / view.inverse_depth[hit], expected[hit], rtol=2e-5)


def test_every_pixel_lies_inside_the_room(world):
    pose = looking_at(middle(world), (0.1, 0.1, 0.2))
    _, depth = world.render(pose, CAMERA)
    v, u = np.mgrid[:120, :160]
    rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(CAMERA.matrix).T
    points = (rays * depth[..., None]) @ pose[:3, :3].T + pose[:3, 3]
    low, high = world.extent
    assert (points > low - 1e-3).all() and (points < high + 1e-3).all()
    on_shell = np.minimum(points - low, high - points).min(axis=-1) < 0.02
    assert on_shell.mean() > 0.2


def test_two_views_agree_in_depth_and_colour(world):
    place = middle(world)
    a = looking_at(place, (0.3, 0.5, 1.0))
    b = looking_at(place + (0.15, -0.1, 0.05), (0.5, 0.4, 0.9))
    (image_a, depth_a), (image_b, depth_b) = (world.render(p, CAMERA) for p in (a, b))
    v, u = np.mgrid[:120, :160]
    rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(CAMERA.matrix).T
    b_from_a = np.linalg.inv(b) @ a
    points = (rays * depth_a[..., None]) @ b_from_a[:3, :3].T + b_from_a[:3, 3]
    pixels = points @ CAMERA.matrix.T
    pixels = np.round(pixels[..., :2] / pixels[..., 2:]).astype(int)
    seen = ((pixels >= 0) & (pixels < SIZE_WH)).all(axis=-1) & (points[..., 2] > 0.1)
    column, row = pixels[seen].T
    apart = np.abs(depth_b[row, column] / points[..., 2][seen] - 1)
    same = apart < 0.03
    assert seen.mean() > 0.5
    # The rest is hidden in the other view, or beside an edge.
    assert same.mean() > 0.85 and np.median(apart) < 0.005
    colours = np.abs(image_a[seen][same].astype(int) - image_b[row, column][same])
    assert np.median(colours) < 6


def test_fine_texture_is_as_bright_at_any_distance():
    checks = np.random.default_rng(0).integers(0, 2, (256, 256)).repeat(2, 0).repeat(2, 1)
    image = np.where(checks[..., None], (150, 150, 150), (110, 110, 110)).astype(np.uint8)
    patches, shader = panel(image, 4.0)
    expected = to_linear(image).mean()
    means, spreads = [], []
    for metres in (0.8, 2.0, 6.0, 14.0):
        seen = shader.shade(cast(patches, at_distance(metres), CAMERA.matrix, SIZE_WH))
        centre = seen[45:75, 65:95] if metres < 6 else seen[53:67, 73:87]
        means.append(centre.mean())
        spreads.append(centre.std())
    np.testing.assert_allclose(means, expected, rtol=0.06)
    # Aliasing would keep the full contrast of the checks far away.
    assert spreads[0] > 0.05 and spreads[-1] < 0.02


def test_colours_survive_the_way_to_linear_and_back():
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    assert np.abs(to_srgb(to_linear(every)).astype(int) - every).max() <= 1
    assert to_srgb(np.array([[-1.0, 0.0, 7.0]], np.float32)).tolist() == [[0, 0, 255]]


@pytest.mark.parametrize(
    ('shape', 'share'), [(RECTANGLE, 1.0), (DISC, np.pi / 4), (TRIANGLE, 0.5)]
)
def test_a_shape_covers_its_area(shape, share):
    patches, _ = panel(np.zeros((32, 32, 3), np.uint8), 1.0, shape=shape)
    view = cast(patches, at_distance(1.5), CAMERA.matrix, SIZE_WH)
    assert (view.seen >= 0).sum() == pytest.approx(share * (130 / 1.5) ** 2, rel=0.03)


def test_a_panel_is_seen_from_its_front_only():
    away = np.diag((1.0, -1.0, -1.0, 1.0))
    away[2, 3] = 1.5
    for two_sided in (False, True):
        patches, _ = panel(np.zeros((32, 32, 3), np.uint8), 1.0, two_sided=two_sided)
        assert (cast(patches, at_distance(1.5), CAMERA.matrix, SIZE_WH).seen >= 0).any()
        assert (cast(patches, away, CAMERA.matrix, SIZE_WH).seen >= 0).any() == two_sided


def test_panels_behind_or_beside_camera_are_clipped():
    patches, _ = panel(np.zeros((32, 32, 3), np.uint8), 1.0)
    assert (cast(patches, at_distance(-2.0), CAMERA.matrix, SIZE_WH).seen == NOTHING).all()
    beside = looking_at((0.0, -0.4, -0.1), (0.0, 3.0, -0.1))
    view = cast(patches, beside, CAMERA.matrix, SIZE_WH)
    assert 0 < (view.seen >= 0).mean() < 1 and (view.inverse_depth < 50).all()


@pytest.mark.parametrize('shift', [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_white_edge_gives_its_share_of_the_pixel(shift):
    # The panel's border runs through pixel 80, leaving it covered by `shift` + 1/2 or beyond.
    patches, shader = panel(np.full((32, 32, 3), 255, np.uint8), 2.0)
    border = 80.0 + shift - 0.5
    pose = at_distance(1.0)
    pose[0, 3] = 1.0 - (border - 79.5) / 130
    view = cast(patches, pose, CAMERA.matrix, SIZE_WH)
    image = shader.shade(view)
    soften_edges(image, view, patches.shapes)
    row = image[60, :, 0]
    np.testing.assert_allclose(row[78:83], [1, 1, shift, 0, 0], atol=0.02)


@pytest.mark.parametrize(('x', 'y', 'yaw'), [(5.5, 2.35, 1.92923908), (3.6, 1.9, 1.79242911)])
def test_no_light_is_negative(world, x, y, yaw):
    """Something thinner than a pixel, brighter on both its sides."""
    c, s = np.cos(yaw), np.sin(yaw)
    pose = np.array(((c, -s, 0, x), (s, c, 0, y), (0, 0, 1, 0), (0, 0, 0, 1))) @ mast(0.7, 0.0)
    assert world.render_linear(pose, robot_camera((320, 240)))[0].min() >= 0


def test_a_camera_with_distortion_is_refused(world):
    with pytest.raises(CameraError, match='equidistant'):
        world.render(np.eye(4), Camera(SIZE_WH, CAMERA.matrix, EQUIDISTANT, (0.1, 0, 0, 0)))
    with pytest.raises(ValueError, match='finite'):
        world.render(np.full((4, 4), np.nan), CAMERA)


def test_missing_photographs_are_named(tmp_path, monkeypatch):
    with pytest.raises(SourceError, match='no photographs in'):
        photographs.list_photographs([tmp_path])
    with pytest.raises(SourceError, match=r'no_such\.jpg'):
        photographs.list_photographs([tmp_path / 'no_such.jpg'])
    (tmp_path / 'bad.png').write_bytes(b'no image')
    with pytest.raises(SourceError, match=r'bad\.png'):
        photographs.read_photograph(tmp_path / 'bad.png')
    with pytest.raises(MissingExtraError, match=r'no_such\.png'):
        photographs.package_photographs(('no_such.png',))
    monkeypatch.setattr(photographs, 'find_spec', lambda name: None)
    with pytest.raises(MissingExtraError, match='pip install scikit-image'):
        photographs.package_photographs()
