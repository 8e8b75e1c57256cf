# SPDX-License-Identifier: Apache-2.0
"""Whatever the bytes of a bag are: frames, or one line that says what is wrong."""

from __future__ import annotations

import os
from types import SimpleNamespace

import numpy as np
import pytest
from bag_messages import path_message, stamped_transform, write_ros1
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap_files import mcap_bytes, stored_messages
from source_frames import posed_frames
from test_bag import write
from test_depth_messages import METRES, MM, packed, png, quantised, rvl

from dsac_ros.errors import DsacError, ImageError
from dsac_ros.sources.bag_file import BagFile
from dsac_ros.sources.compressed_format import parse_format
from dsac_ros.sources.depth_messages import decode_depth
from dsac_ros.sources.image_messages import decode_compressed
from dsac_ros.sources.open_source import open_source

# DSAC_FUZZ_EXAMPLES=100000 makes it hours.
EXAMPLES = int(os.environ.get('DSAC_FUZZ_EXAMPLES', '8'))
FUZZ = settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
DEPTH = '/camera/aligned_depth_to_color/image_raw'
POSES = (None, '/pose', '/odom', '/path', '/vicon')


@pytest.fixture(scope='module')
def originals(tmp_path_factory):
    """The bytes of a small bag with everything in it, per kind of storage, and its messages."""
    folder = tmp_path_factory.mktemp('originals')
    frames = posed_frames(3, depth=True)

    def more(bag, posed):
        stamp, pose = posed.frame.stamp_ns, posed.world_from_camera
        bag.transform('base', 'camera_optical', stamp, np.eye(4), static=True)
        bag.pose('/pose', 'map', stamp, pose)
        bag.odometry('/odom', 'odom', 'base', stamp, pose)
        path_message(
            bag, '/path', 'map', [(p.frame.stamp_ns, p.world_from_camera) for p in frames]
        )
        stamped_transform(bag, '/vicon', 'world', 'camera_optical', stamp, pose)
        bag.depth(DEPTH, 'camera_optical', stamp, posed.frame.depth)
        bag.compressed_image('/other/image/compressed', 'camera_optical', stamp, posed.frame.image)

    found = {}
    for suffix in ('.mcap', '.db3'):
        path = write(folder / f'a{suffix}', frames, extra=more)
        found[suffix] = path.read_bytes()
    found['.bag'] = write_ros1(folder / 'a.bag', frames).read_bytes()
    found['messages'] = stored_messages(BagFile(folder / 'a.mcap'))
    return found


def read_all(path):
    """Read a bag in every way; only the errors of users may come out."""
    for poses in POSES:
        for topic in ('/camera/image_raw', '/other/image'):
            try:
                source = open_source(
                    path, poses=poses, image_topic=topic, info_topic='/camera/camera_info'
                )
                for frame in source.frames():
                    assert frame.image.dtype == np.uint8
                for posed in source.posed_frames():
                    assert np.isfinite(posed.world_from_camera).all()
            except DsacError as error:
                assert '\n' not in str(error) and 'MemoryError' not in str(error)


def mutated(data, changes, cut):
    """The bytes with some of them replaced, and the end cut off."""
    out = bytearray(data)
    for place, kind, value in changes:
        at = int(place * len(out))
        if kind == 'byte':
            out[at : at + 1] = bytes([value & 255])
        elif kind == 'word':
            out[at : at + 4] = (value & 0xFFFFFFFF).to_bytes(4, 'little')
        elif kind == 'insert':
            out[at:at] = value.to_bytes(8, 'little')
        else:
            del out[at : at + (value & 63)]
    return bytes(out[: int(len(out) * cut)])


changes = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.sampled_from(['byte', 'word', 'insert', 'delete']),
        st.one_of(
            st.sampled_from([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1]),
            st.integers(0, 2**64 - 1),
        ),
    ),
    min_size=1,
    max_size=6,
)
cuts = st.one_of(st.just(1.0), st.floats(0, 1))


@pytest.mark.parametrize('suffix', ['.mcap', '.db3', '.bag'])
@FUZZ
@given(changes=changes, cut=cuts)
def test_files_of_any_bytes(originals, tmp_path_factory, suffix, changes, cut):
    path = tmp_path_factory.mktemp('fuzz') / f'a{suffix}'
    path.write_bytes(mutated(originals[suffix], changes, cut))
    read_all(path)


@FUZZ
@given(
    which=st.integers(0, 2**16),
    changes=changes,
    cut=cuts,
    chunk=st.sampled_from([0, 4]),
    index=st.booleans(),
)
def test_messages_of_any_bytes(originals, tmp_path_factory, which, changes, cut, chunk, index):
    messages = list(originals['messages'])
    at = which % len(messages)
    topic, kind, stamp, data = messages[at]
    messages[at] = (topic, kind, stamp, mutated(data, changes, cut))
    path = tmp_path_factory.mktemp('fuzz') / 'a.mcap'
    path.write_bytes(mcap_bytes(messages, chunk=chunk, message_index=index))
    read_all(path)


LEVELS, A, B = quantised(METRES)


@pytest.mark.parametrize(
    'form, body',
    [('32FC1; compressedDepth rvl', rvl(LEVELS)), ('16UC1; compressedDepth png', png(MM))],
)
@FUZZ
@given(changes=changes, cut=cuts)
def test_compressed_depth_of_any_bytes(form, body, changes, cut):
    data = mutated(packed(form, body, A, B).data, changes, cut)
    try:
        depth = decode_depth(SimpleNamespace(format=form, data=data))
        assert np.isfinite(depth).all() and (depth >= 0).all()
    except ImageError:
        pass


@FUZZ
@given(form=st.text(max_size=40), data=st.binary(max_size=64))
def test_formats_of_any_text(form, data):
    parse_format(form)
    for read in (decode_depth, decode_compressed):
        with pytest.raises(ImageError):
            read(SimpleNamespace(format=form, data=data))
