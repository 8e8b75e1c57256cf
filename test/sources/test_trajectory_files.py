# SPDX-License-Identifier: Apache-2.0
"""Trajectories as SLAM systems and exporters write them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from source_frames import START_NS, STEP_NS, pose, posed_frames

from dsac_ros.errors import SourceError
from dsac_ros.sources.folder import FolderWriter
from dsac_ros.sources.open_source import open_source
from dsac_ros.sources.poses import row_from_pose
from dsac_ros.sources.trajectory_files import read_trajectory, write_tum

POSES = [pose(i, 0.1, -i, 0.3, 0.1 * i, -0.2) for i in range(4)]
STAMPS = [START_NS + i * STEP_NS for i in range(4)]
ROWS = [' '.join(repr(x) for x in row_from_pose(one)) for one in POSES]


def written(path, lines, encoding='utf-8'):
    path.write_bytes('\n'.join(lines).encode(encoding))
    return read_trajectory(path)


@pytest.mark.parametrize(
    ('unit', 'size', 'digits'),
    [('s', 1e9, 9), ('ms', 1e6, 6), ('us', 1e3, 3), ('ns', 1, 0), ('ns', 1, 6)],
)
def test_the_unit_of_stamps_is_told_by_size(tmp_path, unit, size, digits):
    stamps = [
        f'{stamp // int(size)}.{stamp % int(size):0{digits}d}'
        if digits and size > 1
        else f'{stamp}' + '.' * bool(digits) + '0' * digits
        for stamp in STAMPS
    ]
    read = written(tmp_path / 'a.txt', [f'{s} {row}' for s, row in zip(stamps, ROWS)])
    assert read.trajectory.stamps_ns.tolist() == STAMPS
    assert len(read.assumptions) == (unit != 's')
    assert unit == 's' or f'a.txt are in {unit}, as their size says' in read.assumptions[0]


@pytest.mark.parametrize(
    ('times', 'stamps'),
    [
        (['0', '0.1', '0.2', '0.3'], [0, 100_000_000, 200_000_000, 300_000_000]),
        (['0', '100000000', '200000000', '300000000'], [0, 100_000_000, 200_000_000, 300_000_000]),
        (
            ['1000000', '1033333', '1066666', '1100000'],
            [1_000_000_000, 1_033_333_000, 1_066_666_000, 1_100_000_000],
        ),
        (['5', '6', '7', '8'], [5_000_000_000, 6_000_000_000, 7_000_000_000, 8_000_000_000]),
    ],
)
def test_times_of_a_simulation_go_by_their_step(tmp_path, times, stamps):
    read = written(tmp_path / 'a.txt', [f'{t} {row}' for t, row in zip(times, ROWS)])
    assert read.trajectory.stamps_ns.tolist() == stamps


@pytest.mark.parametrize(
    ('header', 'order'),
    [
        ('timestamp tx ty tz qx qy qz qw', '01234567'),
        (
            '#timestamp [ns], p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m], q_RS_w [], q_RS_x [], q_RS_y [], '
            'q_RS_z [], v_RS_R_x [m s^-1]',
            '01237456',
        ),
        ('# timestamp qw qx qy qz tx ty tz', '07456123'),
        (
            '%time,field.header.seq,field.header.stamp,field.pose.position.x,field.pose.position.y,'
            'field.pose.position.z,field.pose.orientation.x,field.pose.orientation.y,'
            'field.pose.orientation.z,field.pose.orientation.w',
            'xx01234567',
        ),
        ('num,t,x,y,z,qx,qy,qz,qw', 'x01234567'),
    ],
)
def test_a_header_names_the_columns(tmp_path, header, order):
    lines = []
    for stamp, row in zip(STAMPS, ROWS):
        fields = [str(stamp), *row.split()]
        values = ['7' if place == 'x' else fields[int(place)] for place in order]
        lines.append((',' if ',' in header else ' ').join(values))
    read = written(tmp_path / 'a.csv', [header, *lines])
    np.testing.assert_allclose(read.trajectory.world_from_x, POSES, atol=1e-12)
    assert read.trajectory.stamps_ns.tolist() == STAMPS
    assert any('as its header says' in line for line in read.assumptions) == (order != '01234567')


@pytest.mark.parametrize(
    ('encoding', 'join'),
    [
        ('utf-8-sig', '\n'),
        ('utf-16', '\r\n'),
        ('utf-8', '\r\n'),
        ('utf-8', ' \n\n'),
        ('utf-8', '\n// more\n'),
    ],
)
def test_line_ends_marks_and_comments(tmp_path, encoding, join):
    lines = [f'{stamp / 1e9:.9f},\t{row.replace(" ", ", ")},' for stamp, row in zip(STAMPS, ROWS)]
    read = written(tmp_path / 'a.txt', [join.join(['# a comment', *lines]), ''], encoding)
    np.testing.assert_allclose(read.trajectory.world_from_x, POSES, atol=1e-12)


def test_rows_that_are_not_used_are_told(tmp_path):
    rows = [f'{1e9 + i} {row}' for i, row in enumerate(ROWS)]
    rows[1] = f'{1e9 + 1} nan nan nan 0 0 0 1'
    rows[2] = f'{1e9 + 2} 1 2 3 0 0 0 0'
    read = written(tmp_path / 'a.txt', [*rows, rows[0]])
    assert len(read.trajectory) == 2
    assert [line.removesuffix(f' of {tmp_path / "a.txt"}') for line in read.unread] == [
        '1 rows with NaN or infinity',
        '1 rows with a quaternion that is no rotation',
        '1 rows with the stamp of another row',
    ]


def test_columns_beyond_the_pose_are_told(tmp_path):
    read = written(tmp_path / 'a.txt', ['# t x y z qx qy qz qw vx', f'1 {ROWS[0]} 3'])
    assert read.unread == (f'1 columns beyond the pose of {tmp_path / "a.txt"}',)


def test_quaternions_that_are_not_unit_are_told(tmp_path):
    read = written(tmp_path / 'a.txt', ['1 0 0 0 0 0 0 1', '2 0 0 0 0 0 0.3 0.4'])
    assert '1 quaternions of' in read.assumptions[0] and '(the first 0.5)' in read.assumptions[0]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (
            '1 ' * 12,
            'is not a pose, expected 8 numbers: .* where there are more columns, a header',
        ),
        ('1e999999999 1 2 3 0 0 0 1', 'line 1: .* is not a pose'),
        ('inf 1 2 3 0 0 0 1', 'line 1: .* is not a pose'),
        ('1,2,,3,0,0,0,1', 'line 1: .* is not a pose'),
        ('# t x y z qx qy qz qw\n1 2 3 0 0 0 0 x 1', 'expected numbers in the columns t x y z qx'),
        ('sec,nanosec,x,y,z,qx,qy,qz,qw\n1,2,3,4,5,0,0,0,1', "line 1: 'sec,nanosec,x"),
        ('0 1 2 3 0 0 0 0', 'holds no poses that can be used: 1 rows with a quaternion'),
        ('5' * 16 + ' 1 2 3 0 0 0 1', 'expected t in seconds'),
        ('a' * 500, r"line 1: 'a{60}\.\.\.' is not a pose"),
    ],
)
def test_a_broken_trajectory_is_one_line(tmp_path, text, message):
    (tmp_path / 'a.txt').write_text(text)
    with pytest.raises(SourceError, match=message) as caught:
        read_trajectory(tmp_path / 'a.txt')
    assert '\n' not in str(caught.value)


def test_bytes_that_are_no_text_are_one_line(tmp_path):
    (tmp_path / 'a.txt').write_bytes(b'\xff\x00\x81')
    with pytest.raises(SourceError, match=r'a\.txt cannot be read as text'):
        read_trajectory(tmp_path / 'a.txt')


@pytest.mark.parametrize('mark', [';', '\t'])
def test_decimal_commas(tmp_path, mark):
    lines = ['t x y z qx qy qz qw'.replace(' ', mark)] + [
        f'{START_NS / 1e9 + index:.3f} {row}'.replace('.', ',').replace(' ', mark)
        for index, row in enumerate(ROWS[:2])
    ]
    found = written(tmp_path / 'a.csv', lines).trajectory
    np.testing.assert_allclose(found.world_from_x, POSES[:2], atol=1e-6)


def test_quoted_fields(tmp_path):
    row = ','.join(f'"{word}"' for word in f'5 {ROWS[0]}'.split())
    found = written(tmp_path / 'a.csv', ['"t","x","y","z","qx","qy","qz","qw"', row]).trajectory
    np.testing.assert_allclose(found.world_from_x, POSES[:1], atol=1e-6)


def test_units_in_a_header_hold(tmp_path):
    x, y, z, *rotation = ROWS[0].split()
    row = ','.join([*(f'{1000 * float(word):.6f}' for word in (x, y, z)), *rotation])
    read = written(
        tmp_path / 'a.csv',
        ['time (ms), x (mm), y (mm), z (mm), qx, qy, qz, qw', f'200,{row}', f'300,{row}'],
    )
    np.testing.assert_allclose(read.trajectory.world_from_x[0], POSES[0], atol=1e-6)
    assert list(read.trajectory.stamps_ns) == [200_000_000, 300_000_000]
    assert [line.partition(', as its header says')[0][-2:] for line in read.assumptions] == [
        'ms',
        'mm',
    ]


def test_what_a_trajectory_file_holds_is_told(tmp_path):
    with FolderWriter(tmp_path / 'scene') as writer:
        for posed in posed_frames(2):
            writer.write(posed.frame, None)
    (tmp_path / 'a.txt').write_text(
        f'{START_NS} {ROWS[0]}\n{START_NS + 10**8} {ROWS[1]}\n'
        f'{START_NS + 2 * 10**8} nan nan nan 0 0 0 1\n'
    )
    source = open_source(tmp_path / 'scene', poses=str(tmp_path / 'a.txt'))
    assert len(list(source.posed_frames())) == 2
    assert any('are in ns' in line for line in source.assumptions)
    assert source.unread == [f'1 rows with NaN or infinity of {tmp_path / "a.txt"}']


def test_stamps_of_another_clock_name_both_times(tmp_path):
    with FolderWriter(tmp_path / 'scene') as writer:
        writer.write(posed_frames(1)[0].frame, None)
    write_tum(tmp_path / 'a.tum', [0, STEP_NS], POSES[:2])
    with pytest.raises(
        SourceError,
        match=r'the images are from 1700000000\.123 to .*, the poses '
        r'from 0\.000 to 0\.100 s\); where both begin together, '
        r'use --pose-delay -1700000000\.123$',
    ):
        list(open_source(tmp_path / 'scene', poses=str(tmp_path / 'a.tum')).posed_frames())


@pytest.mark.parametrize('form', ['{}', '{:.9f}'])
def test_names_that_are_stamps_date_the_images(tmp_path, form):
    (tmp_path / 'photos').mkdir()
    stamps = [stamp - stamp % 1000 for stamp in STAMPS]
    for stamp in stamps:
        name = str(stamp) if form == '{}' else f'{stamp // 10**9}.{stamp % 10**9:09d}'
        cv2.imwrite(str(tmp_path / 'photos' / f'{name}.png'), np.zeros((24, 32), np.uint8))
    write_tum(tmp_path / 'a.tum', stamps, POSES)
    source = open_source(tmp_path / 'photos', poses=str(tmp_path / 'a.tum'), focal=30.0)
    assert source.has_stamps and 'names of the images' in source.assumptions[0]
    found = [posed.world_from_camera for posed in source.posed_frames()]
    np.testing.assert_allclose(found, POSES, atol=1e-8)
