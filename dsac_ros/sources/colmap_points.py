# SPDX-License-Identifier: Apache-2.0
"""Points of a COLMAP model, and the descriptors that its database has of them.

Format: https://colmap.github.io/format.html and https://colmap.github.io/database.html. Positions
are in the model's frame and unit. A feature of an image is the same row in the model and in the
database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cached_property
from pathlib import Path

import numpy as np

from dsac_ros.colmap.files import (
    COUNT,
    IMAGE,
    IMAGE_WORDS,
    SUFFIXES,
    Cursor,
    is_points,
    numbered_lines,
    opened,
)
from dsac_ros.colmap.points import has_points, read_points
from dsac_ros.errors import SourceError
from dsac_ros.types import TrackedPoints

FEATURE = np.dtype([('pixel', '<f8', 2), ('point', '<i8')])
DATABASE = 'database.db'
DIMENSIONS = 128  # of a SIFT descriptor


class ColmapPoints:
    """Points of a model by the images that show them; files are read when they are asked for."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of a model; its database may lie there or in the folders above."""
        self.folder = folder
        suffix = next(s for s in SUFFIXES if (folder / f'images{s}').is_file())
        self._images, self._points = (
            folder / f'{name}{suffix}' for name in ('images', 'points3D')
        )
        places = (folder, folder.parent, folder.parent.parent)
        self.database = next(
            (place / DATABASE for place in places if (place / DATABASE).is_file()), None
        )

    def __bool__(self) -> bool:
        """Return True if the model has a file with points in it."""
        return self._points.is_file() and has_points(self._points)

    def of(self, name: str) -> Callable[[], TrackedPoints]:
        """Return what reads the points that the image of this name shows."""
        return lambda: self._read(name)

    def _read(self, name: str) -> TrackedPoints:
        ids, positions = self._positions
        points = self._shown.get(name, np.zeros(0, np.int64))
        row = np.searchsorted(ids, points).clip(max=max(0, len(ids) - 1))
        known = ids[row] == points if len(ids) else np.zeros(len(points), bool)
        descriptors = self._descriptors(name, len(points))
        return TrackedPoints(
            positions[row[known]],
            points[known],
            None if descriptors is None else descriptors[known],
        )

    @cached_property
    def _shown(self) -> dict[str, np.ndarray]:
        """The point of each feature (K,) int64 by the image's name; negative for none."""
        read = _binary_images if self._images.suffix == '.bin' else _text_images
        return dict(read(self._images))

    @cached_property
    def _positions(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (P,) int64 of the points, ascending, and where they are (P, 3)."""
        return read_points(self._points)

    def _descriptors(self, name: str, count: int) -> np.ndarray | None:
        """Descriptors (K, 128) uint8 of an image's features; None where they are no SIFT of it."""
        if self.database is None:
            return None
        try:
            uri = f'{self.database.resolve().as_uri()}?mode=ro'
            with closing(sqlite3.connect(uri, uri=True)) as connection:
                made_up = connection.execute(
                    "SELECT 1 FROM sqlite_master WHERE type != 'table' "
                    "AND name IN ('descriptors', 'images')"
                ).fetchone()
                if made_up:  # by a query that may never end
                    raise sqlite3.DatabaseError('a table of it is a view')
                row = connection.execute(
                    'SELECT d.rows, d.cols, d.data FROM descriptors AS d '
                    'JOIN images AS i ON i.image_id = d.image_id WHERE i.name = ?',
                    (name,),
                ).fetchone()
        except sqlite3.Error as error:
            raise SourceError(
                f'{self.database} cannot be read: {error}; move it away to do without it'
            ) from None
        if row is None or row[:2] != (count, DIMENSIONS) or len(row[2]) != count * DIMENSIONS:
            return None
        return np.frombuffer(row[2], np.uint8).reshape(count, DIMENSIONS)


def _binary_images(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    with opened(path) as cursor:
        (count,) = cursor.take(COUNT)
        for _ in range(count):
            cursor.skip(IMAGE.size)
            name = cursor.name()
            (features,) = cursor.take(COUNT)
            start = cursor.skip(FEATURE.itemsize * features)
            yield name, _points_of(cursor, start, features)


def _points_of(cursor: Cursor, start: int, count: int) -> np.ndarray:
    """Copy the points of an image's features: no array may outlive the file's mapping."""
    data = cursor.data[start : start + FEATURE.itemsize * count]
    return np.frombuffer(data, FEATURE)['point'].copy()


def _text_images(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    name = None
    for _, line in numbered_lines(path):
        if line.startswith('#'):
            continue
        if name is not None and line and is_points(line):
            yield name, np.array([int(word) for word in line.split()[2::3]], np.int64)
            name = None
        elif line:
            name = line.split(maxsplit=IMAGE_WORDS - 1)[-1]
        else:
            name = None
