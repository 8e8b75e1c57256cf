# SPDX-License-Identifier: Apache-2.0
"""Points of a COLMAP model: points3D.bin or points3D.txt.

Format: https://colmap.github.io/format.html. Positions are in the model's frame and unit.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dsac_ros.colmap.files import COUNT, SUFFIXES, numbered_lines, opened
from dsac_ros.compute.text import quoted
from dsac_ros.errors import SourceError

POINT, TRACK_BYTES = struct.Struct('<q3d3BdQ'), 8
NAME = 'points3D'
EXPECTED = 'expected POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[]'


def points_file(folder: Path, suffix: str = '') -> Path | None:
    """Return the file of the points of a model, binary or as text; None where there is none.

    Args:
        folder: of the model.
        suffix: .bin or .txt; '' takes the first that is there.
    """
    files = [folder / f'{NAME}{one}' for one in ([suffix] if suffix else SUFFIXES)]
    return next((file for file in files if file.is_file()), None)


def has_points(path: Path) -> bool:
    """Return True if a file of points holds any."""
    if path.suffix == '.bin':
        return path.stat().st_size > COUNT.size
    return any(line and line[0] != '#' for _, line in numbered_lines(path))


def read_points(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers (P,) int64 of the points of a file, ascending, and positions (P, 3).

    Raises:
        SourceError: the file is cut short, or no part of a model.
    """
    found = list(_binary(path) if path.suffix == '.bin' else _text(path))
    ids = np.array([number for number, *_ in found], np.int64)
    order = np.argsort(ids, kind='stable')
    positions = np.array([position for _, *position in found], np.float64).reshape(-1, 3)
    return ids[order], positions[order]


def _binary(path: Path) -> Iterator[tuple[int, float, float, float]]:
    with opened(path) as cursor:
        (count,) = cursor.take(COUNT)
        before = None
        for _ in range(count):
            number, x, y, z, *_, length = cursor.take(POINT)
            cursor.skip(TRACK_BYTES * length)
            if number == before:  # zeros, of which a sparse file may hold terabytes
                raise SourceError(f'{path} lists point {number} twice; export the model again')
            before = number
            yield number, x, y, z


def _text(path: Path) -> Iterator[tuple[int, float, float, float]]:
    for number, line in numbered_lines(path):
        if not line or line.startswith('#'):
            continue
        words = line.split()
        try:
            identity = int(words[0])
            if abs(identity) >= 2**63:
                raise ValueError
            yield identity, float(words[1]), float(words[2]), float(words[3])
        except (ValueError, IndexError):
            raise SourceError(
                f'{path}, line {number}: {quoted(line)} is no point of a COLMAP model, {EXPECTED}'
            ) from None
