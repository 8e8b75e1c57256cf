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
    a, b = random_quaternion(seed), random_quaternion(seed + 100)
    rotation = tf.quaternion_matrix(a)[:3, :3]
    assert rotation @ rotation.T == pytest.approx(np.eye(3))
    assert tf.quaternion_matrix(tf.quaternion_multiply(a, b)) == pytest.approx(
        tf.concatenate_matrices(tf.quaternion_matrix(a), tf.quaternion_matrix(b)))
    back = np.array(tf.quaternion_from_matrix(tf.quaternion_matrix(a)))
    assert min(abs(back - a).max(), abs(back + a).max()) < 1e-12
    assert tf.quaternion_multiply(a, tf.quaternion_inverse(a)) == pytest.approx([0, 0, 0, 1])


@pytest.mark.parametrize('axes', ['sxyz', 'rzyx', 'szyx', 'rxyz'])
def test_euler_angles_come_back(axes):
    angles = (0.1, -0.2, 0.3)
    assert tf.euler_from_quaternion(tf.quaternion_from_euler(*angles, axes=axes),
                                    axes) == pytest.approx(angles)


def test_euler_angles_turn_as_ros_means_them():
    roll, pitch, yaw = 0.1, 0.2, 0.3
    parts = [tf.quaternion_matrix(tf.quaternion_about_axis(angle, axis)) for angle, axis in
             ((yaw, (0, 0, 1)), (pitch, (0, 1, 0)), (roll, (1, 0, 0)))]
    assert tf.euler_matrix(roll, pitch, yaw) == pytest.approx(tf.concatenate_matrices(*parts))


def test_slerp_has_its_ends_and_its_middle():
    a, b = tf.quaternion_from_euler(0, 0, 0.2), tf.quaternion_from_euler(0, 0, 1.0)
    assert tf.quaternion_slerp(a, b, 0.0) == pytest.approx(a)
    assert tf.quaternion_slerp(a, b, 1.0) == pytest.approx(b)
    quarter = tf.quaternion_slerp(a, [-v for v in b], 0.25)
    assert tf.euler_from_quaternion(quarter)[2] == pytest.approx(0.4)


def test_translations_and_inverses():
    matrix = tf.translation_matrix((1, 2, 3)) @ tf.quaternion_matrix(random_quaternion(1))
    assert tf.translation_from_matrix(matrix) == pytest.approx([1, 2, 3])
    assert tf.inverse_matrix(matrix) @ matrix == pytest.approx(np.eye(4))


def test_clouds_of_points():
    points = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    cloud = point_cloud2.create_cloud_xyz32(Header(frame_id='map'), points)
    assert (cloud.width, cloud.height, cloud.point_step, cloud.row_step) == (5, 1, 12, 60)
    assert (point_cloud2.read_points_numpy(cloud) == points).all()
    assert point_cloud2.read_points(cloud, ['z'], uvs=[1, 3])['z'] == pytest.approx(
        points[[1, 3], 2])


def test_clouds_with_colour_and_holes():
    dtype = np.dtype([('x', np.float32), ('y', np.float32), ('z', np.float32),
                      ('rgb', np.uint32)])
    fields = [PointField(name=name, offset=offset, datatype=kind, count=1) for name, offset, kind
              in (('x', 0, 7), ('y', 4, 7), ('z', 8, 7), ('rgb', 12, 6))]
    points = np.zeros((2, 3), dtype)
    points['rgb'], points['x'][0, 1] = 0xff00ff, np.nan
    cloud = point_cloud2.create_cloud(Header(), fields, points)
    assert (cloud.width, cloud.height) == (2, 3)
    assert len(point_cloud2.read_points(cloud, skip_nans=True)) == 5
    organized = point_cloud2.read_points(cloud, reshape_organized_cloud=True)
    assert organized.shape == (2, 3) and (organized['rgb'] == 0xff00ff).all()
    with pytest.raises(AssertionError, match='is not in the fields'):
        point_cloud2.read_points(cloud, ['w'])
