# SPDX-License-Identifier: Apache-2.0
"""Files of bags as recorders leave them, packed, misnamed, foreign or broken."""

from __future__ import annotations

import bz2
import gc
import gzip
import lzma
import sqlite3
import struct
import tempfile

import lz4.frame
import numpy as np
import pytest
from bag_messages import compressed_message, write_ros1
from mcap_files import mcap_bytes, stored_messages, zstd
from source_frames import assert_same, posed_frames
from test_bag import IMAGE, INFO, OPTICAL, write

from dsac_ros.errors import SourceError
from dsac_ros.sources import bag_storage
from dsac_ros.sources.bag_file import BagFile
from dsac_ros.sources.bag_writer import BagWriter
from dsac_ros.sources.message_types import message_types
from dsac_ros.sources.open_source import open_source

FRAMES = posed_frames(3)


def error_of(path):
    with pytest.raises(SourceError) as caught:
        list(open_source(path).posed_frames())
    assert '\n' not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def messages(tmp_path):
    """The messages of a bag of FRAMES."""
    return stored_messages(BagFile(write(tmp_path / 'original.mcap', FRAMES)))


@pytest.mark.parametrize('chunk, compression', [(0, ''), (2, ''), (4, 'zstd'), (100, 'lz4')])
@pytest.mark.parametrize(
    'missing',
    [
        {},
        {'message_index': False},
        {'chunk_index': False},
        {'statistics': False},
        {'statistics': False, 'message_index': False},
        {'summary': False},
    ],
)
def test_an_mcap_whatever_index_it_has(tmp_path, messages, chunk, compression, missing):
    path = tmp_path / 'a.mcap'
    path.write_bytes(mcap_bytes(messages, chunk=chunk, compression=compression, **missing))
    source = open_source(path)
    assert len(source) == 3
    assert_same(list(source.posed_frames()), FRAMES)


@pytest.mark.parametrize('options', [{}, {'chunk': 2}, {'chunk': 2, 'message_index': False}])
def test_an_mcap_out_of_order_is_read_in_order(tmp_path, messages, options):
    path = tmp_path / 'a.mcap'
    path.write_bytes(mcap_bytes(messages[::-1], **options))
    stamps = [message.log_ns for message in BagFile(path).messages([IMAGE])]
    assert stamps == [p.frame.stamp_ns for p in FRAMES]


@pytest.mark.parametrize('profile', ['', 'ros2', 'my_robot'])
def test_an_mcap_of_any_profile(tmp_path, messages, profile):
    path = tmp_path / 'a.mcap'
    extra = [('/protobuf', 'foxglove.Log', 'protobuf', 'protobuf')]
    path.write_bytes(mcap_bytes(messages, profile=profile, extra_channels=extra))
    assert_same(list(open_source(path).posed_frames()), FRAMES)


def test_an_mcap_of_ros1(tmp_path):
    bag = BagFile(write_ros1(tmp_path / 'a.bag', FRAMES))
    old = [
        (topic, kind.replace('/msg/', '/'), stamp, data)
        for topic, kind, stamp, data in stored_messages(bag)
    ]
    (tmp_path / 'a.mcap').write_bytes(mcap_bytes(old, profile='ros1', encoding='ros1'))
    assert_same(list(open_source(tmp_path / 'a.mcap').posed_frames()), FRAMES)


PACKERS = {
    '.zstd': zstd.compress,
    '.zst': zstd.compress,
    '.gz': gzip.compress,
    '.bz2': bz2.compress,
    '.xz': lzma.compress,
    '.lz4': lz4.frame.compress,
}


@pytest.mark.parametrize(
    'suffix, packed',
    [
        ('.mcap', '.zstd'),
        ('.db3', '.zstd'),
        ('.mcap', '.zst'),
        ('.db3', '.gz'),
        ('.bag', '.bz2'),
        ('.mcap', '.xz'),
        ('.bag', '.lz4'),
    ],
)
def test_a_packed_file_is_unpacked_and_removed(tmp_path, monkeypatch, suffix, packed):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'temporary'))
    (tmp_path / 'temporary').mkdir()
    plain = tmp_path / f'plain{suffix}'
    if suffix == '.bag':
        write_ros1(plain, FRAMES)
    else:
        write(plain, FRAMES)
    path = tmp_path / f'a{suffix}{packed}'
    path.write_bytes(PACKERS[packed](plain.read_bytes()))
    source = open_source(path)
    assert_same(list(source.posed_frames()), FRAMES)
    assert list((tmp_path / 'temporary').iterdir())
    del source
    gc.collect()
    assert not list((tmp_path / 'temporary').iterdir())


def test_a_folder_of_packed_files(tmp_path):
    path = write(tmp_path / 'a', FRAMES)
    (file,) = path.glob('*.mcap')
    (path / f'{file.name}.zstd').write_bytes(zstd.compress(file.read_bytes()))
    file.unlink()
    about = (path / 'metadata.yaml').read_text().replace('.mcap', '.mcap.zstd')
    (path / 'metadata.yaml').write_text(about)
    assert_same(list(open_source(path).posed_frames()), FRAMES)
    (path / 'metadata.yaml').unlink()
    assert_same(list(open_source(path).posed_frames()), FRAMES)


def test_messages_that_are_packed_one_by_one(tmp_path, messages):
    packed = [(topic, kind, stamp, zstd.compress(data)) for topic, kind, stamp, data in messages]
    (tmp_path / 'a.mcap').write_bytes(mcap_bytes(packed))
    assert_same(list(open_source(tmp_path / 'a.mcap').posed_frames()), FRAMES)


def test_unpacking_leaves_room_on_the_disk(tmp_path, monkeypatch):
    path = tmp_path / 'a.mcap.zstd'
    path.write_bytes(zstd.compress(write(tmp_path / 'a.mcap', FRAMES).read_bytes()))
    monkeypatch.setattr(bag_storage, 'SPARE_BYTES', 1 << 60)
    assert 'does not fit into' in error_of(path) and 'TMPDIR' in error_of(path)


def test_a_packed_file_that_was_cut_short(tmp_path):
    path = tmp_path / 'a.mcap.gz'
    path.write_bytes(gzip.compress(write(tmp_path / 'a.mcap', FRAMES).read_bytes())[:-30])
    assert 'a.mcap.gz cannot be unpacked (EOFError' in error_of(path)


@pytest.mark.parametrize('name', ['a.db3', 'a.bag', 'a.MCAP'])
def test_an_mcap_by_another_name(tmp_path, name):
    path = write(tmp_path / 'a.mcap', FRAMES).rename(tmp_path / name)
    assert_same(list(open_source(path).posed_frames()), FRAMES)


@pytest.mark.parametrize('name', ['a#1.db3', 'a?x=1.db3', '50%20.db3'])
def test_a_database_whose_name_looks_like_a_uri(tmp_path, name):
    path = write(tmp_path / 'a.db3', FRAMES).rename(tmp_path / name)
    assert_same(list(open_source(path).posed_frames()), FRAMES)


@pytest.mark.parametrize(
    'data, what',
    [
        (b'', 'it is an empty file; copy or record it again'),
        (b'\0' * 5000, 'it holds zeros alone; copy'),
        (b'<!DOCTYPE html><html>', 'it is a web page; download the file itself'),
        (b'\n<html>', 'it is a web page'),
        (b'version https://git-lfs.github.com/spec/v1\n', 'Git LFS; run `git lfs pull`'),
        (b'PK\x03\x04aaaa', 'it is an archive; unpack it'),
        (b'a' * 257 + b'ustar\0', 'it is an archive'),
        (b'#ROSBAG V2.0\r\n', 'its line ends were changed; copy it again as binary'),
        (b'\x89MCAP1\r\n', 'it is of a newer version; convert it'),
        (b'#ROSBAG V1.2\n', 'version 1 of rosbag; bring it to 2.0 by `rosbag fix`'),
        (b'Salted__abcdefgh', 'it is encrypted; decrypt it'),
        (b'\xc3\x1f\x9aqqqqqq', 'as no bag does; expected an .mcap, .db3 or .bag that is whole'),
    ],
)
@pytest.mark.parametrize('name', ['a.mcap', 'a.db3', 'a.bag'])
def test_a_file_that_is_no_bag_says_what_it_is(tmp_path, name, data, what):
    (tmp_path / name).write_bytes(data)
    assert what in error_of(tmp_path / name)


def test_an_archive_that_was_packed(tmp_path):
    (tmp_path / 'a.bag.gz').write_bytes(gzip.compress(b'a' * 257 + b'ustar\0'))
    assert 'it is an archive; unpack it' in error_of(tmp_path / 'a.bag.gz')


def test_a_database_of_something_else(tmp_path):
    with sqlite3.connect(tmp_path / 'a.db3') as database:
        database.execute('CREATE TABLE phones (number TEXT)')
    database.close()
    assert 'it is a database, but not one of rosbag2: name another' in error_of(tmp_path / 'a.db3')


def test_a_database_with_a_log_that_was_not_merged(tmp_path):
    path = write(tmp_path / 'a.db3', FRAMES)
    (tmp_path / 'a.db3-wal').write_bytes(b'x' * 100)
    assert 'not merged: do so by `sqlite3' in error_of(path)


def test_an_mcap_whose_end_is_missing(tmp_path):
    path = write(tmp_path / 'a.mcap', FRAMES)
    path.write_bytes(path.read_bytes()[:-20])
    assert 'its end is missing); `mcap recover` keeps what was recorded' in error_of(path)


def test_a_chunk_that_was_changed_fails_its_checksum(tmp_path, messages):
    data = mcap_bytes(messages, chunk=4)
    place = data.index(FRAMES[0].frame.image.tobytes()) + 5
    (tmp_path / 'a.mcap').write_bytes(data[:place] + b'\x99\x99' + data[place + 2 :])
    assert 'a chunk is not what its size and checksum say' in error_of(tmp_path / 'a.mcap')


def test_a_chunk_that_unpacks_to_more_than_it_says(tmp_path, messages):
    data = mcap_bytes(messages, chunk=100, compression='zstd', summary=False)
    at = data.index(b'\x06', 8 + 9) + 9 + 16
    (size,) = struct.unpack_from('<Q', data, at)
    (tmp_path / 'a.mcap').write_bytes(data[:at] + struct.pack('<Q', size // 2) + data[at + 8 :])
    assert 'a chunk is not what its size' in error_of(tmp_path / 'a.mcap')


def test_a_rosbag_without_index(tmp_path):
    path = write_ros1(tmp_path / 'a.bag', FRAMES)
    data = path.read_bytes()
    at = data.index(b'index_pos=') + len('index_pos=')
    path.write_bytes(data[:at] + b'\0' * 8 + data[at + 8 :])
    assert '`rosbag reindex` makes the index' in error_of(path)


@pytest.mark.parametrize(
    'change',
    [
        lambda text: text.replace('version: 8', 'version: 99'),
        lambda text: text[:200],
        lambda text: '<html>',
        lambda text: text.replace('cdr', 'protobuf'),
    ],
)
def test_a_metadata_file_of_no_use_is_not_needed(tmp_path, change):
    path = write(tmp_path / 'a', FRAMES)
    about = path / 'metadata.yaml'
    about.write_text(change(about.read_text()))
    assert_same(list(open_source(path).posed_frames()), FRAMES)


def test_the_parts_of_a_split_recording_of_ros1(tmp_path):
    for part in range(2):
        write_ros1(tmp_path / f'drive_2024-01-02-10-0{part}-00_{part}.bag', [FRAMES[part]])
    assert_same(list(open_source(tmp_path).posed_frames()), FRAMES[:2])


def test_a_recording_of_ros1_that_was_killed(tmp_path):
    path = write_ros1(tmp_path / 'a.bag', FRAMES)
    data = path.read_bytes()
    at = data.index(b'index_pos=') + len('index_pos=')
    active = tmp_path / 'a.bag.active'
    active.write_bytes(data[:at] + b'\0' * 8 + data[at + 8 :])
    assert '`rosbag reindex` makes the index' in error_of(active)


def test_the_metadata_file_may_be_named(tmp_path):
    path = write(tmp_path / 'a', FRAMES)
    assert_same(list(open_source(path / 'metadata.yaml').posed_frames()), FRAMES)


def test_files_that_metadata_names_and_nobody_has(tmp_path):
    path = write(tmp_path / 'a', FRAMES)
    (file,) = path.glob('*.mcap')
    file.rename(path / 'other.mcap')
    assert f'names files that are not there: {file.name}; copy them, or remove' in error_of(path)
    (path / 'metadata.yaml').unlink()
    assert_same(list(open_source(path).posed_frames()), FRAMES)


def test_a_folder_with_metadata_alone(tmp_path):
    (tmp_path / 'metadata.yaml').write_text('rosbag2_bagfile_information: {}')
    assert 'holds no storage files, expected .mcap, .db3, .bag' in error_of(tmp_path)


def test_an_image_that_cannot_be_read_is_counted(tmp_path, messages):
    broken = [
        (topic, kind, stamp, data[:40] if topic == IMAGE and i < 3 else data)
        for i, (topic, kind, stamp, data) in enumerate(messages)
    ]
    (tmp_path / 'a.mcap').write_bytes(mcap_bytes(broken))
    source = open_source(tmp_path / 'a.mcap')
    assert_same(list(source.posed_frames()), FRAMES[1:])
    ((reason, count),) = source.skipped.items()
    assert count == 1
    assert reason.startswith('a message that cannot be read: 40 bytes are no sensor_msgs/msg/Im')
    broken = [
        (topic, kind, stamp, data[:40] if topic == IMAGE else data)
        for topic, kind, stamp, data in messages
    ]
    (tmp_path / 'b.mcap').write_bytes(mcap_bytes(broken))
    assert f'no message of {IMAGE} can be read: 40 bytes' in error_of(tmp_path / 'b.mcap')
    with pytest.raises(SourceError, match='3 with a message that cannot be read'):
        list(open_source(tmp_path / 'b.mcap').frames())


def test_a_transform_that_cannot_be_read_is_told(tmp_path, messages):
    broken = [
        (topic, kind, stamp, data[:9] if topic == '/tf' and i < 3 else data)
        for i, (topic, kind, stamp, data) in enumerate(messages)
    ]
    (tmp_path / 'a.mcap').write_bytes(mcap_bytes(broken))
    source = open_source(tmp_path / 'a.mcap')
    assert_same(list(source.posed_frames()), FRAMES[1:])
    assert source.unread[0].startswith('1 messages of /tf cannot be read (9 bytes are no tf2_')


def test_a_camera_info_that_cannot_be_read_is_told(tmp_path, messages):
    broken = [
        (topic, kind, stamp, data[:30] if topic == INFO and i < 3 else data)
        for i, (topic, kind, stamp, data) in enumerate(messages)
    ]
    (tmp_path / 'a.mcap').write_bytes(mcap_bytes(broken))
    source = open_source(tmp_path / 'a.mcap')
    assert_same(list(source.posed_frames()), FRAMES)
    assert source.unread[0].startswith(f'messages of {INFO} cannot be read: 30 bytes are no')
    broken = [
        (topic, kind, stamp, data[:30] if topic == INFO else data)
        for topic, kind, stamp, data in messages
    ]
    (tmp_path / 'b.mcap').write_bytes(mcap_bytes(broken))
    assert 'no CameraInfo that can be read; give a calib' in error_of(tmp_path / 'b.mcap')
    assert len(list(open_source(tmp_path / 'b.mcap', focal=50.0).posed_frames())) == 3


def test_messages_in_the_other_byte_order(tmp_path):
    types = message_types()
    with BagWriter(tmp_path / 'a.mcap') as bag:
        for posed in FRAMES:
            stamp = posed.frame.stamp_ns
            bag.transform('map', OPTICAL, stamp, posed.world_from_camera)
            bag.camera_info(INFO, OPTICAL, stamp, posed.frame.camera)
            bag.image(IMAGE, OPTICAL, stamp, posed.frame.image)
    swapped = []
    for message in BagFile(tmp_path / 'a.mcap').messages([IMAGE, INFO, '/tf']):
        kind = message.content.__msgtype__
        data = types.serialize_cdr(message.content, kind, little_endian=False)
        swapped.append((message.topic, kind, message.log_ns, bytes(data)))
    (tmp_path / 'b.mcap').write_bytes(mcap_bytes(swapped))
    assert_same(list(open_source(tmp_path / 'b.mcap').posed_frames()), FRAMES)


@pytest.mark.parametrize(
    'encoding, what',
    [
        ('json', "sensor_msgs/msg/Image is serialized as 'json', expected cdr"),
        ('cbor', "serialized as 'cbor'"),
    ],
)
def test_images_that_are_serialized_otherwise(tmp_path, messages, encoding, what):
    (tmp_path / 'a.mcap').write_bytes(mcap_bytes(messages, encoding=encoding))
    assert what in error_of(tmp_path / 'a.mcap')


def test_a_type_that_nobody_knows_is_one_line(tmp_path, messages):
    strange = [*messages, ('/strange', 'my_msgs/msg/Thing', messages[-1][2], b'\0\1\0\0abcd')]
    (tmp_path / 'a.mcap').write_bytes(mcap_bytes(strange))
    assert_same(list(open_source(tmp_path / 'a.mcap').posed_frames()), FRAMES)
    with pytest.raises(
        SourceError,
        match=r'/strange: my_msgs/msg/Thing is no common message '
        'type, and the bag has no definition of it',
    ):
        list(BagFile(tmp_path / 'a.mcap').messages(['/strange']))


@pytest.mark.parametrize(
    'definition',
    [
        'this is ]] no definition',
        'uint32 height\nuint32 width',
        'std_msgs/Header header\nfloat32 encoding',
    ],
)
def test_a_definition_of_no_use_is_not_needed(tmp_path, definition):
    path = write(tmp_path / 'a.db3', FRAMES)
    with sqlite3.connect(path) as database:
        database.execute(
            'UPDATE message_definitions SET encoded_message_definition = ? WHERE '
            "topic_type = 'sensor_msgs/msg/Image'",
            (definition,),
        )
    database.close()
    assert_same(list(open_source(path).posed_frames()), FRAMES)


def test_reasons_of_images_are_counted_each(tmp_path):
    with BagWriter(tmp_path / 'a') as bag:
        for index, posed in enumerate(posed_frames(6)):
            stamp = posed.frame.stamp_ns
            bag.transform('map', OPTICAL, stamp, posed.world_from_camera)
            bag.camera_info(INFO, OPTICAL, stamp, posed.frame.camera)
            if index < 4:
                bag._write(
                    IMAGE,
                    'sensor_msgs/msg/Image',
                    stamp,
                    header=bag._header(OPTICAL, stamp),
                    height=24,
                    width=32,
                    encoding='rgb8',
                    is_bigendian=0,
                    step=32 + index % 2,
                    data=np.zeros(24 * 32, np.uint8),
                )
            else:
                bag._write(
                    IMAGE,
                    'sensor_msgs/msg/Image',
                    stamp,
                    header=bag._header(OPTICAL, stamp),
                    height=24,
                    width=31,
                    encoding='yuyv',
                    is_bigendian=0,
                    step=62,
                    data=np.zeros(24 * 62, np.uint8),
                )
    text = error_of(tmp_path / 'a')
    assert '4 with an image that cannot be decoded: rgb8 image of 32x24 has 768 bytes' in text
    assert 'in rows of 32, expected 24 rows of at least 96' in text
    assert '2 with an image that cannot be decoded: yuyv image is 31 wide' in text
    assert '--poses' not in text


def test_an_image_topic_with_bytes_of_nothing(tmp_path):
    with BagWriter(tmp_path / 'a') as bag:
        for posed in FRAMES:
            stamp = posed.frame.stamp_ns
            bag.transform('map', OPTICAL, stamp, posed.world_from_camera)
            bag.camera_info(INFO, OPTICAL, stamp, posed.frame.camera)
            compressed_message(bag, f'{IMAGE}/compressed', OPTICAL, stamp, 'jpeg', b'\xff\xd8 no')
    assert '3 with an image that cannot be decoded: 5 bytes are not' in error_of(tmp_path / 'a')
