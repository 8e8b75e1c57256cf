# SPDX-License-Identifier: Apache-2.0
"""Messages to values and back."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from geometry_msgs.msg import Point, Pose, Quaternion
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dsac_ros.errors import CameraError, ImageError, SourceError
from dsac_ros.geometry.se3 import exp
from dsac_ros.nodes import conversions
from dsac_ros.sources.image_messages import stamp_ns

RGB = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)


def message(array, encoding, step=None):
    rows = np.ascontiguousarray(array).reshape(array.shape[0], -1).view(np.uint8)
    if step:
        rows = np.pad(rows, ((0, 0), (0, step - rows.shape[1])))
    image = Image(
        height=array.shape[0], width=array.shape[1], encoding=encoding, step=rows.shape[1]
    )
    image.data.frombytes(rows.tobytes())
    return image


@pytest.mark.parametrize(
    ('encoding', 'sent', 'expected'),
    [
        ('rgb8', RGB, RGB),
        ('bgr8', RGB[..., ::-1], RGB),
        ('mono8', RGB[..., 0], RGB[..., 0]),
        ('rgba8', np.dstack([RGB, RGB[..., :1]]), RGB),
        ('mono16', RGB[..., 0].astype(np.uint16) * 257, RGB[..., 0]),
    ],
)
def test_encodings(encoding, sent, expected):
    assert np.array_equal(conversions.image_from_message(message(sent, encoding)), expected)


def test_padded_rows():
    image = conversions.image_from_message(message(RGB, 'rgb8', step=128))
    assert np.array_equal(image, RGB)


def test_jpeg_and_back():
    smooth = cv2.GaussianBlur(RGB, (0, 0), 3)
    sent = conversions.jpeg_message(smooth, conversions.header('camera', 5))
    assert sent.format.startswith('jp') and sent.header.frame_id == 'camera'
    assert np.abs(conversions.image_from_message(sent).astype(int) - smooth).mean() < 4


@pytest.mark.parametrize('image', [RGB, RGB[..., 0]])
def test_image_message_and_back(image):
    sent = conversions.image_message(image, conversions.header('camera', 5))
    assert sent.encoding == ('rgb8' if image.ndim == 3 else 'mono8')
    assert np.array_equal(conversions.image_from_message(sent), image)


@pytest.mark.parametrize(
    'bad',
    [
        message(RGB, 'purple12'),
        message(RGB[..., 0].astype(np.float32), '32FC1'),
        Image(height=24, width=32, encoding='rgb8', step=96),
        Image(encoding='rgb8'),
        Image(height=2**31, width=2**31, encoding='mono8', step=2**31),
        CompressedImage(format='jpeg'),
        CompressedImage(format='jpeg', data=b'no jpeg at all'),
    ],
    ids=str,
)
def test_images_that_are_none_say_so(bad):
    with pytest.raises(ImageError) as caught:
        conversions.image_from_message(bad)
    assert '\n' not in str(caught.value)


def test_unknown_encoding_names_it_and_the_known_ones():
    with pytest.raises(ImageError, match=r"'purple12'.*rgb8"):
        conversions.image_from_message(message(RGB, 'purple12'))


def info(**fields):
    return CameraInfo(
        **{
            **dict(
                width=32,
                height=24,
                distortion_model='plumb_bob',
                k=[30.0, 0, 15.5, 0, 30.0, 11.5, 0, 0, 1.0],
                d=[0.0] * 5,
            ),
            **fields,
        }
    )


def test_camera_of_camera_info():
    camera = conversions.camera_from_info(info(), RGB, rectified=False)
    assert camera.size_wh == (32, 24) and camera.matrix[0, 0] == 30.0


def test_a_rectified_image_has_the_camera_p():
    sent = info(d=[0.1, 0, 0, 0, 0], p=[28.0, 0, 16, 0, 0, 28, 12, 0, 0, 0, 1, 0])
    assert conversions.camera_from_info(sent, RGB, rectified=True).matrix[0, 0] == 28.0
    assert conversions.camera_from_info(sent, RGB, rectified=True).distortion == ()
    assert conversions.camera_from_info(sent, RGB, rectified=False).matrix[0, 0] == 30.0


@pytest.mark.parametrize(
    ('fields', 'word'),
    [
        (dict(k=[0.0] * 9), 'zero'),
        (dict(k=[math.nan] * 9), 'NaN'),
        (dict(k=[-30.0, 0, 15, 0, 30, 11, 0, 0, 1]), 'positive'),
        (dict(distortion_model='fancy', d=[1.0]), 'fancy'),
    ],
)
def test_cameras_that_are_none_say_so(fields, word):
    with pytest.raises(CameraError, match=word):
        conversions.camera_from_info(info(**fields), RGB, rectified=False)


@pytest.mark.parametrize('seed', range(5))
def test_poses_there_and_back(seed):
    twist = torch.from_numpy(np.random.default_rng(seed).normal(size=6))
    matrix = exp(twist).numpy()
    back = conversions.matrix_from_pose(conversions.pose_message(matrix))
    assert np.allclose(back, matrix, atol=1e-9)
    sent = conversions.transform_message('map', 'odom', 1_500_000_000, matrix)
    assert np.allclose(conversions.matrix_from_transform(sent.transform), matrix, atol=1e-9)
    assert (sent.header.frame_id, sent.child_frame_id) == ('map', 'odom')
    assert (sent.header.stamp.sec, sent.header.stamp.nanosec) == (1, 500_000_000)


@pytest.mark.parametrize(
    'pose',
    [
        Pose(position=Point(x=math.nan)),
        Pose(orientation=Quaternion(w=math.nan)),
        Pose(orientation=Quaternion(w=0.0)),
        Pose(orientation=Quaternion(w=5.0)),
    ],
)
def test_poses_that_are_none_say_so(pose):
    with pytest.raises(SourceError, match='pose has position'):
        conversions.matrix_from_pose(pose)


def test_xyz_rpy_is_that_of_urdf():
    matrix = conversions.matrix_from_xyz_rpy([1, 2, 3, 0, 0, math.pi / 2])
    assert np.allclose(matrix @ [1, 0, 0, 1], [1, 3, 3, 1])
    roll_then_yaw = conversions.matrix_from_xyz_rpy([0, 0, 0, math.pi / 2, 0, math.pi / 2])
    assert np.allclose(roll_then_yaw[:3, :3] @ [0, 1, 0], [0, 0, 1], atol=1e-12)


@pytest.mark.parametrize('nanoseconds', [0, 1, 999_999_999, 1_700_000_000_123_456_789])
def test_stamps_there_and_back(nanoseconds):
    assert stamp_ns(conversions.time_message(nanoseconds)) == nanoseconds


def test_negative_duration():
    duration = conversions.duration_message(-1)
    assert (duration.sec, duration.nanosec) == (-1, 999_999_999)


def test_unknown_point_is_nan():
    assert math.isnan(conversions.point_message(None).x)
    assert conversions.point_message([1, 2, 3]).z == 3.0


@pytest.mark.parametrize(
    ('model', 'd'), [('plumb_bob', [0.0] * 5), ('equidistant', [0.01, -0.02, 0.0, 0.003])]
)
def test_a_camera_becomes_a_camera_info(model, d):
    camera = conversions.camera_from_info(info(distortion_model=model, d=d), RGB, rectified=False)
    head = conversions.header('camera', 5)
    again = conversions.camera_from_info(
        conversions.camera_info_message(camera, head), RGB, rectified=False
    )
    assert (again.size_wh, again.model, again.distortion) == (
        camera.size_wh,
        camera.model,
        camera.distortion,
    )
    np.testing.assert_array_equal(again.matrix, camera.matrix)
