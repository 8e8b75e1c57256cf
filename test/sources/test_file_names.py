# SPDX-License-Identifier: Apache-2.0
"""Order of file names, and which files are of the same frame."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsac_ros.errors import SourceError
from dsac_ros.sources.file_names import natural_key, natural_order, pair_files

RGB, OTHER = Path('scene/rgb'), Path('scene/poses')


def paired(images, files):
    """Names of the files of the images, None where there is none."""
    pairs = pair_files([RGB / name for name in images], [OTHER / name for name in files])
    return [file and file.name for file in pairs.files]


@pytest.mark.parametrize(
    'names',
    [
        ['0.png', '1.png', '2.png', '10.png', '11.png', '100.png'],
        ['frame9.jpg', 'frame10.jpg'],
        ['1305031102.175304.png', '1305031102.2.png', '1305031102.211214.png'],
        ['0.05.png', '0.1.png', '0.15.png', '1.png'],
        ['cap 1/9.png', 'cap 1/10.png', 'cap 2/1.png', 'cap 10/1.png'],
        ['seq1-frame2.color.png', 'seq1-frame10.color.png', 'seq2-frame1.color.png'],
        ['a.png', 'B.png', 'c.png'],
    ],
)
def test_names_are_in_natural_order(names):
    backwards = names[::-1]
    assert sorted(backwards, key=natural_key) == names


def test_padding_alone_keeps_a_fixed_order():
    names = [Path('01.png'), Path('1.png'), Path('001.png')]
    assert natural_order(names) == natural_order(names[::-1])


@pytest.mark.parametrize(
    ('image', 'file'),
    [
        ('frame-{:06d}.png', '{}.txt'),
        ('{}.png', 'pose_{:04d}.txt'),
        ('{}.png', '{}.txt'),
        ('seq01-frame-{:06d}.color.png', 'seq01-frame-{:06d}.pose.txt'),
        ('cam0_frame_{}.png', '{:03d}.txt'),
        ('{:06d}_rgb.PNG', '{:06d}_pose.TXT'),
        ('rgb8_{}.png', 'depth16_{}.png'),
        ('IMG_{:04d}.jpeg', '{}.txt'),
        ('{}.webp', '{}.pose.txt'),
        ('frame-{:06d}.color.tif', 'frame-{:06d}.txt'),
        ('{:02d}.bmp', '{}.txt'),
        ('scene0707_00_{}.jpg', '{}.txt'),
        ('früh_{}.png', 'pose-{:05d}.txt'),
    ],
)
def test_files_are_of_the_same_number(image, file):
    numbers = [0, 1, 2, 9, 10, 11, 59]
    files = [file.format(number) for number in numbers]
    assert paired([image.format(number) for number in numbers], files[::-1]) == files


def test_a_missing_file_does_not_move_the_others():
    images = [f'frame-{number:06d}.png' for number in range(60)]
    files = [f'{number}.txt' for number in range(60) if number % 20]
    assert paired(images, files) == [f'{n}.txt' if n % 20 else None for n in range(60)]


def test_files_of_no_image_are_left_over():
    pairs = pair_files([RGB / '1.png'], [OTHER / '1.txt', OTHER / 'README.txt'])
    assert [file.name for file in pairs.left_over] == ['README.txt']


def test_words_tell_frames_of_one_number_apart():
    images = ['kitchen_1_rgb.png', 'hall_1_rgb.png']
    assert paired(images, ['hall_1_pose.txt', 'kitchen_1_pose.txt']) == [
        'kitchen_1_pose.txt',
        'hall_1_pose.txt',
    ]


@pytest.mark.parametrize(
    ('images', 'files'),
    [
        (
            ['1305031102.175304.png', '1305031102.211214.png'],
            ['1305031102175304000.txt', '1305031102211214000.txt'],
        ),
        (
            ['1305031102175304123.png', '1305031102211214321.png'],
            ['1305031102.175304.txt', '1305031102.211214.txt'],
        ),
        (
            ['1305031102175.png', '1305031102211.png'],
            ['1305031102.175304.txt', '1305031102.211214.txt'],
        ),
    ],
)
def test_stamps_of_another_unit_are_the_same(images, files):
    assert paired(images, files) == files


def test_what_joins_by_number_alone_is_told():
    images = [RGB / f'kitchen{i}.png' for i in range(3)]
    files = [OTHER / f'{i}.txt' for i in (0, 2)]
    assert pair_files(images, files).by_number == (images[0], files[0])
    assert pair_files(images, [OTHER / 'kitchen0.txt']).by_number is None


@pytest.mark.parametrize(
    ('images', 'files', 'message'),
    [
        (
            ['a.png', 'b.png'],
            ['x.txt', 'y.txt'],
            r'x\.txt, y\.txt for the images a\.png, b\.png, and '
            'nothing joins their names: expected the same names, or the same number',
        ),
        (['001.png'], ['1.txt', '01.txt'], r'holds 1\.txt and 01\.txt, which are of the same'),
        (['a1.png', 'a1.jpg'], ['a1.txt', 'a2.txt'], r'holds a1\.png and a1\.jpg, .* rename one'),
        (['cam0_1.png', 'cam0_2.png'], ['cam1_1.txt', 'cam1_2.txt'], 'nothing joins their names'),
        (
            [f'{i}.png' for i in range(5)],
            [f'{i}.txt' for i in range(1, 6)],
            'counts from 1 to 5 but .*rgb from 0 to 4: expected the same numbers',
        ),
        (['100.png'], ['200.txt'], 'nothing joins their names'),
    ],
)
def test_names_that_fit_no_image_are_refused(images, files, message):
    with pytest.raises(SourceError, match=message) as caught:
        paired(images, files)
    assert '\n' not in str(caught.value)
