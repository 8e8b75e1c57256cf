# SPDX-License-Identifier: Apache-2.0
"""Bags that are written here and read back: topics, poses, intrinsics, depth."""

from __future__ import annotations

import numpy as np
import pytest
from bag_messages import write_ros1
from source_frames import LENS, START_NS, STEP_NS, assert_same, camera, pose, posed_frames

from dsac_ros.errors import CameraError, ImageError, SourceError
from dsac_ros.geometry.camera import camera_from_info
from dsac_ros.sources.bag_writer import BagWriter
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.trajectory_files import write_tum
from dsac_ros.types import Camera

IMAGE, INFO, OPTICAL = '/camera/image_raw', '/camera/camera_info', 'camera_optical'
BASE_FROM_CAMERA = pose(0.2, 0.0, 0.4, -1.2, 1.2, -1.2)


def write(path, frames, *, storage='mcap', tf='map', image=IMAGE, info=INFO, extra=None):
    """A bag of frames; `tf` '' leaves the poses out, `extra(bag, posed)` writes more."""
    with BagWriter(path, storage) as bag:
        for posed in frames:
            stamp = posed.frame.stamp_ns
            if tf:
                bag.transform(tf, OPTICAL, stamp, posed.world_from_camera)
            if info:
                bag.camera_info(info, OPTICAL, stamp, posed.frame.camera)
            if image:
                bag.image(image, OPTICAL, stamp, posed.frame.image)
            if extra:
                extra(bag, posed)
    return path


@pytest.mark.parametrize(
    'name, storage', [('a', 'mcap'), ('a', 'sqlite3'), ('a.mcap', 'mcap'), ('a.db3', 'sqlite3')]
)
def test_what_is_written_is_read_back(tmp_path, name, storage):
    expected = posed_frames(lens=LENS)
    source = open_source(write(tmp_path / name, expected, storage=storage))
    assert (source.kind, len(source), source.has_stamps) == ('bag', 5, True)
    for _ in range(2):
        assert_same(list(source.posed_frames()), expected)
    assert len(list(source.frames())) == 5 and source.skipped == {}
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_two_passes_at_once_do_not_disturb_each_other(tmp_path):
    expected = posed_frames()
    source = open_source(write(tmp_path / 'a', expected))
    pairs = list(zip(source.posed_frames(), source.posed_frames()))
    assert_same([a for a, _ in pairs], expected)
    assert_same([b for _, b in pairs], expected)


def test_a_bag_that_fails_half_way_is_not_there(tmp_path):
    with pytest.raises(KeyboardInterrupt), BagWriter(tmp_path / 'a') as bag:
        bag.transform('map', OPTICAL, START_NS, np.eye(4))
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_stride(tmp_path):
    expected = posed_frames()
    source = open_source(write(tmp_path / 'a', expected), stride=2)
    assert len(source) == 3
    assert_same(list(source.posed_frames()), expected[::2])


def test_poses_through_a_moving_base(tmp_path):
    frames = posed_frames(11)

    def base_tf(bag, posed):
        stamp = posed.frame.stamp_ns
        bag.transform('map', 'odom', stamp + 13, pose(0.1, 0, 0, 0, 0, 0))
        bag.transform('odom', 'base', stamp + STEP_NS // 2, posed.world_from_camera)
        if stamp == START_NS:
            bag.transform('base', OPTICAL, stamp, BASE_FROM_CAMERA, static=True)

    source = open_source(write(tmp_path / 'a', frames, tf='', extra=base_tf))
    found = list(source.posed_frames())
    assert source.map_frame == 'map' and len(found) == 10
    assert source.skipped == {'a stamp outside of TF odom <- base': 1}
    # Base poses lie half a step beside the images, so the image sees the middle of two of them.
    middle = 0.5 * (frames[3].world_from_camera + frames[4].world_from_camera)[:3, 3]
    base = found[3].world_from_camera @ np.linalg.inv(BASE_FROM_CAMERA)
    np.testing.assert_allclose(base[:3, 3], middle + [0.1, 0, 0], atol=1e-9)


def test_another_fixed_frame_may_be_named(tmp_path):
    expected = posed_frames(3)
    path = write(tmp_path / 'a', expected, tf='odom')
    source = open_source(path, poses='tf:odom')
    assert_same(list(source.posed_frames()), expected)
    assert source.map_frame == 'odom'
    with pytest.raises(
        SourceError,
        match=r'does not lead from camera_optical to map.*the frames '
        'in it are camera_optical, odom; name the fixed one, '
        'for example --poses tf:odom',
    ):
        list(open_source(path).posed_frames())
    with pytest.raises(SourceError, match='to earth, the frames in it are camera_optical, odom'):
        list(open_source(path, poses='tf:earth').posed_frames())
    assert len(list(open_source(path).frames())) == 3


@pytest.mark.parametrize('kind', ['pose', 'pose_with_covariance', 'odometry'])
@pytest.mark.parametrize('named', [None, '/truth'])
def test_poses_of_a_topic(tmp_path, kind, named):
    expected = posed_frames()

    def truth(bag, posed):
        arguments = {
            'pose': ('hall', posed.frame.stamp_ns, posed.world_from_camera),
            'pose_with_covariance': (
                'hall',
                posed.frame.stamp_ns,
                posed.world_from_camera,
                np.eye(6),
            ),
            'odometry': ('hall', OPTICAL, posed.frame.stamp_ns, posed.world_from_camera),
        }
        getattr(bag, kind)('/truth', *arguments[kind])

    source = open_source(write(tmp_path / 'a', expected, tf='', extra=truth), poses=named)
    assert_same(list(source.posed_frames()), expected)
    assert source.map_frame == 'hall'


@pytest.mark.parametrize('kind', ['odometry', 'pose'])
def test_poses_of_the_base_are_carried_to_the_camera(tmp_path, kind):
    expected = posed_frames(3)

    def of_base(bag, posed):
        stamp = posed.frame.stamp_ns
        base = posed.world_from_camera @ np.linalg.inv(BASE_FROM_CAMERA)
        bag.transform('base', OPTICAL, stamp, BASE_FROM_CAMERA, static=True)
        if kind == 'odometry':
            bag.odometry('/odom', 'odom', 'base', stamp, base)
        else:
            bag.pose('/odom', 'odom', stamp, base)

    path = write(tmp_path / 'a', expected, tf='', extra=of_base)
    source = open_source(path, pose_frame=None if kind == 'odometry' else 'base')
    assert_same(list(source.posed_frames()), expected)


def test_odometry_of_a_frame_that_tf_does_not_know(tmp_path):
    def of_base(bag, posed):
        bag.odometry('/odom', 'odom', 'base', posed.frame.stamp_ns, posed.world_from_camera)

    path = write(tmp_path / 'a', posed_frames(2), tf='', extra=of_base)
    with pytest.raises(
        SourceError,
        match='poses are of base and TF does not lead from there to '
        'camera_optical, there is no TF; record /tf_static as '
        'well, or name the frame that they are of with '
        '--pose-frame',
    ):
        list(open_source(path).posed_frames())
    assert len(list(open_source(path, pose_frame=OPTICAL).posed_frames())) == 2


def test_several_topics_of_poses_are_listed(tmp_path):
    def two(bag, posed):
        for topic in ('/a', '/b'):
            bag.pose(topic, 'map', posed.frame.stamp_ns, posed.world_from_camera)

    path = write(tmp_path / 'a', posed_frames(2), tf='', extra=two)
    with pytest.raises(SourceError, match='2 topics of poses: name one of /a, /b'):
        list(open_source(path).posed_frames())
    with pytest.raises(SourceError, match=r"no poses at '/c', expected .* a topic: /a, /b"):
        list(open_source(path, poses='/c').posed_frames())
    with pytest.raises(SourceError, match='image_raw is sensor_msgs/msg/Image, expected poses'):
        list(open_source(path, poses=IMAGE).posed_frames())


def test_poses_of_a_file(tmp_path):
    expected = posed_frames()
    path = write(tmp_path / 'a', expected, tf='')
    write_tum(
        tmp_path / 'a.tum',
        [p.frame.stamp_ns for p in expected],
        [p.world_from_camera for p in expected],
    )
    source = open_source(path, poses=str(tmp_path / 'a.tum'))
    found = list(source.posed_frames())
    np.testing.assert_allclose(
        [p.world_from_camera for p in found], [p.world_from_camera for p in expected], atol=1e-8
    )


def test_no_poses_at_all(tmp_path):
    path = write(tmp_path / 'a', posed_frames(2), tf='')
    with pytest.raises(SourceError, match='no topic of poses; give a TUM file'):
        list(open_source(path).posed_frames())


def test_a_nan_pose_is_skipped_and_counted(tmp_path):
    frames = posed_frames(4)
    frames[2].world_from_camera[0, 3] = np.nan
    source = open_source(write(tmp_path / 'a', frames), max_gap_ns=STEP_NS)
    assert len(list(source.posed_frames())) == 3
    assert source.skipped == {
        'a stamp in a gap of TF map <- camera_optical that is longer than '
        '0.1 s (--max-gap SECONDS)': 1
    }


def test_compressed_images_are_found_by_plain_name(tmp_path):
    expected = posed_frames(2)

    def compressed(bag, posed):
        bag.compressed_image(
            f'{IMAGE}/compressed', OPTICAL, posed.frame.stamp_ns, posed.frame.image, kind='png'
        )

    path = write(tmp_path / 'a', expected, image='', extra=compressed)
    for topic in (None, IMAGE, f'{IMAGE}/compressed'):
        assert_same(list(open_source(path, image_topic=topic).posed_frames()), expected)


def test_two_cameras_ask_which(tmp_path):
    def right(bag, posed):
        bag.image('/right/image_raw', 'right', posed.frame.stamp_ns, posed.frame.image)

    path = write(tmp_path / 'a', posed_frames(2), extra=right)
    with pytest.raises(SourceError, match=r'has 2 cameras.*: /camera/image_raw, /right/image_raw'):
        open_source(path)
    with pytest.raises(SourceError, match=r"no image topic '/left', .*: /camera/image_raw, /"):
        open_source(path, image_topic='/left')
    assert len(open_source(path, image_topic=IMAGE)) == 2


def test_depth_is_joined_by_stamp(tmp_path):
    expected = posed_frames(4, depth=True)

    def aligned(bag, posed):
        if posed is not expected[2]:
            bag.depth(
                '/camera/aligned_depth_to_color/image_raw',
                OPTICAL,
                posed.frame.stamp_ns + 5_000_000,
                posed.frame.depth,
            )

    path = write(tmp_path / 'a', expected, extra=aligned)
    depths = [p.frame.depth for p in open_source(path).posed_frames()]
    assert [d is None for d in depths] == [False, False, True, False]
    np.testing.assert_allclose(depths[3], expected[3].frame.depth, atol=5e-4)
    assert next(open_source(path, depth='off').frames()).depth is None
    with pytest.raises(SourceError, match="no depth topic '/depth'"):
        open_source(path, depth='/depth')


def test_images_with_unusable_depth_stay_without_it(tmp_path):
    """The missing depth is counted."""
    expected = posed_frames(3, depth=True)

    def aligned(bag, posed):
        topic, stamp = '/camera/aligned_depth_to_color/image_raw', posed.frame.stamp_ns
        if posed is expected[1]:
            bag.image(topic, OPTICAL, stamp, posed.frame.image)
        else:
            bag.depth(topic, OPTICAL, stamp, posed.frame.depth)

    source = open_source(write(tmp_path / 'a', expected, extra=aligned))
    assert [p.frame.depth is None for p in source.posed_frames()] == [False, True, False]
    assert source.missing == {
        "depth that is of no use: unknown depth encoding 'mono8', expected "
        'one of 16UC1, mono16, 16SC1, 32FC1, 64FC1': 1
    }
    assert not source.skipped


def test_the_intrinsics_that_hold_at_the_stamp(tmp_path):
    frames = posed_frames(4)
    zoomed = camera_from_info((32, 24), (80, 0, 15.5, 0, 80, 11.5, 0, 0, 1))
    with BagWriter(tmp_path / 'a') as bag:
        for index, posed in enumerate(frames):
            stamp = posed.frame.stamp_ns
            bag.image(IMAGE, OPTICAL, stamp, posed.frame.image)  # before its camera_info
            bag.camera_info(INFO, OPTICAL, stamp, zoomed if index >= 2 else camera())
    found = [f.camera.matrix[0, 0] for f in open_source(tmp_path / 'a').frames()]
    assert found == [50, 50, 80, 80]


def test_a_rectified_image_has_no_distortion(tmp_path):
    path = write(tmp_path / 'a', posed_frames(1, lens=LENS), image='/camera/image_rect')
    assert next(open_source(path).frames()).camera.model == 'pinhole'


@pytest.mark.parametrize('fx, message', [(0.0, 'fx = 0'), (float('nan'), 'NaN')])
def test_bad_intrinsics_name_the_topic(tmp_path, fx, message):
    bad = Camera((32, 24), np.array([[fx, 0, 15], [0, 50, 11], [0, 0, 1]]))
    with BagWriter(tmp_path / 'a') as bag:
        bag.camera_info(INFO, OPTICAL, START_NS, bad)
        bag.image(IMAGE, OPTICAL, START_NS, np.zeros((24, 32), np.uint8))
    with pytest.raises(CameraError, match=f'{INFO}: .*{message}'):
        list(open_source(tmp_path / 'a').frames())


def test_intrinsics_of_another_size(tmp_path):
    frames = posed_frames(1)
    with BagWriter(tmp_path / 'a') as bag:
        bag.camera_info(INFO, OPTICAL, START_NS, frames[0].frame.camera)
        bag.image(IMAGE, OPTICAL, START_NS, np.zeros((48, 64), np.uint8))
    with pytest.raises(CameraError, match='image is 64x48 but its calibration is for 32x24'):
        list(open_source(tmp_path / 'a').frames())


def test_a_calibration_file_stands_in_for_camera_info(tmp_path):
    path = write(tmp_path / 'a', posed_frames(2), info='')
    with pytest.raises(SourceError, match=r'no camera_info /camera/camera_info.*: none'):
        open_source(path)
    (tmp_path / 'focal.txt').write_text('60')
    found = list(open_source(path, info_topic=str(tmp_path / 'focal.txt')).posed_frames())
    assert found[0].frame.camera.matrix[0, 0] == 60
    assert next(open_source(path, focal=70.0).frames()).camera.matrix[0, 0] == 70


def test_an_unknown_encoding_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(
        __import__('dsac_ros.sources.bag_writer', fromlist=['x']).IMAGE_ENCODINGS, 3, 'purple12'
    )
    path = write(tmp_path / 'a', posed_frames(1))
    with pytest.raises(ImageError, match=r"unknown image encoding 'purple12', expected one"):
        list(open_source(path).frames())


@pytest.mark.parametrize('name', ['a.mcap', 'a.db3'])
@pytest.mark.parametrize('share', [0.0, 0.3, 0.95])
def test_a_bag_that_was_cut_short_is_one_line(tmp_path, name, share):
    path = write(tmp_path / name, posed_frames(20))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SourceError, match='cannot be read as a bag') as caught:
        list(open_source(path).posed_frames())
    assert '\n' not in str(caught.value)


def test_a_recording_that_was_killed_has_no_metadata(tmp_path):
    expected = posed_frames(3)
    path = write(tmp_path / 'a', expected, storage='sqlite3')
    (path / 'metadata.yaml').unlink()
    assert_same(list(open_source(path).posed_frames()), expected)


def test_a_folder_of_several_bags_asks_which(tmp_path):
    for name in ('one.mcap', 'two.mcap'):
        write(tmp_path / name, posed_frames(1))
    with pytest.raises(SourceError, match=r'several bags: name one of .*one\.mcap, .*two\.mcap'):
        open_source(tmp_path)
    (tmp_path / 'one.mcap').rename(tmp_path / 'two_1.mcap')
    assert len(open_source(tmp_path)) == 2


def test_the_profiles_that_ros2_bag_play_offers(tmp_path):
    from rosbags.highlevel import AnyReader
    from rosbags.interfaces import QosDurability, QosReliability

    with BagWriter(tmp_path / 'a') as bag:
        bag.transform('base', OPTICAL, START_NS, np.eye(4), static=True)
        bag.transform('map', 'base', START_NS, np.eye(4))
        bag.odometry('/odom', 'odom', 'base', START_NS, np.eye(4))
    with AnyReader([tmp_path / 'a']) as reader:
        offered = {c.topic: c.ext.offered_qos_profiles[0] for c in reader.connections}
    assert offered['/tf_static'].durability == QosDurability.TRANSIENT_LOCAL
    assert offered['/tf'].durability == QosDurability.VOLATILE
    assert {q.reliability for q in offered.values()} == {QosReliability.RELIABLE}


def test_rosbag_1_is_read(tmp_path):
    expected = posed_frames(3)
    assert_same(
        list(open_source(write_ros1(tmp_path / 'a.bag', expected)).posed_frames()), expected
    )
