# SPDX-License-Identifier: Apache-2.0
"""COLMAP models as COLMAP 4 itself writes them: rigs, folders of cameras, every lens, points."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from source_frames import LENS, pose, posed_frames

from dsac_ros.colmap.files import CAMERA_MODELS
from dsac_ros.config import PoseConvention
from dsac_ros.errors import CameraError, SourceError
from dsac_ros.geometry.camera import project
from dsac_ros.sources.colmap_cameras import MODELS, camera_from_colmap
from dsac_ros.sources.conversion import write_folder
from dsac_ros.sources.open_source import open_source

RIG_FROM_WORLD = [np.linalg.inv(pose(0.3 * i, 1, 2, 0.1, -0.2 * i, 0.3)) for i in range(3)]
SENSOR_FROM_RIG = [np.eye(4), np.linalg.inv(pose(0.2, 0, 0, 0, 0.3, 0))]


@pytest.fixture
def rig(tmp_path):
    """Three frames of two cameras in folders of their own, in the text or binary of pycolmap."""
    colmap = pytest.importorskip('pycolmap')
    model = colmap.Reconstruction()
    rig = colmap.Rig(rig_id=1)
    for number in (1, 2):
        model.add_camera(
            colmap.Camera(
                model='PINHOLE',
                width=64,
                height=48,
                params=[50 + number, 50, 32, 24],
                camera_id=number,
            )
        )
        sensor = colmap.sensor_t(colmap.SensorType.CAMERA, number)
        if number == 1:
            rig.add_ref_sensor(sensor)
        else:
            rig.add_sensor(sensor, colmap.Rigid3d(SENSOR_FROM_RIG[1][:3]))
    model.add_rig(rig)
    for index, rig_from_world in enumerate(RIG_FROM_WORLD):
        frame = colmap.Frame(frame_id=index + 1, rig_id=1)
        images = []
        for number in (1, 2):
            name = f'cam{number}/{index:04d}.png'
            file = tmp_path / 'images' / name
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), np.full((48, 64), 20 * index + number, np.uint8))
            image = colmap.Image(
                name=name,
                camera_id=number,
                image_id=2 * index + number,
                points2D=[colmap.Point2D(np.array([10.0, 20.0]))],
            )
            frame.add_data_id(image.data_id)
            image.frame_id = index + 1
            images.append(image)
        frame.rig_from_world = colmap.Rigid3d(rig_from_world[:3])
        model.add_frame(frame)
        for image in images:
            model.add_image(image)
        model.register_frame(index + 1)
    point = np.array([0.2, 0.9, 5.0])
    track = colmap.Track([colmap.TrackElement(1, 0), colmap.TrackElement(2, 0)])
    model.add_point3D(point, track, np.zeros(3, np.uint8))
    return tmp_path, model, point


@pytest.mark.parametrize('kind', ['binary', 'text'])
def test_a_rig_of_folders_as_colmap_writes_it(rig, kind):
    folder, model, _ = rig
    (folder / 'sparse/0').mkdir(parents=True)
    getattr(model, f'write_{kind}')(str(folder / 'sparse/0'))
    names = {path.name for path in (folder / 'sparse/0').iterdir()}
    assert any(name.startswith('rigs.') for name in names)
    found = {p.frame.name: p for p in open_source(folder).posed_frames()}
    assert len(found) == 6
    for index, rig_from_world in enumerate(RIG_FROM_WORLD):
        for number, sensor_from_rig in enumerate(SENSOR_FROM_RIG, 1):
            posed = found[f'cam{number}/{index:04d}.png']
            expected = np.linalg.inv(sensor_from_rig @ rig_from_world)
            np.testing.assert_allclose(posed.world_from_camera, expected, atol=1e-9)
            assert posed.frame.camera.matrix[0, 0] == 50 + number
            assert posed.frame.image[0, 0] == 20 * index + number


@pytest.mark.parametrize('kind', ['binary', 'text'])
def test_points_are_the_depth_of_the_images(rig, kind):
    folder, model, point = rig
    (folder / 'sparse/0').mkdir(parents=True)
    getattr(model, f'write_{kind}')(str(folder / 'sparse/0'))
    source = open_source(folder, depth='points')
    frames = {p.frame.name: p for p in source.posed_frames()}
    posed = frames['cam1/0000.png']
    camera = np.linalg.inv(posed.world_from_camera) @ np.array([*point, 1])
    rows, columns = np.nonzero(posed.frame.depth)
    u, v = (posed.frame.camera.matrix @ camera[:3])[:2] / camera[2]
    assert (rows.tolist(), columns.tolist()) == ([round(v)], [round(u)])
    np.testing.assert_allclose(posed.frame.depth[rows, columns], camera[2], rtol=1e-6)
    assert not frames['cam1/0001.png'].frame.depth.any()
    assert all(p.frame.depth is None for p in open_source(folder).posed_frames())


def test_depth_of_points_needs_points(rig, tmp_path):
    folder, model, _ = rig
    (folder / 'sparse/0').mkdir(parents=True)
    model.write_text(str(folder / 'sparse/0'))
    (folder / 'sparse/0/points3D.txt').write_text('# none\n')
    with pytest.raises(SourceError, match='has no points, and --depth points is that of theirs'):
        open_source(folder, depth='points')
    with pytest.raises(SourceError, match=r'--depth points: .* expected auto or off, or points'):
        open_source(folder / 'images/cam1', depth='points')


def test_depth_of_points_follows_the_scale_of_poses(rig):
    folder, model, _ = rig
    (folder / 'sparse/0').mkdir(parents=True)
    model.write_binary(str(folder / 'sparse/0'))
    depths = [
        next(open_source(folder, depth='points', convention=convention).posed_frames()).frame.depth
        for convention in (PoseConvention(), PoseConvention(scale=10.0))
    ]
    np.testing.assert_allclose(10 * depths[0], depths[1], rtol=1e-6)


@pytest.mark.parametrize('name, count', CAMERA_MODELS.values())
def test_every_camera_model_is_read_or_refused(name, count):
    """The parameters of all models begin with focal lengths, and end with those of the lens."""
    focals = MODELS[name][1] if name in MODELS else 1
    parameters = [50.0] * focals + [32.0, 24.0] + [0.01] * (count - focals - 2)
    if name in MODELS:
        assert camera_from_colmap(name, (64, 48), parameters).matrix[0, 0] == 50
    else:
        with pytest.raises(CameraError, match=f'unknown camera model {name}, .*undistort with'):
            camera_from_colmap(name, (64, 48), parameters)


def test_the_table_of_models_is_that_of_colmap():
    colmap = pytest.importorskip('pycolmap')
    for number, (name, count) in CAMERA_MODELS.items():
        camera = colmap.Camera.create_from_model_name(1, name, 50.0, 64, 48)
        assert int(camera.model) == number and len(camera.params) == count


@pytest.mark.parametrize('name', MODELS)
def test_lenses_project_as_those_of_colmap_do(name):
    colmap = pytest.importorskip('pycolmap')
    count, focals, _ = MODELS[name]
    parameters = (
        [50.0, 53.0][:focals]
        + [32.0, 24.0]
        + [0.02, -0.01, 0.003, 0.004, 0.01, 0.02, 0.03, 0.01][: count - focals - 2]
    )
    theirs = colmap.Camera(model=name, width=64, height=48, params=parameters)
    points = np.random.default_rng(0).uniform((-0.4, -0.3, 1), (0.4, 0.3, 1.5), (50, 3))
    expected = np.array([theirs.img_from_cam(point) for point in points]) - 0.5
    found = project(camera_from_colmap(name, (64, 48), parameters), points)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_colmap_reads_the_model_that_we_write(tmp_path):
    colmap = pytest.importorskip('pycolmap')
    frames = posed_frames(3, lens=LENS)
    write_folder(tmp_path / 'a', frames, kind='colmap')
    model = colmap.Reconstruction(str(tmp_path / 'a/sparse/0'))
    assert model.num_images() == 3 and model.num_cameras() == 1 and model.num_points3D() == 0
    images = sorted(model.images.values(), key=lambda image: image.name)
    points = np.array([[0.1, -0.2, 2.0]])
    for posed, image in zip(frames, images):
        theirs = image.cam_from_world().matrix()
        expected = np.linalg.inv(posed.world_from_camera)[:3]
        np.testing.assert_allclose(theirs, expected, atol=1e-9)
        pixel = image.camera.img_from_cam(points[0]) - 0.5
        np.testing.assert_allclose(pixel, project(posed.frame.camera, points)[0], atol=1e-9)
