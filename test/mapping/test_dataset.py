# SPDX-License-Identifier: Apache-2.0
"""Frames become views: contrast, held-out block, units, depth of the scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsac_ros.compute.threads import threads
from dsac_ros.config import MappingConfig
from dsac_ros.errors import MappingError
from dsac_ros.mapping.data import dataset, reading
from dsac_ros.types import Camera, Frame, PosedFrame

CAMERA = Camera((80, 64), np.array([[70.0, 0, 39.5], [0, 70, 31.5], [0, 0, 1]]))
CONFIG = MappingConfig(short_side=64)


def texture(seed: int, height: int, width: int) -> np.ndarray:
    """A picture full of corners (height, width) uint8."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (height // 6, width // 6), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def wall_frames(
    count: int, distance: float, unit: float = 1.0, camera: Camera = CAMERA
) -> list[PosedFrame]:
    """A camera that moves sideways before a flat wall; poses in units of 1/unit metres."""
    wall = texture(0, 400, 1600)
    focal = camera.matrix[0, 0]
    width, height = camera.size_wh
    frames = []
    for index in range(count):
        shift = 0.05 * distance * index
        left = int(round(200 + shift * focal / distance))
        pose = np.eye(4)
        pose[0, 3] = (left - 200) * distance / focal * unit
        image = wall[100 : 100 + height, left : left + width]
        frames.append(PosedFrame(Frame(np.ascontiguousarray(image), camera), pose))
    return frames


def places(of, data=None):
    """Return the x of posed frames, or of the views of a data set."""
    if data is None:
        return [round(f.world_from_camera[0, 3], 6) for f in of]
    return places(dataset.as_posed_frame(view, data.origin, data.scale) for view in of)


def test_depth_without_any_sensor_is_triangulated():
    camera = Camera((320, 240), np.array([[280.0, 0, 159.5], [0, 280, 119.5], [0, 0, 1]]))
    config = MappingConfig(short_side=240, held_out=0.0)
    for unit in (1.0, 1000.0):
        data = dataset.prepare(wall_frames(24, 3.0, unit, camera), config)
        assert data.scale == pytest.approx(3.0 * unit, rel=0.03)


def test_measured_depth_sets_the_scale():
    frames = [
        PosedFrame(
            Frame(f.frame.image, CAMERA, depth=np.full((64, 80), 2.5, np.float32)),
            f.world_from_camera,
        )
        for f in wall_frames(6, 2.5)
    ]
    data = dataset.prepare(frames, CONFIG)
    assert data.scale == pytest.approx(2.5)
    assert data.views[0].depth.mean() == pytest.approx(1.0)
    off = dataset.prepare(frames, MappingConfig(short_side=64, depth='off'))
    assert off.views[0].depth is None


def test_the_scene_is_normalised_and_nothing_is_lost():
    data = dataset.prepare(wall_frames(10, 2.0), CONFIG)
    world = np.array([data.origin + data.scale * v.scene_from_camera[:3, 3] for v in data.views])
    expected = [f.world_from_camera[:3, 3] for f in wall_frames(10, 2.0)]
    np.testing.assert_allclose(world, expected, atol=1e-9)


@pytest.mark.parametrize(
    'count, share, size', [(100, 0.08, 8), (99, 0.08, 0), (3000, 0.08, 40), (50, 0.0, 0)]
)
def test_held_out_frames_are_one_block_of_neighbours(count, share, size):
    first, last = dataset.held_out_block(count, share)
    assert last - first == size and 0 <= first <= last <= count


@pytest.mark.parametrize(
    ('count', 'held_out', 'out'), [(360, 29, 68), (40, 0, 8), (8, 0, 4), (7, 0, 0), (92, 8, 16)]
)
def test_a_quarter_is_left_out_in_stretches(count, held_out, out):
    chosen = dataset.left_out_stretches(count, held_out)
    assert len(chosen) == count and chosen.sum() == out
    begins = np.flatnonzero(np.diff(np.concatenate([[False], chosen]).astype(int)) == 1)
    assert len(begins) == (4 if out else 0)


def test_held_out_frames_are_not_learned_from():
    frames = wall_frames(90, 2.0)
    data = dataset.prepare(frames, MappingConfig(short_side=64, held_out=0.1))
    held, learned = (set(places(views, data)) for views in (data.held_out, data.views))
    assert len(held) == 9 and not held & learned


def test_held_out_frames_keep_their_depth():
    """Validation needs it."""
    frames = [
        replace(f, frame=replace(f.frame, depth=np.full((64, 80), 2.5, np.float32)))
        for f in wall_frames(90, 2.0)
    ]
    data = dataset.prepare(frames, MappingConfig(short_side=64, held_out=0.1))
    assert all(view.depth is not None and np.allclose(view.depth, 1.0) for view in data.held_out)


def test_dark_frames_do_not_move_the_held_out_block():
    black = [PosedFrame(Frame(np.zeros((64, 80), np.uint8), CAMERA), np.eye(4))] * 7
    frames = wall_frames(90, 2.0)
    config = MappingConfig(short_side=64, held_out=0.1)
    first, last = dataset.held_out_block(90, 0.1)
    data = dataset.prepare(frames[:50] + black + frames[50:], config)
    assert places(data.held_out, data) == places(frames[first:last])


def test_what_a_frame_hides_is_not_learned_from():
    mask = np.ones((64, 80), bool)
    mask[:, :16] = False
    frames = [replace(f, frame=replace(f.frame, mask=mask)) for f in wall_frames(6, 1.0)]
    data = dataset.prepare(frames, CONFIG)
    assert all((view.mask == mask).all() for view in data.views)


def test_a_held_out_view_converts_back_to_its_frame():
    frame = wall_frames(90, 2.0)[35]
    data = dataset.prepare(wall_frames(90, 2.0), MappingConfig(short_side=64, held_out=0.1))
    first = dataset.held_out_block(90, 0.1)[0]
    again = dataset.as_posed_frame(data.held_out[35 - first], data.origin, data.scale)
    np.testing.assert_allclose(again.world_from_camera, frame.world_from_camera, atol=1e-9)
    np.testing.assert_array_equal(again.frame.image, frame.frame.image)
    np.testing.assert_allclose(again.frame.camera.matrix, frame.frame.camera.matrix)
    assert again.frame.mask.all()


@pytest.mark.parametrize('total', [None, 40, 400], ids=['unknown', 'known', 'most have no pose'])
def test_what_is_too_much_is_thinned_evenly(total):
    frames = wall_frames(40, 2.0)
    data = dataset.prepare(frames, MappingConfig(short_side=64, max_frames=12), total)
    assert places(data.views, data) == places(frames[::4])


def test_frames_are_thinned_where_memory_is_short(monkeypatch, caplog):
    (view,) = dataset.prepare(wall_frames(4, 2.0), MappingConfig(short_side=64)).views[:1]
    monkeypatch.setattr(
        reading, 'available_memory', lambda: 12.5 * reading.MEMORY_SHARE * reading.size(view)
    )
    frames = wall_frames(40, 2.0)
    data = dataset.prepare(frames, MappingConfig(short_side=64))
    assert places(data.views, data) == places(frames[::4])
    assert 'memory is short: only every 4th frame is used' in caplog.text


def test_depth_is_kept_once_in_the_units_of_the_scene():
    frames = [
        replace(posed, frame=replace(posed.frame, depth=np.full(posed.frame.image.shape[:2], 3.0)))
        for posed in wall_frames(6, 3.0)
    ]
    data = dataset.prepare(frames, MappingConfig(short_side=64))
    assert data.scale == pytest.approx(3.0)
    for view in data.views:
        assert view.depth.dtype == np.float32
        assert np.median(view.depth[view.depth > 0]) == pytest.approx(1.0)
    assert (frames[0].frame.depth == 3.0).all()


def test_reading_reports_how_far_it_is():
    shares = {}
    dataset.prepare(
        wall_frames(6, 1.0), CONFIG, 6, lambda stage: shares.setdefault(stage, []).append
    )
    assert shares['reading'] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert shares['checking'] == sorted(shares['checking']) and shares['checking'][-1] == 1


def test_too_few_frames_with_contrast_are_an_error():
    """Black frames are left out."""
    black = [PosedFrame(Frame(np.zeros((64, 80), np.uint8), CAMERA), np.eye(4))] * 20
    with pytest.raises(MappingError, match=r'3 usable posed frames \(20 without contrast\)'):
        dataset.prepare(wall_frames(3, 1.0) + black, CONFIG)


def test_a_camera_that_never_moves_is_an_error():
    still = [PosedFrame(f.frame, np.eye(4)) for f in wall_frames(6, 1.0)]
    for index, posed in enumerate(still):
        posed.world_from_camera[0, 3] = 1e-16 * index  # rounding, as of inverted poses
    with pytest.raises(MappingError, match='same camera position'):
        dataset.prepare(still, CONFIG)


def viewpoints(count):
    """Frames that each show a new viewpoint."""
    return wall_frames(2 * count, 2.0)[::2]


def tracked(frames, total=None):
    """Numbers of the frames whose views bring features."""
    views = reading.read_views(
        frames, MappingConfig(short_side=64), total, lambda share: None, True
    )
    return [index for index, view in enumerate(views) if view.features is not None]


def test_repeated_viewpoints_are_not_tracked():
    frames = [frame for frame in viewpoints(6) for _ in range(3)]
    assert tracked(frames, total=240) == list(range(0, 18, 3))


def test_too_many_viewpoints_are_thinned_by_halving(monkeypatch):
    monkeypatch.setattr(reading, 'MOST_TRACKED', 8)
    assert tracked(viewpoints(20)) == list(range(0, 20, 4))


def test_of_two_views_the_tracked_one_is_kept():
    views = reading.read_views(
        viewpoints(6), MappingConfig(short_side=64), None, lambda share: None, True
    )
    bare = [replace(view, features=None) for view in views]
    chosen = reading.every_second([bare[0], views[1], views[2], views[3], bare[4]])
    assert list(map(id, chosen)) == list(map(id, [views[1], views[2], bare[4]]))


def test_views_are_the_same_on_one_core_and_on_many():
    frames = viewpoints(30)
    one, many = [], []
    for count, views in ((1, one), (4, many)):
        with threads(count):
            views += reading.read_views(
                frames, MappingConfig(short_side=64, max_frames=12), 30, lambda share: None, True
            )
    assert len(one) == len(many) == 8
    for a, b in zip(one, many):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.features.pixels, b.features.pixels)
        np.testing.assert_array_equal(a.features.descriptors, b.features.descriptors)


@pytest.mark.parametrize('shape', [(20, 30), (20, 30, 3)])
def test_contrast_is_that_of_all_values(shape):
    image = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    image[..., :9] //= 3
    assert reading.contrast(image) == pytest.approx(image.std())
