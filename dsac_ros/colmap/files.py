# SPDX-License-Identifier: Apache-2.0
"""The files of a COLMAP model: cameras and registered images, as text or binary.

Format: https://colmap.github.io/format.html. Models with rigs (rigs.bin, frames.bin) hold the
pose of each image beside them. Points: `colmap/points.py`.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dsac_ros.compute.text import quoted
from dsac_ros.errors import SourceError

T = TypeVar('T')

# Name and number of parameters of the camera models, by their number in binary files.
CAMERA_MODELS = {
    0: ('SIMPLE_PINHOLE', 3),
    1: ('PINHOLE', 4),
    2: ('SIMPLE_RADIAL', 4),
    3: ('RADIAL', 5),
    4: ('OPENCV', 8),
    5: ('OPENCV_FISHEYE', 8),
    6: ('FULL_OPENCV', 12),
    7: ('FOV', 5),
    8: ('SIMPLE_RADIAL_FISHEYE', 4),
    9: ('RADIAL_FISHEYE', 5),
    10: ('THIN_PRISM_FISHEYE', 12),
    11: ('RAD_TAN_THIN_PRISM_FISHEYE', 16),
    12: ('SIMPLE_DIVISION', 4),
    13: ('DIVISION', 5),
    14: ('SIMPLE_FISHEYE', 3),
    15: ('FISHEYE', 4),
    16: ('EUCM', 6),
    17: ('EQUIRECTANGULAR', 2),
}
COUNT, CAMERA, IMAGE = struct.Struct('<Q'), struct.Struct('<iiQQ'), struct.Struct('<i7di')
POINT_BYTES = 24
SUFFIXES = ('.bin', '.txt')
ANNOUNCED = re.compile(r'# *Number of (?:cameras|images): *([0-9]{1,9})\b')
MOST_LINE = 1 << 26  # characters: a point of an image has some thirty of them
IMAGE_WORDS = 10  # IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME

EXPECTED = {
    'cameras': 'CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]',
    'images': 'IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME, and then the points '
    'of the image or nothing',
}


@dataclass(frozen=True)
class ColmapCamera:
    """A camera in COLMAP's terms."""

    model: str
    size_wh: tuple[int, int]
    parameters: tuple[float, ...]


@dataclass(frozen=True)
class ColmapImage:
    """A registered image: camera_from_world as w x y z and translation."""

    name: str
    camera_id: int
    quaternion_wxyz: tuple[float, ...]
    translation: tuple[float, ...]


@dataclass(frozen=True)
class ColmapModel:
    """Cameras by number, images in the order of the file, and what was not read."""

    cameras: dict[int, ColmapCamera]
    images: list[ColmapImage]
    unread: list[str]


def read_model(folder: Path) -> ColmapModel:
    """Read the binary files of a model, or its text files where only these are complete."""
    suffix = next(
        (
            suffix
            for suffix in SUFFIXES
            if all((folder / f'{name}{suffix}').is_file() for name in ('cameras', 'images'))
        ),
        None,
    )
    if suffix is None:
        raise SourceError(
            f'{folder} holds half of a COLMAP model, expected cameras.bin and '
            'images.bin, or cameras.txt and images.txt'
        )
    unread: list[str] = []
    other = [folder / f'{name}.txt' for name in ('cameras', 'images')]
    if suffix == '.bin' and all(path.is_file() for path in other):
        unread.append(f'{" and ".join(str(path) for path in other)}, since there are binary files')
    cameras, images = folder / f'cameras{suffix}', folder / f'images{suffix}'
    if suffix == '.bin':
        return ColmapModel(
            dict(_read_binary(cameras, _binary_camera, unread)),
            _read_binary(images, _binary_image, unread),
            unread,
        )
    return ColmapModel(
        dict(_read_text(cameras, _text_camera, unread)),
        _read_text(images, _text_image, unread),
        unread,
    )


class Cursor:
    """Reads a binary file forward; SourceError where it ends too early."""

    def __init__(self, path: Path, data: mmap.mmap | bytes) -> None:
        """Takes the contents of the file at `path`."""
        self.path, self.data, self.at = path, data, 0

    def take(self, layout: struct.Struct) -> tuple[Any, ...]:
        """The next values of a layout."""
        start = self.skip(layout.size)
        return layout.unpack_from(self.data, start)

    def name(self) -> str:
        """The next text up to a zero byte; bytes that are no UTF-8 stay what they are."""
        end = self.data.find(b'\0', self.at)
        if end < 0:
            self._cut_short()
        start = self.skip(end + 1 - self.at)
        return self.data[start:end].decode(errors='surrogateescape')

    def skip(self, count: int) -> int:
        """Pass over bytes, and return where they began."""
        if count > len(self.data) - self.at:
            self._cut_short()
        start, self.at = self.at, self.at + count
        return start

    def _cut_short(self) -> None:
        raise SourceError(
            f'{self.path} ends after {len(self.data)} bytes, before what it '
            'announces: it is cut short, or no part of a COLMAP model; export the '
            'model again'
        )


@contextmanager
def opened(path: Path) -> Iterator[Cursor]:
    """A cursor at the beginning of a binary file, which is not loaded as a whole."""
    try:
        with path.open('rb') as file:
            if not path.stat().st_size:
                yield Cursor(path, b'')
                return
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield Cursor(path, data)
    except OSError as error:
        raise SourceError(f'{path} cannot be read: {error}') from None


def _read_binary(path: Path, read: Callable[[Cursor], T], unread: list[str]) -> list[T]:
    """The records of a binary file; bytes after the last one are told."""
    with opened(path) as cursor:
        (count,) = cursor.take(COUNT)
        records = []
        for _ in range(count):
            records.append(read(cursor))
        rest = len(cursor.data) - cursor.at
        if rest:
            unread.append(
                f'{rest} bytes at the end of {path}, behind the {count} that it announces'
            )
    return records


def _binary_camera(cursor: Cursor) -> tuple[int, ColmapCamera]:
    number, model, width, height = cursor.take(CAMERA)
    if model not in CAMERA_MODELS:
        raise SourceError(
            f'{cursor.path}: unknown camera model with the id {model}, expected 0 '
            f'to {max(CAMERA_MODELS)}: undistort with COLMAP first'
        )
    if not width or not height:
        raise SourceError(
            f'{cursor.path}: camera {number} has images of {width}x{height}; export the model '
            'again'
        )
    name, parameters = CAMERA_MODELS[model]
    values = cursor.take(struct.Struct(f'<{parameters}d'))
    return number, ColmapCamera(name, (width, height), values)


def _binary_image(cursor: Cursor) -> ColmapImage:
    _, *numbers, camera_id = cursor.take(IMAGE)
    name = cursor.name()
    if not name:  # zeros, of which a sparse file may hold terabytes
        raise SourceError(f'{cursor.path}: an image has no name; export the model again')
    (points,) = cursor.take(COUNT)
    cursor.skip(POINT_BYTES * points)
    return ColmapImage(name, camera_id, tuple(numbers[:4]), tuple(numbers[4:]))


def _read_text(path: Path, read: Callable[[str], T], unread: list[str]) -> list[T]:
    """The records of a text file; another number of them than its head announces is told."""
    records, announced, points_may_follow = [], None, False
    for number, line in numbered_lines(path):
        if line.startswith('#'):
            found = ANNOUNCED.match(line)
            announced = int(found[1]) if found else announced
            continue
        if not line or (points_may_follow and is_points(line)):
            points_may_follow = False
            continue
        try:
            records.append(read(line))
        except (ValueError, IndexError):
            raise SourceError(
                f'{path}, line {number}: {quoted(line)} is no line of a COLMAP '
                f'model, expected {EXPECTED[path.stem]}'
            ) from None
        points_may_follow = path.stem == 'images'
    if announced not in (None, len(records)):
        unread.append(
            f'{announced} {path.stem} that the head of {path} announces: it lists {len(records)}'
        )
    return records


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines without blanks at their ends; names that are no UTF-8 stay what they are."""
    try:
        with path.open(encoding='utf-8-sig', errors='surrogateescape') as file:
            lines = iter(lambda: file.readline(MOST_LINE), '')
            for number, line in enumerate(lines, 1):
                if len(line) == MOST_LINE:
                    raise SourceError(
                        f'{path}, line {number} has {MOST_LINE} characters or more, expected a '
                        'line of a COLMAP model; export the model again'
                    )
                yield number, line.strip()
    except OSError as error:
        raise SourceError(f'{path} cannot be read: {error}') from None


def is_points(line: str) -> bool:
    """Return True for X, Y, POINT3D_ID of every point: the second line of an image, if it has one.

    Exporters leave out the line, or leave it empty, where there are no points.
    """
    words = line.split()
    return len(words) % 3 == 0 and all(map(_is_number, (*words[:IMAGE_WORDS], words[-1])))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _text_camera(line: str) -> tuple[int, ColmapCamera]:
    number, model, width, height, *parameters = line.split()
    return int(number), ColmapCamera(
        model, (int(width), int(height)), tuple(float(value) for value in parameters)
    )


def _text_image(line: str) -> ColmapImage:
    words = line.split(maxsplit=IMAGE_WORDS - 1)
    int(words[0])
    numbers = tuple(float(word) for word in words[1:8])
    return ColmapImage(words[9], int(words[8]), numbers[:4], numbers[4:])
