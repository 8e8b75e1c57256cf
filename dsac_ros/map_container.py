# SPDX-License-Identifier: Apache-2.0
"""Container of a map: one safetensors file with a JSON header.

Every system's map is such a file; the header says whose it is (`system`, none for scene
coordinates). Nothing in it is code, so loading a map from a stranger is safe by construction.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from dsac_ros.compute.files import remove_left_over, write_whole
from dsac_ros.errors import MapError
from dsac_ros.map_header import check_header

if TYPE_CHECKING:
    from torch import Tensor

    from dsac_ros.alignment.point_map import PointMap
    from dsac_ros.alignment.reference_image import ReferenceImage

# 1: a head without experts; 2: no reference images; 3: experts layer by layer; 4: no points;
# 5: the network sees the images that poses are refined on, its weights have 16 bits;
# 6: the same under other names
FORMAT_VERSION = 7
_KEY = 'dsac_map'
_LENGTH_BYTES, _MAX_HEADER_BYTES = 8, 64 << 20
_MAX_BYTES = 2 << 30  # of a map, which is loaded as a whole: maps of a floor have megabytes
#: What reading the tensors of a damaged file may raise.
DAMAGE = (RuntimeError, KeyError, ValueError, TypeError, IndexError, AttributeError)
#: Fields of the header that the id depends on, beside the tensors.
_IDENTITY = ('origin', 'scale', 'encoder_id', 'system')


@dataclass(frozen=True)
class StoredMap:
    """A map of any system: its header, and what of the scene can be shown.

    reference_images and points (None where the map has none) are relative to `origin` (3,) [m].
    """

    header: dict[str, Any]
    reference_images: Sequence[ReferenceImage] = field(default=(), kw_only=True)
    points: PointMap | None = field(default=None, kw_only=True)

    @property
    def id(self) -> str:
        """Hash of the content: equal maps have equal ids."""
        return str(self.header['id'])

    @property
    def origin(self) -> np.ndarray:
        """World position [m] of the map's frame (3,) float64."""
        return np.asarray(self.header['origin'], dtype=np.float64)


def write_container(
    path: Path, header: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> dict[str, Any]:
    """Write a map atomically: `path` holds the old content or the new, never half of it.

    Returns the header with format_version and id, the hash of the content.
    """
    from safetensors.torch import save

    stored = {**header, 'format_version': FORMAT_VERSION}
    stored['id'] = _content_id(stored, tensors)
    write_atomically(Path(path), save(dict(tensors), metadata={_KEY: json.dumps(stored)}))
    return stored


def read_container(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the checked header of a map and its tensors.

    Raises:
        MapError: the file is missing, truncated, damaged, no map, or of a newer format.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    path = Path(path)
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > _MAX_BYTES:
            raise MapError(
                f'{path} has {size} bytes, expected at most {_MAX_BYTES}; copy or learn it again'
            )
        data = file.read()
    header = _header_of(path, data, len(data))
    try:
        tensors = load(data)
        found = _content_id(header, tensors)
    except (SafetensorError, *DAMAGE) as error:
        raise damaged(path, error) from error
    if found != header['id']:
        raise MapError(
            f'{path} is damaged: its content has the id {found}, the header says {header["id"]}; '
            'copy or learn it again'
        )
    return header, tensors


def damaged(path: Path, error: Exception) -> MapError:
    """Return the error of a map whose tensors are missing, or not what their names promise."""
    what = f'{type(error).__name__}: {error}'.splitlines()[0]
    return MapError(f'{path} is damaged: {what}; copy or learn it again')


def _content_id(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    from safetensors.torch import save

    digest = hashlib.sha256(save(dict(tensors)))
    identity = [header[name] for name in _IDENTITY if name in header]
    digest.update(json.dumps(identity).encode())
    return digest.hexdigest()[:16]


def write_atomically(path: Path, data: bytes) -> None:
    """Write the bytes of a map; raise MapError where that is not possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_left_over(path)
        write_whole(path, data)
    except OSError as error:
        raise MapError(
            f'cannot write {path}: {error.strerror} ({len(data) / 1e6:.1f} MB needed); '
            'what stood there is unchanged'
        ) from error


def read_header(path: Path) -> dict[str, Any]:
    """Return the header of a map, without its tensors (and without torch).

    It is checked: fields have the types that docs/map_format.md states.

    Raises:
        MapError: the file is no map that this version can use.
    """
    path = Path(path)
    with _opened(path) as file:
        start = file.read(_LENGTH_BYTES)
        start += file.read(min(_header_bytes(start), _MAX_HEADER_BYTES))
        return _header_of(path, start, os.fstat(file.fileno()).st_size)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file: reading a pipe or a device might never end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            kind = 'a folder' if path.is_dir() else 'no regular file'
            raise MapError(f'cannot read the map {path}: it is {kind}, expected a map file')
        with path.open('rb') as file:
            yield file
    except FileNotFoundError:
        raise MapError(f'no such map: {path}; `dsac map SOURCE -o {path}` learns one') from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, 'strerror', None) or str(error)
        raise MapError(f'cannot read the map {path}: {reason}') from error


def _header_bytes(start: bytes) -> int:
    """Return the length of the JSON after the first bytes of a file."""
    first = start[:_LENGTH_BYTES]
    return int(struct.unpack('<Q', first)[0]) if len(first) == _LENGTH_BYTES else 0


def _header_of(path: Path, start: bytes, file_bytes: int) -> dict[str, Any]:
    """Return the checked header.

    Args:
        path: of the map, for reasons.
        start: the first bytes of the file, at least to the end of the JSON.
        file_bytes: size of the whole file.
    """
    foreign = MapError(f'{path} is not a dsac_ros map (expected a file written by `dsac map`)')
    if len(start) < _LENGTH_BYTES:
        raise foreign
    end = _LENGTH_BYTES + _header_bytes(start)
    if end > _MAX_HEADER_BYTES or start[8:9] != b'{':
        raise foreign
    try:
        description = json.loads(start[_LENGTH_BYTES:end])
        header: dict[str, Any] = json.loads(description['__metadata__'][_KEY])
        version = header.get('format_version', 0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        if file_bytes < end:
            raise MapError(
                f'{path} is truncated: {file_bytes} bytes, expected at least {end}; '
                'copy or learn it again'
            ) from None
        raise foreign from None
    if version != FORMAT_VERSION:
        is_newer = isinstance(version, int) and version > FORMAT_VERSION
        raise MapError(
            f'{path} has map format {version}, this version reads {FORMAT_VERSION}; '
            + ('update dsac_ros' if is_newer else 'learn the map again')
        )
    try:
        needed = end + max(
            (
                int(entry['data_offsets'][1])
                for name, entry in description.items()
                if name != '__metadata__'
            ),
            default=0,
        )
    except (ValueError, KeyError, TypeError, IndexError, OverflowError):
        raise foreign from None
    if file_bytes < needed:
        raise MapError(
            f'{path} is truncated: {file_bytes} bytes, expected {needed}; copy or learn it again'
        )
    check_header(path, header)
    return header
