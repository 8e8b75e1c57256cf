# SPDX-License-Identifier: Apache-2.0
"""Messages that a BagWriter does not write by itself."""

from __future__ import annotations

import numpy as np
from rosbags.rosbag1 import Writer

from dsac_ros.sources.message_types import ros1_types
from dsac_ros.sources.poses import row_from_pose


def stamped_transform(bag, topic, parent, child, stamp_ns, parent_from_child):
    """Write a TransformStamped on a topic of its own, as motion capture does."""
    row = row_from_pose(parent_from_child)
    bag._write(
        topic,
        'geometry_msgs/msg/TransformStamped',
        stamp_ns,
        header=bag._header(parent, stamp_ns),
        child_frame_id=child,
        transform=bag._make(
            'geometry_msgs/msg/Transform',
            translation=bag._xyz('Vector3', row),
            rotation=bag._quaternion(row),
        ),
    )


def path_message(bag, topic, frame, samples, log_ns=None):
    """Write a Path of samples (stamp, pose)."""
    poses = [
        bag._make(
            'geometry_msgs/msg/PoseStamped', header=bag._header(frame, stamp), pose=bag._pose(pose)
        )
        for stamp, pose in samples
    ]
    log_ns = samples[-1][0] if log_ns is None else log_ns
    bag._write(topic, 'nav_msgs/msg/Path', log_ns, header=bag._header(frame, log_ns), poses=poses)


def compressed_message(bag, topic, frame, stamp_ns, form, data):
    """Write a CompressedImage of any format and bytes."""
    bag._write(
        topic,
        'sensor_msgs/msg/CompressedImage',
        stamp_ns,
        header=bag._header(frame, stamp_ns),
        format=form,
        data=np.frombuffer(data, np.uint8).copy(),
    )


def write_ros1(path, frames):
    """Write frames as a bag of ROS 1."""
    types = ros1_types()
    make = types.types
    with Writer(path) as bag:
        topics = {
            name: bag.add_connection(name, kind, typestore=types)
            for name, kind in (
                ('/camera/image_raw', 'sensor_msgs/msg/Image'),
                ('/camera/camera_info', 'sensor_msgs/msg/CameraInfo'),
                ('/tf', 'tf2_msgs/msg/TFMessage'),
            )
        }
        for index, posed in enumerate(frames):
            stamp = posed.frame.stamp_ns
            time = make['builtin_interfaces/msg/Time'](*divmod(stamp, 10**9))
            image = posed.frame.image
            header = make['std_msgs/msg/Header'](index, time, '/camera_optical')
            transform = _ros1_transform(make, posed.world_from_camera)
            messages = {
                '/camera/image_raw': make['sensor_msgs/msg/Image'](
                    header,
                    24,
                    32,
                    'mono8' if image.ndim == 2 else 'rgb8',
                    0,
                    image[0].size,
                    image.reshape(-1),
                ),
                '/camera/camera_info': make['sensor_msgs/msg/CameraInfo'](
                    header,
                    24,
                    32,
                    'plumb_bob',
                    np.zeros(5),
                    posed.frame.camera.matrix.reshape(-1),
                    np.eye(3).reshape(-1),
                    np.zeros(12),
                    0,
                    0,
                    make['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False),
                ),
                '/tf': make['tf2_msgs/msg/TFMessage'](
                    [
                        make['geometry_msgs/msg/TransformStamped'](
                            make['std_msgs/msg/Header'](index, time, '/map'),
                            '/camera_optical',
                            transform,
                        )
                    ]
                ),
            }
            for topic, message in messages.items():
                data = types.serialize_ros1(message, topics[topic].msgtype)
                bag.write(topics[topic], stamp, data)
    return path


def _ros1_transform(make, matrix):
    row = row_from_pose(matrix)
    return make['geometry_msgs/msg/Transform'](
        make['geometry_msgs/msg/Vector3'](*row[:3]), make['geometry_msgs/msg/Quaternion'](*row[3:])
    )
