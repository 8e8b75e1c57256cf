# SPDX-License-Identifier: Apache-2.0
"""The files that a bag is made of, told apart by their content, unpacked and opened."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import lz4.frame
import yaml
from rosbags.rosbag1 import Reader as Ros1Reader
from rosbags.rosbag2 import Reader as Ros2Reader

from dsac_ros.compute.files import read_whole
from dsac_ros.errors import SourceError
from dsac_ros.sources.mcap_reader import MAGIC, McapReader

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SUFFIXES = ('.mcap', '.db3', '.bag')
# What recorders append to the names of the parts of one bag: a date (ROS 1), a number.
SPLIT = re.compile(r'(_\d{4}(-\d\d){5})?(_\d+)?$')
METADATA = 'metadata.yaml'
PACKED = ('.zstd', '.zst', '.lz4', '.gz', '.bz2', '.xz')
CONTENT = {MAGIC: '.mcap', b'SQLite format 3\0': '.db3', b'#ROSBAG V2.0\n': '.bag'}
UNPACKERS: dict[bytes, Callable[..., Any]] = {
    b'\x28\xb5\x2f\xfd': zstd.open,
    b'\x04"M\x18': lz4.frame.open,
    b'\x1f\x8b': gzip.open,
    b'BZh': bz2.open,
    b'\xfd7zXZ\0': lzma.open,
}
# What else lies under the name of a bag, and what helps.
FOREIGN = (
    (rb'\s*<(!doctype|html|\?xml)', 'it is a web page', 'download the file itself'),
    (rb'version https://git-lfs', 'it is a pointer of Git LFS', 'run `git lfs pull`'),
    (rb'PK\x03\x04|Rar!|7z\xbc\xaf|.{257}ustar', 'it is an archive', 'unpack it'),
    (rb'#ROSBAG V2\.0\r|\x89MCAP0\n', 'its line ends were changed', 'copy it again as binary'),
    (rb'#ROSBAG V1', 'it is of version 1 of rosbag', 'bring it to 2.0 by `rosbag fix`'),
    (rb'#ROSBAG V|\x89MCAP', 'it is of a newer version', 'convert it to #ROSBAG V2.0 or MCAP0'),
    (rb'Salted__|-----BEGIN PGP|age-encryption', 'it is encrypted', 'decrypt it'),
    (rb'\0*$', 'it holds zeros alone', 'copy or record it again'),
)
SPARE_BYTES = 1 << 28  # that unpacking leaves on the disk
STEP_BYTES = 1 << 20
MOST_METADATA = 1 << 26  # bytes of a metadata.yaml
# What unpacks to more than both is no recording: a few kilobytes can hold terabytes of zeros.
MOST_RATIO, LEAST_UNPACKED = 500, 1 << 28
# Bytes of an unpacked chunk of ROS 1: recorders close one at 768 KB, or after its first message.
MOST_CHUNK = 1 << 28


def is_bag_file(path: Path) -> bool:
    """Return whether the name is that of a storage file, or of one that was packed as a whole."""
    return _unpacked_name(path).suffix.lower() in SUFFIXES


def _unpacked_name(path: Path) -> PurePosixPath:
    """The name without what packing and an unfinished recording append to it."""
    return PurePosixPath(path.stem if path.suffix.lower() in (*PACKED, '.active') else path.name)


def storage_files(path: Path) -> list[Path]:
    """The storage files of a bag, in their order.

    Those of a folder are named by its metadata.yaml; a recording that was killed has none, and
    the files themselves are all that is needed.
    """
    if path.name == METADATA:
        path = path.parent
    if not path.is_dir():
        return [path]
    there = sorted(p for p in path.iterdir() if is_bag_file(p))
    named = _named_by_metadata(path)
    if named is None:
        if len({(SPLIT.sub('', _unpacked_name(p).stem), p.suffix) for p in there}) > 1:
            raise SourceError(
                f'{path} holds several bags: name one of {", ".join(str(p) for p in there)}'
            )
        return there
    missing = [p.name for p in named if not p.is_file()]
    if missing:
        raise SourceError(
            f'{path}/metadata.yaml names files that are not there: '
            f'{", ".join(missing)}; copy them, or remove metadata.yaml to read the '
            'others'
        )
    return named


def _named_by_metadata(folder: Path) -> list[Path] | None:
    """The files that metadata.yaml lists; None without one that can be read."""
    try:
        told = yaml.safe_load(read_whole(folder / METADATA, MOST_METADATA).decode())
        names = told['rosbag2_bagfile_information']['relative_file_paths']
        return [folder / PurePosixPath(name).name for name in names] or None
    except (OSError, ValueError, TypeError, KeyError, RecursionError, yaml.YAMLError):
        return None


class StorageFiles:
    """Readers for the files of a bag; what had to be unpacked goes when this goes."""

    def __init__(self, path: Path) -> None:
        """Takes a bag and finds, checks and unpacks its files."""
        self.path = path
        self._temporary: TemporaryDirectory[str] | None = None
        files = storage_files(path)
        if not files:
            raise SourceError(f'{path} holds no storage files, expected {", ".join(SUFFIXES)}')
        try:
            self._files = [self._readable(file) for file in files]
        except BaseException:
            self.remove()
            raise

    def open(self) -> list[Any]:
        """A reader for each file: `connections`, `messages(connections)` and `close()`."""
        readers: list[Any] = []
        try:
            for file, suffix in self._files:
                readers.append(_open(file, suffix))
        except BaseException:
            for reader in readers:
                reader.close()
            raise
        return readers

    def remove(self) -> None:
        """Remove what was unpacked."""
        if self._temporary is not None:
            self._temporary.cleanup()

    def _readable(self, path: Path) -> tuple[Path, str]:
        """A file by a name that says what it is, and that suffix."""
        unpacker = _unpacker(path)
        if unpacker is not None:
            path = self._unpack(path, unpacker)
        suffix = content_suffix(path)
        if suffix != path.suffix or (suffix == '.db3' and set('?#%') & set(str(path))):
            # The bag library goes by the suffix, and takes the path as a URI.
            link = self._folder() / f'{len(list(self._folder().iterdir()))}{suffix}'
            link.symlink_to(path.absolute())
            path = link
        return path, suffix

    def _unpack(self, path: Path, unpacker: Callable[[Any], BinaryIO]) -> Path:
        target = self._folder() / path.stem
        try:
            with unpacker(path) as packed, target.open('wb') as unpacked:
                most = max(LEAST_UNPACKED, MOST_RATIO * path.stat().st_size)
                while block := packed.read(STEP_BYTES):
                    if unpacked.tell() > most:
                        raise SourceError(
                            f'{path} unpacks to over {most} bytes, {MOST_RATIO} times its own or '
                            'more, which no recording does; unpack it yourself if it is one'
                        )
                    if shutil.disk_usage(target.parent).free < SPARE_BYTES:
                        raise SourceError(
                            f'{path} does not fit into {target.parent} when it is '
                            'unpacked: unpack it yourself, or let TMPDIR name a '
                            'folder with more room'
                        )
                    unpacked.write(block)
        except (
            OSError,
            EOFError,
            ValueError,
            RuntimeError,
            lzma.LZMAError,
            zstd.ZstdError,
        ) as error:
            raise SourceError(
                f'{path} cannot be unpacked ({_line(error)}): it was cut short or '
                'damaged, copy it again'
            ) from None
        return target

    def _folder(self) -> Path:
        if self._temporary is None:
            self._temporary = TemporaryDirectory(prefix='dsac-bag-')
        return Path(self._temporary.name)


def _open(path: Path, suffix: str) -> Any:
    if suffix == '.mcap':
        return McapReader(path)
    reader = Ros1Reader(path) if suffix == '.bag' else Ros2Reader(path)
    reader.open()
    if isinstance(reader, Ros1Reader):
        for place, chunk in reader.chunks.items():
            reader.chunks[place] = chunk._replace(decompressor=_bounded(chunk.decompressor))
    return reader


def _bounded(decompress: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """The decompressor of a chunk of ROS 1 that stops where a chunk is too large."""

    def unpack(data: bytes) -> bytes:
        if data[:3] == b'BZh':
            chunk = bz2.BZ2Decompressor().decompress(data, MOST_CHUNK + 1)
        elif data[:4] == b'\x04"M\x18':
            chunk = lz4.frame.LZ4FrameDecompressor().decompress(data, MOST_CHUNK + 1)
        else:
            chunk = decompress(data)
        if len(chunk) > MOST_CHUNK:
            raise ValueError(f'a chunk has over {MOST_CHUNK} bytes')
        return chunk

    return unpack


def _unpacker(path: Path) -> Callable[[Any], BinaryIO] | None:
    head = _head(path)
    return next((opener for magic, opener in UNPACKERS.items() if head.startswith(magic)), None)


def content_suffix(path: Path) -> str:
    """The suffix that fits the content of a file; SourceError says what it is if not a bag."""
    head = _head(path)
    suffix = next((suffix for magic, suffix in CONTENT.items() if head.startswith(magic)), None)
    if suffix == '.db3':
        log = path.with_name(f'{path.name}-wal')
        if log.is_file() and log.stat().st_size:
            raise SourceError(
                f'{path} has messages in {log.name} that were not merged: do so by '
                f'`sqlite3 {path} "PRAGMA wal_checkpoint"`'
            )
    if suffix is not None:
        return suffix
    what, cure = 'it is an empty file', 'copy or record it again'
    if head:
        what, cure = next(
            (
                (what, cure)
                for pattern, what, cure in FOREIGN
                if re.match(pattern, head, re.IGNORECASE | re.DOTALL)
            ),
            (
                f'it begins with {head[:8]!r}, as no bag does',
                'expected an .mcap, .db3 or .bag that is whole and not encrypted',
            ),
        )
    raise SourceError(f'{path} cannot be read as a bag: {what}; {cure}')


def _head(path: Path) -> bytes:
    try:
        with path.open('rb') as file:
            return file.read(512)
    except OSError as error:
        raise SourceError(f'{path} cannot be read: {_line(error)}') from None


def _line(error: BaseException) -> str:
    """An error of a library as one short line."""
    return ' '.join(f'{type(error).__name__}: {error}'.split())[:160]
