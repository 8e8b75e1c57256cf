# SPDX-License-Identifier: Apache-2.0
"""Drives keep clear of the furniture; the sensor does what it says; bags carry both home."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from rendered_rooms import rendered_room

from dsac_ros.errors import SourceError
from dsac_ros.sources import rendered as rendered_source
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.rendered import RenderedSource, open_rendered, robot_camera
from dsac_ros.sources.rendered_recording import TRUTH_TOPIC, record_drive
from dsac_ros.synthetic.drive import ROBOT_RADIUS_M, drive
from dsac_ros.synthetic.sensor import SensorModel
from dsac_ros.synthetic.world import RenderedWorld

CAMERA = robot_camera((96, 72))
IDEAL = SensorModel(
    exposure_stops=0, shot_noise=0, read_noise=0, vignetting=0, exposure_s=0, white_balance=0
)
STILL = np.eye(4)
ONE = np.ones(3)


@pytest.fixture(scope='module')
def world() -> RenderedWorld:
    return rendered_room(1)


@pytest.fixture(scope='module')
def path(world):
    return drive(world, seed=0, frames=120, rate_hz=4.0)


def flat(value: float, shape: tuple[int, int] = (72, 96)) -> tuple[np.ndarray, np.ndarray]:
    return np.full((*shape, 3), value, np.float32), np.full(shape, 2.0, np.float32)


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_the_robot_never_touches_furniture_or_walls(world, seed):
    places = drive(world, seed, frames=100).odometry.world_from_base[::5, :2, 3]
    low, high = world.extent
    assert (places > low[:2] + ROBOT_RADIUS_M).all() and (places < high[:2] - ROBOT_RADIUS_M).all()
    assert len(world.obstacles) > 3
    for obstacle in world.obstacles:
        corners = obstacle.corners_xy.astype(np.float32)
        inside = [cv2.pointPolygonTest(corners, tuple(map(float, p)), True) for p in places]
        # Up to a cell of the grid that the way was planned on.
        assert max(inside) < -ROBOT_RADIUS_M + 0.05


def test_the_drive_is_smooth_and_covers_the_room(world, path):
    odometry = path.odometry
    step = np.diff(odometry.stamps_ns).astype(float).mean() * 1e-9
    speed = np.linalg.norm(np.diff(odometry.world_from_base[:, :3, 3], axis=0), axis=1) / step
    assert 0.15 < np.median(speed) < 0.7 and speed.max() < 1.0
    forward = odometry.world_from_base[:, :2, 0]
    turns = np.abs(np.diff(np.unwrap(np.arctan2(forward[:, 1], forward[:, 0])))) / step
    assert turns.max() < 1.2
    headings = np.histogram(np.arctan2(*forward.T), bins=8, range=(-np.pi, np.pi))[0]
    assert (headings > 0).sum() >= 6
    reach = np.ptp(odometry.world_from_base[:, :2, 3], axis=0) / world.extent[1][:2]
    assert reach.max() > 0.3


def test_images_lie_between_odometry_stamps(path):
    """The camera stands on the mast and looks a little down."""
    assert len(path.stamps_ns) == 120 and (np.diff(path.stamps_ns) == 250_000_000).all()
    assert path.stamps_ns[0] > path.odometry.stamps_ns[0]
    assert path.stamps_ns[-1] < path.odometry.stamps_ns[-1]
    assert not np.isin(path.stamps_ns, path.odometry.stamps_ns).any()
    heights = path.world_from_camera[:, 2, 3]
    np.testing.assert_allclose(heights, 1.0, atol=0.03)
    # The optical axis looks a little down, the image's down is the world's.
    assert (np.abs(path.world_from_camera[:, 2, 2] + np.sin(np.radians(4))) < 0.06).all()
    assert (path.world_from_camera[:, 2, 1] < -0.99).all()


def test_odometry_drifts_but_not_at_once(path):
    true = np.linalg.inv(path.world_from_base[0]) @ path.world_from_base
    believed = np.linalg.inv(path.odom_from_base[0]) @ path.odom_from_base
    off = np.linalg.norm((true - believed)[:, :3, 3], axis=1)
    assert off[1] < 0.01 and 0.02 < off.max() < 2.0


def test_the_seed_determines_the_path(world, path):
    again = drive(world, seed=0, frames=120, rate_hz=4.0)
    other = drive(world, seed=1, frames=120, rate_hz=4.0)
    assert np.array_equal(again.world_from_base, path.world_from_base)
    assert np.abs(other.world_from_base - path.world_from_base)[:, :2, 3].max() > 0.5


def test_an_ideal_sensor_changes_nothing():
    light, depth = flat(0.25)
    image = IDEAL.expose(light, depth, CAMERA, STILL, ONE, np.random.default_rng(0))
    assert (image == image[0, 0]).all() and abs(int(image[0, 0, 0]) - 137) <= 1


def test_noise_grows_with_the_root_of_the_light():
    sensor = SensorModel(shot_noise=0.02, read_noise=0.0, vignetting=0.0)
    spread = []
    for value in (0.16, 0.64):
        light, depth = flat(value, (200, 200))
        camera = robot_camera((200, 200))
        image = sensor.expose(light, depth, camera, STILL, ONE, np.random.default_rng(0))
        linear = ((image / 255 + 0.055) / 1.055) ** 2.4
        spread.append(linear.std())
        assert linear.mean() == pytest.approx(value, rel=0.01)
    assert spread[0] == pytest.approx(0.02 * 0.4, rel=0.08)
    assert spread[1] / spread[0] == pytest.approx(2.0, rel=0.05)


def test_vignetting_darkens_the_corners_only():
    sensor = SensorModel(shot_noise=0, read_noise=0, vignetting=0.4)
    light, depth = flat(0.5)
    image = sensor.expose(light, depth, CAMERA, STILL, ONE, np.random.default_rng(0))
    linear = ((image[..., 0] / 255 + 0.055) / 1.055) ** 2.4
    assert linear[36, 48] == pytest.approx(0.5, rel=0.01)
    assert linear[0, 0] == pytest.approx(0.3, rel=0.05)


def test_exposure_wanders_by_its_deviation_and_slowly():
    gains = SensorModel(exposure_stops=0.5, white_balance=0).gains(
        np.random.default_rng(0), 4000, 5.0
    )
    stops = np.log2(gains[:, 1])
    assert stops.std() == pytest.approx(0.5, rel=0.3)
    assert np.abs(np.diff(stops)).mean() < 0.2
    assert (IDEAL.gains(np.random.default_rng(0), 10, 5.0) == 1).all()


def test_motion_blur_follows_direction_and_length():
    light, depth = flat(0.1)
    light[:, 48] = 1.0
    focal, move = CAMERA.matrix[0, 0], 0.2
    sideways = np.eye(4)
    sideways[0, 3] = move
    still, moved = (
        IDEAL.expose(light, depth, CAMERA, motion, ONE, np.random.default_rng(0))
        for motion in (STILL, sideways)
    )
    assert ((still > still.min()).sum(axis=1) == 1).all()
    width = (moved[36, :, 0] > still.min()).sum()
    assert width == pytest.approx(focal * move / 2.0, abs=2)
    assert np.abs(moved[10:-10].astype(int) - moved[36]).max() == 0
    assert moved.max() < still.max()


def test_a_frame_comes_out_the_same_alone_and_in_order(world, path):
    source = RenderedSource(world, path, CAMERA)
    frames = source.posed_frames()
    first, second = next(frames), next(frames)
    assert np.array_equal(source.frame(1).frame.image, second.frame.image)
    assert not np.array_equal(first.frame.image, second.frame.image)
    assert second.frame.stamp_ns == path.stamps_ns[1] and len(source) == 120
    assert second.frame.depth.shape == (72, 96) and source.kind == 'rendered'
    np.testing.assert_array_equal(second.world_from_camera, path.world_from_camera[1])


@pytest.mark.parametrize('held_out', [False, True])
def test_a_recorded_drive_comes_back_from_its_bag(world, tmp_path, held_out):
    short = drive(world, seed=5, frames=4, rate_hz=5.0)
    bag = record_drive(world, short, tmp_path / 'drive', camera=CAMERA, held_out=held_out)
    if held_out:
        with pytest.raises(SourceError):
            list(open_source(bag, poses='tf:map').posed_frames())
    source = open_source(bag, poses=TRUTH_TOPIC if held_out else 'tf:map')
    frames = list(source.posed_frames())
    assert len(frames) == 4
    direct = RenderedSource(world, short, CAMERA)
    for index, posed in enumerate(frames):
        assert np.array_equal(posed.frame.image, direct.frame(index).frame.image)
        assert posed.frame.stamp_ns == short.stamps_ns[index]
        np.testing.assert_allclose(
            posed.world_from_camera, short.world_from_camera[index], atol=1e-4
        )
        np.testing.assert_allclose(posed.frame.camera.matrix, CAMERA.matrix)


def test_a_rendered_source_is_opened_by_its_name(monkeypatch):
    monkeypatch.setattr(rendered_source, 'RenderedWorld', rendered_room)
    source = open_rendered('rendered:2:3')
    assert len(source) == 3 and source.world.seed == 2 and source.camera.size_wh == (640, 480)


@pytest.mark.parametrize(
    'spec',
    ['rendered', 'rendered:', 'rendered:x', 'rendered:1:2:3', 'rendered:-1', 'rendered:1:0'],
)
def test_a_wrong_name_is_one_clear_line(spec):
    with pytest.raises(SourceError, match=spec):
        open_rendered(spec)
