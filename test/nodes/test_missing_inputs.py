# SPDX-License-Identifier: Apache-2.0
"""The sentence for a topic that brings nothing: cause first, then arguments to copy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsac_ros.nodes.missing_inputs import (
    COMPRESSED_IMAGE,
    IMAGE,
    Input,
    Publisher,
    explain,
    incompatible,
    mixed,
)

INFO = 'sensor_msgs/msg/CameraInfo'
ODOMETRY = 'nav_msgs/msg/Odometry'
STAMPED = 'geometry_msgs/msg/PoseStamped'
TF = 'tf2_msgs/msg/TFMessage'


def images(topic='/image', transport='raw'):
    kinds = {'raw': IMAGE, 'compressed': COMPRESSED_IMAGE}
    other = {'raw': 'compressed', 'compressed': 'raw'}[transport]
    return Input(
        'images', 'image', topic, kinds[transport], {kinds[other]: f'image_transport:={other}'}
    )


def test_what_can_take_the_place_of_a_topic():
    wanted = replace(infos(), otherwise='a driver without it takes a calibration file')
    assert explain(wanted, []).endswith('? A driver without it takes a calibration file')
    assert 'calibration' not in explain(infos(), [])


def test_a_named_camera_has_no_launch_argument():
    wanted = replace(images('/left/image'), name='left/image', launch_name=None)
    assert explain(wanted, [RAW]).endswith('start with -r left/image:=/camera/image_raw')


def infos(topic='/camera_info', beside='/image'):
    return Input('camera_info', 'camera_info', topic, INFO, beside=beside)


RAW = Publisher('/cam', '/camera/image_raw', IMAGE)
JPEG = Publisher('/cam', '/camera/image_raw/compressed', COMPRESSED_IMAGE)


@pytest.mark.parametrize(
    ('wanted', 'publishers', 'expected'),
    [
        (
            images(),
            [RAW],
            'nobody publishes it; images found on /camera/image_raw (by /cam): start '
            'with -r image:=/camera/image_raw (ros2 launch: image:=/camera/image_raw)',
        ),
        (
            images('/camera/image_raw'),
            [JPEG],
            'nobody publishes it; images found on /camera/image_raw/compressed (by /cam): start with '
            '-p image_transport:=compressed (ros2 launch: image_transport:=compressed)',
        ),
        (
            images(),
            [JPEG],
            'start with -r image:=/camera/image_raw -p image_transport:=compressed '
            '(ros2 launch: image:=/camera/image_raw image_transport:=compressed)',
        ),
        (
            images('/camera/image_raw/compressed', 'compressed'),
            [RAW],
            'start with -p image_transport:=raw (ros2 launch: image_transport:=raw)',
        ),
        (
            images('/camera/image_raw/compressed'),
            [JPEG],
            '/cam publishes it as sensor_msgs/msg/CompressedImage, expected sensor_msgs/msg/Image: start '
            'with -r image:=/camera/image_raw -p image_transport:=compressed',
        ),
        (
            images('/cam/jpeg'),
            [Publisher('/web', '/cam/jpeg', COMPRESSED_IMAGE)],
            'start with -r image/compressed:=/cam/jpeg -p image_transport:=compressed',
        ),
        (
            images('/scan'),
            [Publisher('/lidar', '/scan', 'sensor_msgs/msg/LaserScan')],
            '/lidar publishes it as sensor_msgs/msg/LaserScan, expected sensor_msgs/msg/Image: remap '
            'image to a topic of that type',
        ),
        (
            images('/camera/image_raw'),
            [RAW],
            '/cam publishes it but sends nothing: check with `ros2 topic hz /camera/image_raw`',
        ),
        (
            images('/camera/image_raw'),
            [RAW, JPEG],
            'large images get lost on networks, image_transport:=compressed needs less',
        ),
        (
            images('/a'),
            [Publisher('/b', '/a/theora', 'theora_image_transport/msg/Packet')],
            '/b publishes /a/theora (theora_image_transport/msg/Packet), which this node does not read: '
            'have it republished as raw',
        ),
        (
            Input('depth images', 'depth/image', '/depth/image', IMAGE),
            [
                Publisher('/cam', '/depth/image', IMAGE),
                Publisher('/cam', '/depth/image/compressed', COMPRESSED_IMAGE),
            ],
            '/cam publishes it but sends nothing: check with `ros2 topic hz /depth/image`',
        ),
        (
            images(),
            [],
            'nor images on any other topic: is its node running, on this network and with '
            'the same ROS_DOMAIN_ID (7)?',
        ),
        (
            images(),
            [Publisher('_NODE_NAMESPACE_UNKNOWN_/_NODE_NAME_UNKNOWN_', '/x', IMAGE)],
            'images found on /x (by an unnamed node)',
        ),
        (
            infos(),
            [Publisher('/cam', '/robot/camera_info', INFO)],
            'start with -r camera_info:=/robot/camera_info (ros2 launch: camera_info:=/robot/',
        ),
        (
            Input('poses', 'pose', '/odom', STAMPED, {ODOMETRY: 'pose_source:=odometry'}),
            [Publisher('/ekf', '/odom', ODOMETRY)],
            'start with -p pose_source:=odometry',
        ),
        (
            Input('depth images', 'depth/image', '/depth/image', IMAGE, launch_name='depth'),
            [Publisher('/cam', '/cam/depth', IMAGE)],
            'start with -r depth/image:=/cam/depth (ros2 launch: depth:=/cam/depth)',
        ),
        (
            Input('transforms', '/tf', '/tf', TF, launch_name=None),
            [Publisher('/rsp', '/robot1/tf', TF)],
            'start with -r /tf:=/robot1/tf',
        ),
    ],
)
def test_what_is_missing_and_what_helps(monkeypatch, wanted, publishers, expected):
    monkeypatch.setenv('ROS_DOMAIN_ID', '7')
    text = explain(wanted, publishers)
    assert expected in text, text


def test_no_argument_for_what_no_launch_file_takes():
    wanted = Input('transforms', '/tf', '/tf', TF, launch_name=None)
    assert 'ros2 launch' not in explain(wanted, [Publisher('/a', '/b/tf', TF)])


@pytest.mark.parametrize(
    ('wanted', 'topics', 'first'),
    [
        (images('/image_raw'), ['/depth/image_raw', '/camera/image_raw'], '/camera/image_raw'),
        (images('/image_raw'), ['/a/image', '/robot1/image_raw'], '/robot1/image_raw'),
        (images(), ['/dsac_relocalizer/debug/image', '/usb_cam/image'], '/usb_cam/image'),
        (
            Input('depth images', 'depth/image', '/depth/image', IMAGE),
            ['/cam/color', '/cam/aligned_depth'],
            '/cam/aligned_depth',
        ),
        (
            infos(beside='/camera/color/image_raw'),
            ['/camera/aligned/info', '/camera/color/info'],
            '/camera/color/info',
        ),
    ],
)
def test_the_likeliest_topic_comes_first(wanted, topics, first):
    text = explain(wanted, [Publisher('/n', topic, wanted.kind) for topic in topics])
    assert f'-r {wanted.name}:={first} ' in text and all(topic in text for topic in topics)


def test_many_topics_are_not_all_named():
    text = explain(images(), [Publisher('/n', f'/cam{n}/image', IMAGE) for n in range(9)])
    assert text.count('(by /n)') == 3 and 'and 6 more' in text


@pytest.mark.parametrize(
    ('qos', 'expected'),
    [
        (dict(reliable=False, latched=True), 'as best effort, expected reliable'),
        (dict(latched=False), 'as volatile, expected transient local'),
        (
            dict(reliable=False),
            'as best effort and volatile, expected reliable and transient local',
        ),
        (dict(latched=True), ''),
    ],
)
def test_a_publisher_whose_qos_does_not_match(qos, expected):
    wanted = Input(
        'static transforms', '/tf_static', '/tf_static', TF, reliable=True, latched=True
    )
    publisher = replace(Publisher('/player', '/tf_static', TF), **qos)
    text = incompatible(wanted, [publisher])
    assert expected in text and bool(text) == bool(expected)
    assert not text or '--qos-profile-overrides-path' in text


def test_two_cameras_on_one_topic():
    two = [replace(RAW, node=node) for node in ('/left', '/right')]
    assert '2 publishers on /camera/image_raw (/left, /right)' in mixed(
        images('/camera/image_raw'), [*two, JPEG]
    )
    assert not mixed(images('/camera/image_raw'), two[:1])
