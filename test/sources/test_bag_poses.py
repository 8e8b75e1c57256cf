# SPDX-License-Identifier: Apache-2.0
"""Whose poses a bag holds, at which stamps, and what is said where it does not tell."""

from __future__ import annotations

import numpy as np
import pytest
from bag_messages import path_message, stamped_transform
from source_frames import START_NS, STEP_NS, assert_same, pose, posed_frames
from test_bag import BASE_FROM_CAMERA, INFO, OPTICAL, write

from dsac_ros.errors import SourceError
from dsac_ros.sources.bag_writer import BagWriter
from dsac_ros.sources.open_source import open_source

CAMERA_FROM_BASE = np.linalg.inv(BASE_FROM_CAMERA)
LINK_FROM_OPTICAL = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], float)
STAMPED_KINDS = ('pose', 'pose_with_covariance', 'odometry')


def add_pose(bag, kind, stamp, world_from_x, world='map'):
    """A pose of a kind whose message does not say whose it is."""
    if kind == 'pose':
        bag.pose('/pose', world, stamp, world_from_x)
    elif kind == 'pose_with_covariance':
        bag.pose_with_covariance('/pose', world, stamp, world_from_x, np.eye(6))
    else:
        bag.odometry('/pose', world, '', stamp, world_from_x)


def write_with_frame(path, frames, frame, extra):
    """A bag whose images are of a frame with any name."""
    with BagWriter(path) as bag:
        for posed in frames:
            bag.camera_info(INFO, frame, posed.frame.stamp_ns, posed.frame.camera)
            bag.image('/camera/image_raw', frame, posed.frame.stamp_ns, posed.frame.image)
            extra(bag, posed)
    return path


def error_of(path, **options):
    with pytest.raises(SourceError) as caught:
        list(open_source(path, **options).posed_frames())
    assert '\n' not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize('kind', STAMPED_KINDS)
def test_a_pose_of_nobody_is_refused_if_tf_has_a_base(tmp_path, kind):
    expected = posed_frames(3)

    def of_base(bag, posed):
        stamp = posed.frame.stamp_ns
        bag.transform('base_link', OPTICAL, stamp, BASE_FROM_CAMERA, static=True)
        add_pose(bag, kind, stamp, posed.world_from_camera @ CAMERA_FROM_BASE)

    path = write(tmp_path / 'a', expected, tf='', extra=of_base)
    assert (
        'the poses of /pose do not say which frame they are of, and TF has camera_optical, '
        'base_link: name it with --pose-frame'
    ) in error_of(path)
    assert_same(list(open_source(path, pose_frame='base_link').posed_frames()), expected)
    as_camera = list(open_source(path, pose_frame=OPTICAL).posed_frames())
    assert not np.allclose(as_camera[0].world_from_camera, expected[0].world_from_camera)


@pytest.mark.parametrize('kind', STAMPED_KINDS)
def test_a_pose_of_nobody_without_tf_is_the_cameras(tmp_path, kind):
    expected = posed_frames(3)
    path = write(
        tmp_path / 'a',
        expected,
        tf='',
        extra=lambda bag, posed: add_pose(
            bag, kind, posed.frame.stamp_ns, posed.world_from_camera
        ),
    )
    source = open_source(path)
    assert_same(list(source.posed_frames()), expected)
    assert source.assumptions == [
        'the poses of /pose are those of the camera, as they name no '
        'frame and TF no other; --pose-frame names another'
    ]


def test_a_pose_of_nobody_where_tf_lacks_the_camera(tmp_path):
    expected = posed_frames(2)

    def of_base(bag, posed):
        bag.transform('odom', 'base_link', posed.frame.stamp_ns, np.eye(4))
        bag.pose('/pose', 'map', posed.frame.stamp_ns, posed.world_from_camera)

    path = write(tmp_path / 'a', expected, tf='', extra=of_base)
    assert (
        'do not say which frame they are of, and TF does not know camera_optical, the frames '
        'in it are base_link, odom: name it with --pose-frame'
    ) in error_of(path)
    assert_same(list(open_source(path, pose_frame=OPTICAL).posed_frames()), expected)


def test_tf_that_has_the_poses_says_whose_they_are(tmp_path):
    expected = posed_frames(4)

    def of_base(bag, posed):
        stamp, base = posed.frame.stamp_ns, posed.world_from_camera @ CAMERA_FROM_BASE
        bag.transform('base', OPTICAL, stamp, BASE_FROM_CAMERA, static=True)
        bag.transform('map', 'base', stamp, base)
        bag.pose('/pose', 'map', stamp, base)

    source = open_source(write(tmp_path / 'a', expected, tf='', extra=of_base), poses='/pose')
    assert_same(list(source.posed_frames()), expected)
    assert 'the poses of /pose are those of base, as TF says; ' in source.assumptions[0]


def test_commands_are_no_poses(tmp_path):
    expected = posed_frames(3)

    def more(bag, posed):
        stamp = posed.frame.stamp_ns
        bag.pose('/slam/pose', 'map', stamp, posed.world_from_camera)
        bag.pose('/goal_pose', 'map', stamp, np.eye(4))
        path_message(bag, '/plan', 'map', [(stamp, np.eye(4))])

    path = write(tmp_path / 'a', expected, tf='', extra=more)
    assert_same(list(open_source(path).posed_frames()), expected)


def test_an_image_of_a_body_means_its_optical_frame(tmp_path):
    expected = posed_frames(3)

    def tf(bag, posed):
        stamp = posed.frame.stamp_ns
        bag.transform('camera_link', OPTICAL, stamp, LINK_FROM_OPTICAL, static=True)
        bag.transform(
            'map', 'camera_link', stamp, posed.world_from_camera @ np.linalg.inv(LINK_FROM_OPTICAL)
        )

    source = open_source(write_with_frame(tmp_path / 'a', expected, 'camera_link', tf))
    assert_same(list(source.posed_frames()), expected)
    assert 'its optical frame camera_optical is taken' in source.assumptions[0]


def test_an_image_of_a_body_alone_is_refused(tmp_path):
    expected = posed_frames(3)
    path = write_with_frame(
        tmp_path / 'a',
        expected,
        'camera_link',
        lambda bag, posed: bag.transform(
            'map',
            'camera_link',
            posed.frame.stamp_ns,
            posed.world_from_camera @ np.linalg.inv(LINK_FROM_OPTICAL),
        ),
    )
    assert (
        'the images are of camera_link, by its name the body of a camera, and TF has no '
        'optical frame below it: give --pose-frame camera_link if its axes are x right, y '
        'down, z forward, or --image-frame camera_link_optical if they are x forward, y '
        'left, z up'
    ) in error_of(path)
    as_body = open_source(path, image_frame='camera_link_optical')
    assert_same(list(as_body.posed_frames()), expected)
    for option in ('pose_frame', 'image_frame'):
        as_optical = list(open_source(path, **{option: 'camera_link'}).posed_frames())
        np.testing.assert_allclose(
            as_optical[0].world_from_camera @ LINK_FROM_OPTICAL,
            expected[0].world_from_camera,
            atol=1e-9,
        )


def test_poses_of_a_base_and_images_of_a_body(tmp_path):
    expected = posed_frames(3)

    def tf(bag, posed):
        stamp = posed.frame.stamp_ns
        bag.transform('base', 'camera_link', stamp, np.eye(4), static=True)
        bag.odometry(
            '/odom',
            'map',
            'base',
            stamp,
            posed.world_from_camera @ np.linalg.inv(LINK_FROM_OPTICAL),
        )

    path = write_with_frame(tmp_path / 'a', expected, 'camera_link', tf)
    assert 'give --image-frame camera_link if' in error_of(path)
    source = open_source(path, image_frame='camera_link_optical')
    assert_same(list(source.posed_frames()), expected)


def test_a_body_with_two_optical_frames_asks_which(tmp_path):
    def tf(bag, posed):
        stamp = posed.frame.stamp_ns
        for side in ('left', 'right'):
            bag.transform('camera_link', f'{side}_optical', stamp, np.eye(4), static=True)
        bag.transform('map', 'camera_link', stamp, posed.world_from_camera)

    path = write_with_frame(tmp_path / 'a', posed_frames(2), 'camera_link', tf)
    assert (
        'camera_link, which has the optical frames left_optical, right_optical: name one '
        'with --pose-frame'
    ) in error_of(path)
    assert len(list(open_source(path, pose_frame='left_optical').posed_frames())) == 2


def test_a_frame_that_does_not_say_its_axes_is_told(tmp_path):
    expected = posed_frames(2)
    path = write_with_frame(
        tmp_path / 'a',
        expected,
        'cam0',
        lambda bag, posed: bag.transform(
            'map', 'cam0', posed.frame.stamp_ns, posed.world_from_camera
        ),
    )
    source = open_source(path)
    assert_same(list(source.posed_frames()), expected)
    assert 'the frame cam0 of the images is taken as optical' in source.assumptions[0]


def test_an_empty_frame_id_takes_the_one_optical_frame(tmp_path):
    expected = posed_frames(2)
    path = write_with_frame(
        tmp_path / 'a',
        expected,
        '',
        lambda bag, posed: bag.transform(
            'map', OPTICAL, posed.frame.stamp_ns, posed.world_from_camera
        ),
    )
    source = open_source(path)
    assert_same(list(source.posed_frames()), expected)
    assert 'the frame_id of the images is empty' in source.assumptions[0]


def test_an_empty_frame_id_names_what_helps(tmp_path):
    expected = posed_frames(2)
    path = write_with_frame(
        tmp_path / 'a',
        expected,
        '',
        lambda bag, posed: bag.transform(
            'map', 'cam', posed.frame.stamp_ns, posed.world_from_camera
        ),
    )
    assert (
        'the frame_id of the images is empty, the frames in it are cam, map: name that of '
        'the camera with --image-frame'
    ) in error_of(path, poses='tf:map')
    assert_same(list(open_source(path, image_frame='cam').posed_frames()), expected)


def test_a_frame_that_tf_lacks_names_what_helps(tmp_path):
    expected = posed_frames(2)
    path = write_with_frame(
        tmp_path / 'a',
        expected,
        'default_cam',
        lambda bag, posed: bag.transform(
            'map', 'base_link', posed.frame.stamp_ns, posed.world_from_camera
        ),
    )
    assert (
        'TF does not lead from default_cam to map and there is no topic of poses, the frames '
        'in it are base_link, map; the frame of the images is none of them: record '
        '/tf_static as well, or name another with --image-frame'
    ) in error_of(path)
    assert_same(list(open_source(path, image_frame='base_link').posed_frames()), expected)


def test_transforms_of_a_topic_are_poses(tmp_path):
    expected = posed_frames(3)

    def vicon(bag, posed):
        for child in (OPTICAL, 'robot'):
            stamped_transform(
                bag, '/vicon', 'world', child, posed.frame.stamp_ns, posed.world_from_camera
            )

    source = open_source(write(tmp_path / 'a', expected, tf='', extra=vicon))
    assert_same(list(source.posed_frames()), expected)
    assert source.map_frame == 'world'


def test_transforms_of_another_body_ask_for_the_frame(tmp_path):
    expected = posed_frames(3)
    path = write(
        tmp_path / 'a',
        expected,
        tf='',
        extra=lambda bag, posed: stamped_transform(
            bag, '/vicon', 'world', 'rig', posed.frame.stamp_ns, posed.world_from_camera
        ),
    )
    assert 'the poses are of rig and TF does not lead from there' in error_of(path)
    assert_same(list(open_source(path, pose_frame=OPTICAL).posed_frames()), expected)


def test_transforms_of_several_frames_ask_for_one(tmp_path):
    def two(bag, posed):
        for child in ('a', 'b'):
            stamped_transform(
                bag, '/vicon', 'world', child, posed.frame.stamp_ns, posed.world_from_camera
            )

    path = write(tmp_path / 'a', posed_frames(2), tf='', extra=two)
    assert (
        '/vicon holds poses of a in world, b in world, expected those of one frame: name it '
        'with --pose-frame'
    ) in error_of(path)


def test_the_longest_path_is_taken_and_told(tmp_path):
    expected = posed_frames(4)
    samples = [(p.frame.stamp_ns, p.world_from_camera) for p in expected]

    def path_so_far(bag, posed):
        index = int(posed.frame.name)
        kept = samples if index == 2 else samples[:index]
        if kept:
            path_message(bag, '/path', 'map', kept, posed.frame.stamp_ns)

    source = open_source(write(tmp_path / 'a', expected, tf='', extra=path_so_far))
    assert_same(list(source.posed_frames()), expected)
    assert 'those of its longest message, 4 of them' in source.assumptions[0]


def test_a_path_without_stamps_is_a_plan(tmp_path):
    def plan(bag, posed):
        path_message(bag, '/plan', 'map', [(0, np.eye(4)), (0, np.eye(4))], posed.frame.stamp_ns)

    path = write(tmp_path / 'a', posed_frames(2), tf='', extra=plan)
    assert 'the 2 poses of /plan have one stamp' in error_of(path)


def test_poses_without_rotation_are_told(tmp_path, monkeypatch):
    expected = posed_frames(3)
    path = tmp_path / 'a'
    monkeypatch.setattr(
        'dsac_ros.sources.bag_writer.row_from_pose',
        lambda matrix: (
            *matrix[:3, 3],
            0.0,
            0.0,
            0.0,
            float(matrix is expected[0].world_from_camera),
        ),
    )
    write(
        path,
        expected,
        tf='',
        extra=lambda bag, posed: bag.pose(
            '/pose', 'map', posed.frame.stamp_ns, posed.world_from_camera
        ),
    )
    source = open_source(path)
    assert len(list(source.posed_frames())) == 1
    assert source.assumptions[0].startswith('2 poses of /pose are not finite or have a quatern')
    monkeypatch.setattr('dsac_ros.sources.bag_writer.row_from_pose', lambda matrix: (0.0,) * 7)
    write(
        tmp_path / 'b',
        expected,
        tf='',
        extra=lambda bag, posed: bag.pose(
            '/pose', 'map', posed.frame.stamp_ns, posed.world_from_camera
        ),
    )
    assert 'not one of the 3 poses of /pose is finite' in error_of(tmp_path / 'b')


def test_a_gap_is_told_with_its_limit_and_option(tmp_path):
    frames = posed_frames(21)
    path = write(
        tmp_path / 'a',
        frames,
        tf='',
        extra=lambda bag, posed: (
            bag.pose('/pose', 'map', posed.frame.stamp_ns, posed.world_from_camera)
            if int(posed.frame.name) % 10 == 0
            else None
        ),
    )
    source = open_source(path)
    assert len(list(source.posed_frames())) == 3
    assert source.skipped == {
        'a stamp in a gap of the poses that is longer than 0.5 s (--max-gap SECONDS)': 18
    }
    assert len(list(open_source(path, max_gap_ns=10**9).posed_frames())) == 21


@pytest.mark.parametrize('topic', ['once', 'twice the same'])
def test_an_edge_that_never_changes_holds(tmp_path, topic):
    expected = posed_frames(9)

    def tf(bag, posed):
        stamp = posed.frame.stamp_ns
        if posed is expected[0] or (topic != 'once' and posed is expected[4]):
            bag.transform('map', 'odom', stamp + 3, pose(0, 0, 0, 0.1, 0, 0))
        bag.transform(
            'odom',
            OPTICAL,
            stamp,
            np.linalg.inv(pose(0, 0, 0, 0.1, 0, 0)) @ posed.world_from_camera,
        )

    source = open_source(write(tmp_path / 'a', expected, tf='', extra=tf))
    assert_same(list(source.posed_frames()), expected)
    assert source.assumptions == ['TF map <- odom never changes and is taken to hold throughout']


def test_other_clocks_are_told_and_the_recording_helps(tmp_path):
    expected = posed_frames(3)
    with BagWriter(tmp_path / 'a') as bag:
        for index, posed in enumerate(expected):
            stamp = START_NS + index * STEP_NS
            bag.transform('map', OPTICAL, stamp, posed.world_from_camera)
            bag.camera_info(INFO, OPTICAL, stamp, posed.frame.camera)
            image = posed.frame.image
            bag._write(
                '/camera/image_raw',
                'sensor_msgs/msg/Image',
                stamp,
                header=bag._header(OPTICAL, 12_000_000_000 + index * STEP_NS),
                height=24,
                width=32,
                encoding='rgb8' if image.ndim == 3 else 'mono8',
                is_bigendian=0,
                step=image[0].size,
                data=image.reshape(-1),
            )
    assert (
        '3 with a stamp outside of TF map <- camera_optical (the first image is of 12.000 s, '
        'the poses are of 1700000000.123 to 1700000000.323 s); images and poses are stamped '
        'by different clocks; --stamps recorded takes'
    ) in error_of(tmp_path / 'a')
    assert_same(list(open_source(tmp_path / 'a', recorded_time=True).posed_frames()), expected)


def test_stamps_of_zero_are_told(tmp_path):
    expected = posed_frames(2)
    with BagWriter(tmp_path / 'a') as bag:
        for posed in expected:
            bag.transform('map', OPTICAL, posed.frame.stamp_ns, posed.world_from_camera)
            bag.camera_info(INFO, OPTICAL, posed.frame.stamp_ns, posed.frame.camera)
            image = posed.frame.image
            bag._write(
                '/camera/image_raw',
                'sensor_msgs/msg/Image',
                posed.frame.stamp_ns,
                header=bag._header(OPTICAL, 0),
                height=24,
                width=32,
                is_bigendian=0,
                encoding='rgb8' if image.ndim == 3 else 'mono8',
                step=image[0].size,
                data=image.reshape(-1),
            )
    source = open_source(tmp_path / 'a')
    assert_same(list(source.posed_frames()), expected)
    assert source.assumptions == [
        'the stamps of /camera/image_raw are zero, and the times of recording are taken'
    ]


def test_transforms_that_contradict_are_told(tmp_path):
    expected = posed_frames(3)

    def two(bag, posed):
        if posed is expected[1]:
            bag.transform('elsewhere', OPTICAL, posed.frame.stamp_ns, np.eye(4))

    source = open_source(write(tmp_path / 'a', expected, extra=two))
    assert_same(list(source.posed_frames()), expected)
    assert source.assumptions == [
        'the TF frame camera_optical hangs from map, which more '
        'transforms say than that it hangs from elsewhere'
    ]


@pytest.mark.parametrize('has_tf', [True, False])
def test_odometry_of_a_body_is_carried_to_its_images(tmp_path, has_tf):
    expected = posed_frames(3)

    def odometry(bag, posed):
        stamp = posed.frame.stamp_ns
        if has_tf:
            bag.transform('camera_link', OPTICAL, stamp, LINK_FROM_OPTICAL, static=True)
        bag.odometry(
            '/odom',
            'odom',
            'camera_link',
            stamp,
            posed.world_from_camera @ np.linalg.inv(LINK_FROM_OPTICAL),
        )

    path = write_with_frame(tmp_path / 'a', expected, 'camera_link', odometry)
    if not has_tf:
        assert 'TF has no optical frame below it: give --image-frame camera_link' in error_of(path)
    source = open_source(path, image_frame=None if has_tf else 'camera_link_optical')
    assert_same(list(source.posed_frames()), expected)


def test_the_tf_of_another_robot_is_left_out_and_told(tmp_path, monkeypatch):
    expected = posed_frames(3)

    def two_robots(bag, posed):
        stamp = posed.frame.stamp_ns
        for robot, pose_of in (('r1', posed.world_from_camera), ('r2', np.eye(4))):
            monkeypatch.setattr(
                bag,
                '_write',
                lambda topic, *rest, robot=robot, **fields: BagWriter._write(
                    bag, f'/{robot}{topic}', *rest, **fields
                ),
            )
            bag.transform('map', OPTICAL, stamp, pose_of)
        monkeypatch.undo()

    path = write(
        tmp_path / 'a',
        expected,
        tf='',
        image='/r1/image',
        info='/r1/camera_info',
        extra=two_robots,
    )
    source = open_source(path)
    assert_same(list(source.posed_frames()), expected)
    assert source.unread == ['/r2/tf is the TF of another robot than that of /r1/image']
