# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import tf_transformations as tf
from sensor_msgs.msg import PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

SEEDS = range(5)


def random_quaternion(seed):
    q = np.random.default_rng(seed).normal(size=4)
    return q / np.linalg.norm(q)


@pytest.mark.parametrize('seed', SEEDS)
def test_quaternion_and_matrix_agree(seed):
    quaternion = random_quaternion(seed)
    rotation = tf.quaternion_matrix(quaternion)[:3, :3]
    assert rotation @ rotation.T == pytest.approx(np.eye(3))
    assert tf.quaternion_matrix(3.0 * quaternion)[:3, :3] == pytest.approx(rotation)
    back = np.array(tf.quaternion_from_matrix(tf.quaternion_matrix(quaternion)))
    assert min(abs(back - quaternion).max(), abs(back + quaternion).max()) < 1e-12


@pytest.mark.parametrize(('axes', 'order'), [('sxyz', 'zyx'), ('rzyx', 'xyz')])
def test_euler_angles_turn_as_ros_means_them(axes, order):
    angles = dict(zip(axes[1:], (0.1, -0.2, 0.3)))
    parts = [about(letter, angles[letter]) for letter in (order if axes[0] == 's' else axes[1:])]
    assert tf.euler_matrix(0.1, -0.2, 0.3, axes)[:3, :3] == pytest.approx(
        np.linalg.multi_dot(parts)
    )


def about(letter, angle):
    """The rotation matrix about one axis."""
    i, j = {'x': (1, 2), 'y': (2, 0), 'z': (0, 1)}[letter]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[j, i], matrix[i, j] = np.sin(angle), -np.sin(angle)
    return matrix


def test_clouds_of_points():
    points = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate('xyz')
    ]
    cloud = point_cloud2.create_cloud(Header(frame_id='map'), fields, points)
    assert (cloud.width, cloud.height, cloud.point_step, cloud.row_step) == (5, 1, 12, 60)
    assert point_cloud2.read_points(cloud)['z'] == pytest.approx(points[:, 2])


def test_clouds_with_colour():
    dtype = np.dtype([('x', np.float32), ('y', np.float32), ('z', np.float32), ('rgb', np.uint32)])
    fields = [
        PointField(name=name, offset=offset, datatype=kind, count=1)
        for name, offset, kind in (('x', 0, 7), ('y', 4, 7), ('z', 8, 7), ('rgb', 12, 6))
    ]
    points = np.zeros((2, 3), dtype)
    points['rgb'] = 0xFF00FF
    cloud = point_cloud2.create_cloud(Header(), fields, points)
    assert (cloud.width, cloud.height) == (2, 3)
    assert (point_cloud2.read_points(cloud)['rgb'] == 0xFF00FF).all()
